// What the load program's transactions are: one table of workloads, and the rows that their branches lock.
import { BranchType } from '../../tc-core/wire/codes.ts'

export interface Workload {
  /** What one transaction is. */
  readonly what: string
  readonly callers: number
  readonly branches: number
  readonly branchType: number
  /** Rows that one branch locks. */
  readonly rows: number
  /** The rows are drawn from so many, so that transactions meet; 0: each has rows of its own. */
  readonly hot: number
  /** TM requests in MergedWarps as well; RM requests are unless told otherwise. */
  readonly mergeTm: boolean
  /** TM connections, and as many RM connections. */
  readonly connections: number
  /** Registered connections that do nothing but send their heartbeats. */
  readonly idle: number
  /** Transactions that were begun before, with their branches, and live on. */
  readonly held: number
}

const EMPTY: Workload = {
  what: 'begin, commit',
  callers: 64,
  branches: 0,
  branchType: BranchType.AT,
  rows: 0,
  hot: 0,
  mergeTm: false,
  connections: 4,
  idle: 0,
  held: 0
}
const AT: Workload = {
  ...EMPTY,
  what: 'begin, one AT branch with a row of its own, commit',
  callers: 32,
  branches: 1,
  rows: 1
}
const HOT_ROWS = 64

export const WORKLOADS: Readonly<Record<string, Workload>> = {
  empty: EMPTY,
  tcc: { ...EMPTY, what: 'begin, one TCC branch, commit', callers: 32, branches: 1, branchType: BranchType.TCC },
  at: AT,
  at4: { ...AT, what: 'begin, four AT branches of four rows each, commit', branches: 4, rows: 4 },
  hot: {
    ...AT,
    what: `as at, with 2 of ${HOT_ROWS} rows that all share, asked for again every 10 ms`,
    rows: 2,
    hot: HOT_ROWS
  },
  deduct: { ...AT, what: 'as at, with one of 3,000,000 rows that all share', hot: 3_000_000 },
  merged: { ...AT, what: 'as at, begins and commits in MergedWarps too', mergeTm: true },
  idle: {
    ...AT,
    what: 'as at over 64 connections, 1,000 idle ones beside them',
    callers: 64,
    connections: 32,
    idle: 1000
  },
  live: { ...AT, what: 'as at, while 100,000 other transactions live', held: 100_000 }
}

export const RESOURCES = { tcc: 'benchTccAction', at: 'jdbc:mysql://127.0.0.1:3306/bench' }

/** What a Java TCC participant sends along. */
const TCC_CONTEXT = JSON.stringify({
  actionContext: {
    'action-start-time': 1700000000000,
    useTCCFence: false,
    'sys::prepare': 'prepare',
    'sys::commit': 'commit',
    'sys::rollback': 'rollback',
    'host-name': '127.0.0.1',
    actionName: RESOURCES.tcc
  }
})

/** What a branch of each type says of itself. */
export function branchFields({ branchType }: Workload): { resourceId: string; applicationData: string } {
  if (branchType === BranchType.TCC) return { resourceId: RESOURCES.tcc, applicationData: TCC_CONTEXT }
  return { resourceId: RESOURCES.at, applicationData: '' }
}

/** Lock keys of one workload. */
export class Rows {
  readonly #rows: number
  readonly #hot: number
  /** Of rows that nobody else has, in this run or another. */
  #own = Date.now() * 1000
  #drawn = 1

  constructor({ rows, hot }: Workload) {
    this.#rows = rows
    this.#hot = hot
  }

  next(): string {
    if (this.#rows === 0) return ''
    const first = this.#hot > 0 ? this.#draw() : this.#own
    this.#own += this.#rows
    let key = `t:${first}`
    for (let i = 1; i < this.#rows; i++) key += `,${this.#hot > 0 ? (first + i) % this.#hot : first + i}`
    return key
  }

  /** The same rows in the same order in every run: a generator of the congruent kind. */
  #draw(): number {
    this.#drawn = (Math.imul(this.#drawn, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((this.#drawn / 2 ** 32) * this.#hot)
  }
}
