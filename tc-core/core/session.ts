// A global session and its branches.
import { BranchStatus, BranchType, GlobalStatus } from '../wire/codes.ts'
import type { Run } from './phase-two.ts'
import type { Timed } from './timers.ts'

export interface Branch {
  readonly branchId: bigint
  readonly branchType: number
  status: number
  readonly resourceId: string
  /** `applicationId:ip:port` of the connection that registered it. */
  readonly clientId: string
  readonly lockKey: string
  applicationData: string
}

export class Session implements Timed {
  readonly xid: string
  readonly applicationId: string
  readonly transactionServiceGroup: string
  readonly transactionName: string
  /** Ms after `beginTime`. */
  readonly timeout: number
  /** Unix ms. */
  readonly beginTime: number
  status: number = GlobalStatus.Begin
  /** In the order of registration, which is the order of their ids. */
  readonly branches: Branch[] = []

  /** Place in the order of begins, for the snapshot. */
  readonly sequence: number

  // Below: not state, but the leader's own notes.
  /** When the leader looks at the session again (Unix ms); see timers.ts. */
  at = 0
  heapIndex = -1
  /** The pass of phase two that is under way. */
  run: Run | null = null

  constructor(
    begun: Pick<
      Session,
      'xid' | 'applicationId' | 'transactionServiceGroup' | 'transactionName' | 'timeout' | 'beginTime'
    >,
    sequence: number
  ) {
    this.xid = begun.xid
    this.applicationId = begun.applicationId
    this.transactionServiceGroup = begun.transactionServiceGroup
    this.transactionName = begun.transactionName
    this.timeout = begun.timeout
    this.beginTime = begun.beginTime
    this.sequence = sequence
  }

  get deadline(): number {
    return this.beginTime + Math.max(0, this.timeout)
  }

  branch(branchId: bigint): Branch | undefined {
    return this.branches[this.#place(branchId)]
  }

  remove(branchId: bigint): void {
    const place = this.#place(branchId)
    if (place >= 0) this.branches.splice(place, 1)
  }

  #place(branchId: bigint): number {
    const { branches } = this
    let low = 0
    let high = branches.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const id = branches[middle]!.branchId
      if (id === branchId) return middle
      if (id < branchId) low = middle + 1
      else high = middle - 1
    }
    return -1
  }
}

/** A branch that phase two of a commit may come to later: its rows are final already, or it never was. */
export function canCommitAsync(branch: Branch): boolean {
  return branch.branchType === BranchType.AT || branch.status === BranchStatus.PhaseOne_Failed
}
