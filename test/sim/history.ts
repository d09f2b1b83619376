// What the logs hold, as anybody can read who looks at the store: each index has the one record that took its place first. From that the
// judges know what was decided, when, and which rows a transaction may still need. Knows nothing of how the product keeps its state.
import {
  BranchAdded,
  BranchRemoved,
  type Effect,
  RowsUnlocked,
  readEffects,
  SessionBegun,
  SessionEnded,
  StatusChanged
} from '../../tc-core/core/effects.ts'
import { decodeRecord, RecordKind } from '../../tc-core/replication/record.ts'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { Breach } from '../core/judge.ts'

const COMMITS: readonly number[] = [
  GlobalStatus.Committing,
  GlobalStatus.CommitRetrying,
  GlobalStatus.AsyncCommitting,
  GlobalStatus.Committed,
  GlobalStatus.CommitFailed,
  GlobalStatus.CommitRetryTimeout
]

export type Decision = 'commit' | 'rollback'

export function decisionOf(status: number): Decision {
  return COMMITS.includes(status) ? 'commit' : 'rollback'
}

export interface LoggedBranch {
  readonly branchId: bigint
  /** Of the request that registered it. */
  readonly name: string
  readonly rows: readonly string[]
  /** It may still need its rows. */
  holds: boolean
  removed: boolean
}

export interface Logged {
  readonly xid: string
  readonly fragment: number
  /** Statuses in the order in which they came to be true, and since when, ms. */
  readonly statuses: { readonly status: number; readonly since: number }[]
  readonly branches: Map<bigint, LoggedBranch>
  decision: Decision | null
  ended: boolean
}

interface FragmentLog {
  next: number
  term: number
  /** Records that are there before one with a lower index is. */
  readonly ahead: Map<number, Buffer>
}

/** `resource^table:pk` of every row in a lock key. */
export function rowsOf(resourceId: string, lockKey: string): string[] {
  return lockKey
    .split(';')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [table, pks] = part.split(':') as [string, string]
      return pks.split(',').map((pk) => `${resourceId}^${table}:${pk}`)
    })
}

const ENTRY = /^\{[^:]+:(\d+)\}:e:(\d+)$/

export class History {
  readonly #now: () => number
  readonly #logs = new Map<number, FragmentLog>()
  readonly transactions = new Map<string, Logged>()
  /** Branches that may still need each row, and when the last one ceased to, ms. */
  readonly #needs = new Map<string, Set<bigint>>()
  readonly #freeSince = new Map<string, number>()
  /** Told of every decision. */
  readonly #decided: (xid: string, decision: Decision) => void
  /** Begins by the name of their request: every one has a name of its own. */
  readonly #begins = new Map<string, string>()
  records = 0

  constructor(now: () => number, decided: (xid: string, decision: Decision) => void) {
    this.#now = now
    this.#decided = decided
  }

  /** A key of the store has its first value. */
  first(key: string, value: Buffer): void {
    const match = ENTRY.exec(key)
    if (!match) return
    const fragment = Number(match[1])
    const index = Number(match[2])
    let log = this.#logs.get(fragment)
    if (!log) this.#logs.set(fragment, (log = { next: 1, term: 0, ahead: new Map() }))
    log.ahead.set(index, value)
    for (let bytes = log.ahead.get(log.next); bytes; bytes = log.ahead.get(log.next)) {
      log.ahead.delete(log.next)
      this.#take(fragment, log, bytes)
      log.next++
    }
  }

  #take(fragment: number, log: FragmentLog, bytes: Buffer): void {
    const record = decodeRecord(bytes, log.next, 'the judge')
    if (record.term < log.term) return
    log.term = record.term
    if (record.kind !== RecordKind.Data && record.kind !== RecordKind.Barrier) return
    this.records++
    readEffects(record.payload, (effect) => this.#effect(fragment, effect))
  }

  #effect(fragment: number, effect: Effect): void {
    switch (effect.type) {
      case SessionBegun.code: {
        const { xid, transactionName } = effect
        const before = this.#begins.get(transactionName)
        // One that has timed out is of no use to who begins: it gets another.
        if (before && !this.transactions.get(before)!.decision)
          throw new Breach(`the begin ${transactionName} was carried out twice`)
        this.#begins.set(transactionName, xid)
        if (this.transactions.has(xid)) throw new Breach(`${xid} was begun twice`)
        const statuses = [{ status: GlobalStatus.Begin, since: this.#now() }]
        this.transactions.set(xid, { xid, fragment, statuses, branches: new Map(), decision: null, ended: false })
        return
      }
      case BranchAdded.code: {
        const { xid, branchId, resourceId, lockKey, applicationData } = effect
        const rows = rowsOf(resourceId, lockKey)
        const logged = this.#of(xid)
        if (logged.decision) throw new Breach(`${xid}: branch ${branchId} was added after the decision`)
        if (logged.branches.has(branchId)) throw new Breach(`${xid}: branch ${branchId} was added twice`)
        for (const other of logged.branches.values()) {
          // One that was removed is another matter: it never was acknowledged.
          if (other.name === applicationData && !other.removed)
            throw new Breach(`the register ${applicationData} was carried out twice`)
        }
        logged.branches.set(branchId, { branchId, name: applicationData, rows, holds: true, removed: false })
        for (const row of rows) {
          if (!this.#needs.has(row)) this.#needs.set(row, new Set())
          this.#needs.get(row)!.add(branchId)
        }
        return
      }
      case BranchRemoved.code: {
        const logged = this.#of(effect.xid)
        const branch = logged.branches.get(effect.branchId)
        if (!branch) throw new Breach(`the log removes branch ${effect.branchId}, which was never added to it`)
        branch.removed = true
        return this.#letGo(logged, effect.branchId)
      }
      case RowsUnlocked.code: {
        const logged = this.transactions.get(effect.xid)
        // What a home frees is decided by the owner.
        if (logged?.fragment === fragment) this.#letGo(logged, effect.branchId)
        return
      }
      case StatusChanged.code:
        return this.#status(effect.xid, effect.status)
      case SessionEnded.code: {
        this.#status(effect.xid, effect.status)
        const logged = this.#of(effect.xid)
        logged.ended = true
        this.#letGo(logged, 0n)
      }
    }
  }

  #of(xid: string): Logged {
    const logged = this.transactions.get(xid)
    if (!logged) throw new Breach(`the log changes ${xid}, which was never begun in it`)
    if (logged.ended) throw new Breach(`the log changes ${xid}, which had ended`)
    return logged
  }

  #status(xid: string, status: number): void {
    const logged = this.#of(xid)
    logged.statuses.push({ status, since: this.#now() })
    const decision = decisionOf(status)
    if (logged.decision === decision) return
    if (logged.decision) throw new Breach(`${xid} was decided: ${logged.decision}, and then: ${decision}`)
    logged.decision = decision
    this.#decided(xid, decision)
    if (decision === 'commit') this.#letGo(logged, 0n)
  }

  #letGo(logged: Logged, branchId: bigint): void {
    for (const branch of logged.branches.values()) {
      if (!branch.holds || (branchId !== 0n && branch.branchId !== branchId)) continue
      branch.holds = false
      for (const row of branch.rows) {
        const needs = this.#needs.get(row)!
        needs.delete(branch.branchId)
        if (needs.size === 0) this.#freeSince.set(row, this.#now())
      }
    }
  }

  /** Since when no transaction may need the row, ms; Infinity: one may. */
  freeSince(row: string): number {
    if ((this.#needs.get(row)?.size ?? 0) > 0) return Number.POSITIVE_INFINITY
    return this.#freeSince.get(row) ?? 0
  }

  /** The statuses that a transaction had at some time from `since` until now. */
  statusesSince(xid: string, since: number): number[] {
    const logged = this.transactions.get(xid)
    if (!logged) return [GlobalStatus.Finished]
    const { statuses } = logged
    return statuses
      .filter((_, i) => i + 1 === statuses.length || statuses[i + 1]!.since >= since)
      .map(({ status }) => status)
  }
}
