// Watches a run from outside: what clients were told and did, against what the logs hold. Knows nothing of how the product works.
import { BranchStatus, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { Breach } from '../core/judge.ts'
import { type Decision, decisionOf, History } from './history.ts'

/** A branch whose RM was told that it has its rows, and that has not been rolled back. */
interface Held {
  readonly xid: string
  readonly rows: readonly string[]
}

/** A branch that was acknowledged to its RM. */
interface Known {
  readonly xid: string
  /** Phase one failed by its RM's own word: the coordinator need not come back to it. */
  failed: boolean
}

/** A row that nobody needs is free so many ms after it came to be so, or after the last fault. */
export const FREE_MS = 2_000

export class Judges {
  readonly history: History
  readonly #held = new Map<bigint, Held>()
  readonly #known = new Map<bigint, Known>()
  /** Branches whose RM was told to roll back: its undo record stops an acknowledgement that comes later. */
  readonly #undone = new Set<bigint>()
  readonly #called = new Map<bigint, Set<Decision>>()
  /** When the last fault ended, ms; Infinity: not yet. */
  calmSince = Number.POSITIVE_INFINITY
  readonly count = {
    begun: 0,
    registered: 0,
    conflicts: 0,
    committed: 0,
    rolledBack: 0,
    statuses: 0,
    queries: 0,
    calls: 0
  }

  constructor(now: () => number) {
    this.history = new History(now, (xid, decision) => {
      // A commit makes the data final: its rows may be another's from here on.
      if (decision === 'commit') for (const [id, held] of this.#held) if (held.xid === xid) this.#held.delete(id)
    })
  }

  begun(xid: string): void {
    this.count.begun++
    if (!this.history.transactions.has(xid)) throw new Breach(`${xid} was begun by what the TM heard, and is in no log`)
  }

  registered(xid: string, branchId: bigint, rows: readonly string[]): void {
    this.count.registered++
    const logged = this.history.transactions.get(xid)
    if (!logged?.branches.has(branchId)) throw new Breach(`${xid}: branch ${branchId} is acknowledged, and in no log`)
    this.#known.set(branchId, { xid, failed: false })
    if (this.#undone.has(branchId) || logged.decision === 'commit') return
    for (const other of this.#held.values()) {
      const row = other.xid !== xid && other.rows.find((row) => rows.includes(row))
      if (row) throw new Breach(`${xid} and ${other.xid} both own ${row}`)
    }
    this.#held.set(branchId, { xid, rows })
  }

  /** A register was refused because of a lock; it was sent at `since`. */
  conflict(rows: readonly string[], since: number): void {
    this.count.conflicts++
    const free = Math.max(this.calmSince, ...rows.map((row) => this.history.freeSince(row)))
    if (since < free + FREE_MS) return
    throw new Breach(`${rows} belong to nobody since ${Math.round(free)}, and were not free at ${Math.round(since)}`)
  }

  reported(branchId: bigint, status: number): void {
    const known = this.#known.get(branchId)
    if (!known || status !== BranchStatus.PhaseOne_Failed) return
    known.failed = true
    // Its local transaction was rolled back before it said so.
    this.#held.delete(branchId)
  }

  /** An RM is told to commit or roll back, and does it (`done`) or cannot. */
  called(kind: Decision, xid: string, branchId: bigint, done: boolean): void {
    this.count.calls++
    const logged = this.history.transactions.get(xid)
    if (logged?.decision !== kind) {
      throw new Breach(`${xid}: an RM is told to ${kind}, and the log says ${logged?.decision ?? 'nothing'}`)
    }
    if (kind === 'rollback') {
      this.#undone.add(branchId)
      if (done) this.#held.delete(branchId)
    }
    if (!done) return
    if (!this.#called.has(branchId)) this.#called.set(branchId, new Set())
    this.#called.get(branchId)!.add(kind)
  }

  /** A TM hears how its transaction was decided. */
  ended(xid: string, status: number): void {
    const decision = this.history.transactions.get(xid)?.decision ?? null
    if (decision === 'commit') this.count.committed++
    else this.count.rolledBack++
    if (decision !== decisionOf(status) || status === GlobalStatus.Finished) {
      throw new Breach(`${xid}: the TM was told ${status}, and the log says ${decision}`)
    }
  }

  /** A status was asked for at `since`. */
  status(xid: string, status: number, since: number): void {
    this.count.statuses++
    const possible = this.history.statusesSince(xid, since)
    if (!possible.includes(status))
      throw new Breach(`${xid} was said to be ${status}, and was ${possible} since it was asked`)
  }

  /** Somebody asks whether rows could be locked; what the answer must not be is told with it. */
  asks(xid: string, rows: readonly string[]): (lockable: boolean) => void {
    const holders = [...this.#held].filter(
      ([, held]) => held.xid !== xid && held.rows.some((row) => rows.includes(row))
    )
    return (lockable) => {
      this.count.queries++
      const held = lockable && holders.find(([id, holder]) => this.#held.get(id) === holder)
      if (held) throw new Breach(`rows that ${held[1].xid} held all the time were lockable`)
    }
  }

  /** Nothing happens any more: every transaction has ended, and every RM has heard how. */
  atRest(): void {
    for (const { xid, ended } of this.history.transactions.values()) {
      if (!ended) throw new Breach(`${xid} has no end`)
    }
    for (const [branchId, { xid, failed }] of this.#known) {
      const { decision } = this.history.transactions.get(xid)!
      if (!failed && !this.#called.get(branchId)?.has(decision!)) {
        throw new Breach(`${xid}: branch ${branchId} was registered, and its RM never heard of the ${decision}`)
      }
    }
  }
}
