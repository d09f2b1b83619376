// A fragment's replicated state, and the one path on which it changes: effects applied in the order of the log.
import { BranchStatus, GlobalStatus } from '../wire/codes.ts'
import { BRANCH_ID_GAP, type Limits } from '../wire/limits.ts'
import {
  BranchAdded,
  BranchChanged,
  BranchRemoved,
  type Effect,
  RowsUnlocked,
  SessionBegun,
  SessionEnded,
  StatusChanged
} from './effects.ts'
import { Locks } from './locks.ts'
import { Outcomes } from './outcomes.ts'
import { Session } from './session.ts'

/** Told just before a session or an owner changes while a snapshot is being taken, so that it can keep what was. */
export interface SnapshotWatch {
  sessionChanges(session: Session): void
  ownerChanges(xid: string): void
}

export class State {
  readonly fragment: number
  readonly sessions = new Map<string, Session>()
  readonly locks = new Locks()
  readonly outcomes: Outcomes
  /** Highest branch number that the log knows; a new leader starts {@link BRANCH_ID_GAP} further on. */
  lastBranch = 0
  /** Sessions ever begun here. */
  lastSequence = 0
  /** Snapshot being taken. */
  watch: SnapshotWatch | null = null

  constructor(fragment: number, limits: Pick<Limits, 'maxOutcomes'>) {
    this.fragment = fragment
    this.outcomes = new Outcomes(limits.maxOutcomes)
  }

  /** A new leader: ids that the old one may have handed out unconfirmed are passed over. */
  led(): void {
    this.lastBranch += BRANCH_ID_GAP
  }

  apply(effect: Effect): void {
    switch (effect.type) {
      case SessionBegun.code:
        this.sessions.set(effect.xid, new Session(effect, ++this.lastSequence))
        return
      case BranchAdded.code: {
        const session = this.#change(effect.xid)
        session.branches.push({
          branchId: effect.branchId,
          branchType: effect.branchType,
          status: BranchStatus.Registered,
          resourceId: effect.resourceId,
          clientId: effect.clientId,
          lockKey: effect.lockKey,
          applicationData: effect.applicationData
        })
        this.lastBranch = Math.max(this.lastBranch, branchNumber(effect.branchId))
        if (effect.rowsLocked) {
          this.watch?.ownerChanges(effect.xid)
          this.locks.lockKey(effect.xid, effect.branchId, effect.resourceId, effect.lockKey)
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
        return
      case SessionEnded.code:
        this.#change(effect.xid)
        this.watch?.ownerChanges(effect.xid)
        this.locks.unlock(effect.xid, 0n)
        this.sessions.delete(effect.xid)
        this.outcomes.add(effect.xid, effect.status)
    }
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
