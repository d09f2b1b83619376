// A fragment's replicated state, and the one path on which it changes: effects applied in the order of the log.
import { BranchStatus, GlobalStatus } from '../wire/codes.ts'
import { BRANCH_ID_GAP, type Limits } from '../wire/limits.ts'
import { Table } from '../wire/table.ts'
import {
  BranchAdded,
  BranchChanged,
  BranchRemoved,
  type Effect,
  HomeFreed,
  RowsLocked,
  RowsUnlocked,
  SessionBegun,
  SessionEnded,
  SessionTraced,
  StatusChanged
} from './effects.ts'
import { parseLockKey } from './lock-key.ts'
import { Locks } from './locks.ts'
import { Outcomes } from './outcomes.ts'
import { Session } from './session.ts'
import { Texts } from './texts.ts'

/** Told just before a session or an owner changes while a snapshot is being taken, so that it can keep what was. */
export interface SnapshotWatch {
  sessionChanges(session: Session): void
  ownerChanges(xid: string): void
}

export class State {
  readonly fragment: number
  readonly sessions = new Table<string, Session>()
  readonly locks: Locks
  readonly outcomes: Outcomes
  /** What many sessions and branches say alike. */
  readonly texts = new Texts()
  /** Highest branch number that the log knows; a new leader starts {@link BRANCH_ID_GAP} further on. */
  lastBranch = 0
  /** Sessions ever begun here. */
  lastSequence = 0
  /** Snapshot being taken. */
  watch: SnapshotWatch | null = null

  constructor(fragment: number, limits: Pick<Limits, 'maxOutcomes'>) {
    this.fragment = fragment
    this.locks = new Locks(fragment)
    this.outcomes = new Outcomes(limits.maxOutcomes)
  }

  /** A new leader: ids that the old one may have handed out unconfirmed are passed over. */
  led(): void {
    this.lastBranch += BRANCH_ID_GAP
  }

  apply(effect: Effect): void {
    switch (effect.type) {
      case SessionBegun.code:
        this.sessions.set(effect.xid, new Session(effect, ++this.lastSequence, this.texts))
        return
      case BranchAdded.code: {
        const session = this.#change(effect.xid)
        const resourceId = this.texts.one(effect.resourceId)
        session.add({
          branchId: effect.branchId,
          branchType: effect.branchType,
          status: BranchStatus.Registered,
          resourceId,
          clientId: this.texts.one(effect.clientId),
          lockKey: effect.lockKey,
          applicationData: effect.applicationData,
          identity: effect.identity,
          homes: effect.homes,
          round: null
        })
        this.lastBranch = Math.max(this.lastBranch, branchNumber(effect.branchId))
        if (effect.rowsLocked) {
          this.watch?.ownerChanges(effect.xid)
          const rows = parseLockKey(effect.lockKey)
          for (const share of effect.homes) rows.length -= share.rows
          // The session's own text of the XID: it is kept already.
          this.locks.lock(session.xid, effect.branchId, resourceId, rows, this.fragment)
        }
        return
      }
      case BranchChanged.code: {
        const branch = this.#change(effect.xid).branch(effect.branchId)!
        branch.status = effect.status
        if (effect.applicationData !== '') branch.applicationData = effect.applicationData
        return
      }
      case BranchRemoved.code:
        this.#change(effect.xid).remove(effect.branchId)
        return
      case StatusChanged.code: {
        const session = this.#change(effect.xid)
        session.status = effect.status
        if (isRollbacking(effect.status)) this.#flagRollbacking(effect.xid)
        return
      }
      case RowsUnlocked.code:
        this.watch?.ownerChanges(effect.xid)
        this.locks.unlock(effect.xid, effect.branchId)
        if (this.sessions.has(effect.xid)) this.#oweHomes(this.#change(effect.xid), effect.branchId)
        return
      case SessionEnded.code:
        if (this.watch) this.#change(effect.xid)
        this.watch?.ownerChanges(effect.xid)
        this.locks.unlock(effect.xid, 0n)
        this.sessions.delete(effect.xid)
        this.outcomes.add(effect.xid, effect.status)
        return
      case RowsLocked.code: {
        this.watch?.ownerChanges(effect.xid)
        const rows = parseLockKey(effect.lockKey)
        this.locks.lock(effect.xid, effect.branchId, this.texts.one(effect.resourceId), rows, effect.fragment)
        return
      }
      case SessionTraced.code:
        this.#change(effect.xid).origin = effect.origin
        return
      case HomeFreed.code: {
        const session = this.#change(effect.xid)
        const { home, branchIds } = effect
        session.debts = session.debts.filter((debt) => debt.home !== home || !branchIds.includes(debt.branchId))
      }
    }
  }

  /** This replica leads no more: its notes as a leader go, the state stays. */
  forget(): void {
    for (const session of this.sessions.values()) session.forget()
    for (const owner of this.locks.foreign.values()) owner.rollbacking = false
  }

  /** The transaction, unless it has ended. */
  live(xid: string): Session | undefined {
    const session = this.sessions.get(xid)
    return session?.over ? undefined : session
  }

  /** How the transaction ended; 0 when that is not known, or it has not. */
  outcome(xid: string): number {
    const session = this.sessions.get(xid)
    if (!session) return this.outcomes.get(xid)
    return session.over ? session.status : 0
  }

  #oweHomes(session: Session, branchId: bigint): void {
    const branches = branchId === 0n ? session.branches : [session.branch(branchId)]
    for (const branch of branches) if (branch) session.owe(branch)
  }

  #change(xid: string): Session {
    const session = this.sessions.get(xid)!
    this.watch?.sessionChanges(session)
    return session
  }

  #flagRollbacking(xid: string): void {
    const owner = this.locks.owners.get(xid)
    if (!owner || owner.rollbacking) return
    this.watch?.ownerChanges(xid)
    owner.rollbacking = true
  }
}

function isRollbacking(status: number): boolean {
  return status === GlobalStatus.Rollbacking || status === GlobalStatus.TimeoutRollbacking
}

/** Branch ids: the fragment in the same bits as in transaction ids, the rest a number that only grows. */
export function branchId(fragment: number, number: number): bigint {
  return (BigInt(fragment) << 53n) | BigInt(number)
}

export function branchNumber(id: bigint): number {
  return Number(BigInt.asUintN(53, id))
}
