// Watches a world from outside: what clients were told, what RMs were told, and what decisions the logs hold. Knows nothing of locks.
import { BranchAdded, type Effect, SessionEnded, StatusChanged } from '../../tc-core/core/effects.ts'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'

export class Breach extends Error {}

const COMMITS: readonly number[] = [
  GlobalStatus.Committing,
  GlobalStatus.CommitRetrying,
  GlobalStatus.AsyncCommitting,
  GlobalStatus.Committed,
  GlobalStatus.CommitFailed
]

/** A branch whose RM was told that it has its rows. */
interface Held {
  readonly xid: string
  readonly branchId: bigint
  readonly rows: readonly string[]
}

export class Judge {
  readonly #held = new Map<bigint, Held>()
  readonly #decisions = new Map<string, 'commit' | 'rollback'>()
  /** Branches whose RM was told to roll back: its protective undo record stops an acknowledgement that comes later. */
  readonly #told = new Set<bigint>()
  /** Branches that a log holds, or held. */
  readonly #logged = new Set<bigint>()
  acknowledged = 0

  /** An RM hears that its branch is registered. */
  registered(xid: string, branchId: bigint, rows: readonly string[]): void {
    this.acknowledged++
    if (!this.#logged.has(branchId)) throw new Breach(`${xid}: branch ${branchId} is acknowledged, and in no log`)
    if (this.#told.has(branchId) || this.#decisions.get(xid) === 'commit') return
    for (const other of this.#held.values()) {
      const row = other.xid !== xid && other.rows.find((row) => rows.includes(row))
      if (row) throw new Breach(`${xid} and ${other.xid} both hold ${row}`)
    }
    this.#held.set(branchId, { xid, branchId, rows })
  }

  /** An RM is told to roll back the branch, and does it or fails. */
  rollsBack(branchId: bigint, done: boolean): void {
    this.#told.add(branchId)
    if (done) this.#held.delete(branchId)
  }

  /** An effect is in the log. */
  logged(effect: Effect): void {
    if (effect.type === BranchAdded.code) this.#logged.add(effect.branchId)
    if (effect.type !== StatusChanged.code && effect.type !== SessionEnded.code) return
    const { xid, status } = effect
    const decision = COMMITS.includes(status) ? 'commit' : 'rollback'
    const before = this.#decisions.get(xid)
    if (before && before !== decision) throw new Breach(`${xid} was decided: ${before}, and then: ${decision}`)
    this.#decisions.set(xid, decision)
    // A commit makes the data final: the rows may be another's from here on.
    if (decision === 'commit')
      for (const held of this.#held.values()) if (held.xid === xid) this.#held.delete(held.branchId)
  }

  /** Somebody asks whether the rows could be locked; what the answer must not be is told with it. */
  asks(xid: string, rows: readonly string[]): (lockable: boolean) => void {
    const holders = [...this.#held.values()].filter(
      (held) => held.xid !== xid && held.rows.some((row) => rows.includes(row))
    )
    return (lockable) => {
      const held = lockable && holders.find((holder) => this.#held.get(holder.branchId) === holder)
      if (held) throw new Breach(`rows that ${held.xid} held all the time were lockable`)
    }
  }

  /** A TM hears how its transaction was decided. */
  ended(xid: string, globalStatus: number): void {
    if (globalStatus === GlobalStatus.Finished || globalStatus === GlobalStatus.UnKnown) return
    const decision = COMMITS.includes(globalStatus) ? 'commit' : 'rollback'
    if (this.#decisions.get(xid) !== decision)
      throw new Breach(`${xid}: the TM was told ${globalStatus}, the log says else`)
  }
}
