// A global session and its branches.
import { BranchStatus, BranchType, GlobalStatus } from '../wire/codes.ts'
import type { Share } from '../wire/home.ts'
import type { LockRound } from './homes.ts'
import type { Run } from './phase-two.ts'
import type { Texts } from './texts.ts'
import type { Timed } from './timers.ts'
import type { Unlock } from './unlock.ts'

export interface Branch {
  readonly branchId: bigint
  readonly branchType: number
  status: number
  readonly resourceId: string
  /** `applicationId:ip:port` of the connection that registered it. */
  readonly clientId: string
  readonly lockKey: string
  applicationData: string
  /** Of the request that registered it; 0n: none. */
  readonly identity: bigint
  /** The last rows of the lock key have their homes in other fragments; empty when they need them no more. */
  homes: readonly Share[]
  /** Not state: the leader's question to the homes that is under way. */
  round: LockRound | null
}

/** A home that has not confirmed yet that the branch has no rows there any more. */
export interface Debt {
  readonly branchId: bigint
  readonly home: number
  /** Not state: the leader has sent word. */
  told: boolean
}

const ENDS: ReadonlySet<number> = new Set([
  GlobalStatus.Committed,
  GlobalStatus.Rollbacked,
  GlobalStatus.TimeoutRollbacked,
  GlobalStatus.Finished
])

const ROLLBACKS: ReadonlySet<number> = new Set([
  GlobalStatus.Rollbacking,
  GlobalStatus.RollbackRetrying,
  GlobalStatus.TimeoutRollbacking,
  GlobalStatus.TimeoutRollbackRetrying,
  GlobalStatus.RollbackFailed,
  GlobalStatus.TimeoutRollbackFailed,
  GlobalStatus.RollbackRetryTimeout
])

export class Session implements Timed {
  readonly xid: string
  readonly applicationId: string
  readonly transactionServiceGroup: string
  readonly transactionName: string
  /** Ms after `beginTime`. */
  readonly timeout: number
  /** Unix ms. */
  readonly beginTime: number
  /** Of the request that began it; 0n: none. */
  readonly identity: bigint
  status: number = GlobalStatus.Begin
  /** The client's traceparent at the begin; empty: it sent none. */
  origin = ''
  /** In the order of registration, which is the order of their ids. */
  branches: Branch[] = []
  /** In the order in which they came up. */
  debts: Debt[] = []

  /** Place in the order of begins, for the snapshot. */
  readonly sequence: number

  // Below: not state, but the leader's own notes.
  /** When the leader looks at the session again (Unix ms); see timers.ts. */
  at = 0
  heapIndex = -1
  /** The pass of phase two that is under way. */
  run: Run | null = null
  /** Repeats the word to the homes until there is no debt. */
  unlock: Unlock | null = null

  constructor(
    begun: Pick<
      Session,
      'xid' | 'applicationId' | 'transactionServiceGroup' | 'transactionName' | 'timeout' | 'beginTime' | 'identity'
    >,
    sequence: number,
    texts: Texts
  ) {
    this.xid = begun.xid
    this.applicationId = texts.one(begun.applicationId)
    this.transactionServiceGroup = texts.one(begun.transactionServiceGroup)
    this.transactionName = texts.one(begun.transactionName)
    this.timeout = begun.timeout
    this.beginTime = begun.beginTime
    this.identity = begun.identity
    this.sequence = sequence
  }

  get deadline(): number {
    return this.beginTime + Math.max(0, this.timeout)
  }

  /** It has ended, and is kept only until all homes of its rows have confirmed. */
  get over(): boolean {
    return ENDS.has(this.status)
  }

  /** Its rows may be needed by its own rollback: who must not wait for them fails fast. */
  get rollsBack(): boolean {
    return ROLLBACKS.has(this.status)
  }

  /** Most have one branch, and an empty array makes room for 16 with the first that is pushed. */
  add(branch: Branch): void {
    if (this.branches.length === 0) this.branches = [branch]
    else this.branches.push(branch)
  }

  branch(branchId: bigint): Branch | undefined {
    return this.branches[this.#place(branchId)]
  }

  remove(branchId: bigint): void {
    const place = this.#place(branchId)
    if (place >= 0) this.branches.splice(place, 1)
  }

  /** The branch needs its rows at other homes no more. */
  owe(branch: Branch): void {
    if (branch.homes.length === 0) return
    for (const { home } of branch.homes) this.debts.push({ branchId: branch.branchId, home, told: false })
    branch.homes = []
  }

  /** What is not state goes. */
  forget(): void {
    this.at = 0
    this.heapIndex = -1
    this.run = null
    this.unlock = null
    for (const branch of this.branches) branch.round = null
    for (const debt of this.debts) debt.told = false
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
