// The fragment as its leader drives it: (state, now, input) in, outputs out. No clock, socket, chance or await.

import { GlobalStatus } from '../wire/codes.ts'
import {
  BranchNeeded,
  BranchNeededResult,
  type HomeMessage,
  LockQuery,
  LockQueryResult,
  LockResult,
  LockRows,
  Rollbacking,
  RowsFreed,
  UnlockRows
} from '../wire/home.ts'
import type { Limits } from '../wire/limits.ts'
import type { LockHomes } from '../wire/lock-homes.ts'
import type { AnyMessage, MessageOf } from '../wire/message.ts'
import {
  BranchRegister,
  BranchReport,
  GlobalBegin,
  GlobalCommit,
  GlobalLockQuery,
  GlobalReport,
  GlobalRollback,
  GlobalStatus as GlobalStatusRequest
} from '../wire/messages/index.ts'
import { failure } from './answers.ts'
import { Call, Calls } from './calls.ts'
import { type Effect, SessionEnded } from './effects.ts'
import { answerLockQuery, lockRows, rollbacking, unlockRows } from './home.ts'
import { ALL_HERE } from './homes.ts'
import { lockQuery } from './lock-query.ts'
import type { Input, Outputs, Release, Request } from './outputs.ts'
import { isUnfinished, resume } from './phase-two.ts'
import { register, report } from './rm.ts'
import { Rounds } from './rounds.ts'
import type { Rule } from './rules.ts'
import { Session } from './session.ts'
import { branchId, branchNumber, type State } from './state.ts'
import { branchNeeded, branchNeededResult, Sweep } from './sweep.ts'
import { type Timed, Timers } from './timers.ts'
import { begin, commit, globalReport, rollback, status, timedOut } from './tm.ts'
import { resumeUnlock, rowsFreed } from './unlock.ts'

/** What an operator may set, in Seata's names. */
export interface Settings {
  readonly limits: Limits
  /** Ms between two passes of phase two over a transaction whose RMs did not all agree. */
  readonly retryPeriod: number
  /** Ms after begin until a commit that cannot be finished is given up; negative: never. */
  readonly maxCommitRetryTimeout: number
  readonly maxRollbackRetryTimeout: number
  /** Whether rows are freed when a rollback is given up; data may be dirty then. */
  readonly rollbackFailedUnlockEnable: boolean
  /** Ms beyond the transaction's timeout until an XA branch that its database does not know counts as done. */
  readonly xaerNotaRetryTimeout: number
  /** Ms that an RM has to answer a phase-two request. */
  readonly rpcTcRequestTimeout: number
  /** The fragment that guards a row: the same for ever, and on every node. */
  readonly homes: LockHomes
  /** Only in tests: a rule that is not kept. */
  readonly without?: Rule
}

export const DEFAULT_SETTINGS: Omit<Settings, 'limits'> = {
  retryPeriod: 1000,
  maxCommitRetryTimeout: -1,
  maxRollbackRetryTimeout: -1,
  rollbackFailedUnlockEnable: false,
  xaerNotaRetryTimeout: 60_000,
  rpcTcRequestTimeout: 15_000,
  homes: ALL_HERE
}

/** Sessions, calls and others that one tick looks at: what a step logs must fit a record. */
const TICK_SLICE = 256

/** What sees to itself when its time has come. */
interface Due extends Timed {
  due(f: Fragment): void
}

export class Fragment {
  readonly state: State
  readonly settings: Settings
  /** Sessions whose time comes, calls that wait for an RM, and what waits for other fragments. */
  readonly timers = new Timers<Session | Call | Due>()
  readonly calls = new Calls()
  readonly rounds = new Rounds()
  readonly sweep = new Sweep()
  /** In which this replica leads. */
  term = 0
  /** Set for the time of a step. */
  now = 0
  out!: Outputs
  #lastBranch: number
  readonly #firstBranch: number
  /** The highest term in which each other fragment's leader was heard. */
  readonly #heard = new Map<number, number>()

  /** `state` is at the end of the log, and this replica leads. */
  constructor(state: State, settings: Settings) {
    this.state = state
    this.settings = settings
    this.#lastBranch = state.lastBranch
    this.#firstBranch = state.lastBranch + 1
  }

  /** Takes up what the log says is unfinished: deadlines, phase two and unlocking with the next tick. Call it before the first step. */
  lead(now: number, term = 0): void {
    this.term = term
    this.sweep.begin(this, now)
    for (const session of this.state.sessions.values()) {
      if (session.status === GlobalStatus.Begin) this.timers.set(session, session.deadline + 1)
      else if (isUnfinished(session)) this.timers.set(session, now)
      resumeUnlock(this, session, now)
    }
  }

  step(now: number, input: Input, out: Outputs): void {
    this.now = now
    this.out = out
    switch (input.kind) {
      case 'request':
        return this.#request(input.request)
      case 'answered':
        return this.calls.answered(this, input.call, input.branchStatus)
      case 'failed':
        return this.calls.failed(this, input.call, input.reason)
      case 'resources':
        for (const session of this.calls.unblock(input.resourceIds)) this.timers.set(session, now)
        return
      case 'between':
        return this.#between(input)
      case 'tick':
        this.#tick()
    }
  }

  #request(request: Request): void {
    const { message } = request
    switch (message.type) {
      case GlobalBegin.code:
        return begin(this, request, message as MessageOf<typeof GlobalBegin>)
      case BranchRegister.code:
        return register(this, request, message as MessageOf<typeof BranchRegister>)
      case GlobalCommit.code:
        return commit(this, request, message as MessageOf<typeof GlobalCommit>)
      case GlobalRollback.code:
        return rollback(this, request, message as MessageOf<typeof GlobalRollback>)
      case BranchReport.code:
        return report(this, request, message as MessageOf<typeof BranchReport>)
      case GlobalStatusRequest.code:
        return status(this, request, message as MessageOf<typeof GlobalStatusRequest>)
      case GlobalReport.code:
        return globalReport(this, request, message as MessageOf<typeof GlobalReport>)
      case GlobalLockQuery.code:
        return lockQuery(this, request, message as MessageOf<typeof GlobalLockQuery>)
      default:
        this.reply(request, failure(message, request.client, 'SEATA_NOT_A_REQUEST', [message.type]), 'now')
    }
  }

  /** What a deposed leader still says is not heard once its successor was. */
  #between({ from, term, message }: Extract<Input, { kind: 'between' }>): void {
    if (term < (this.#heard.get(from) ?? 0)) return
    this.#heard.set(from, term)
    switch (message.type) {
      case LockRows.code:
        return lockRows(this, from, message)
      case UnlockRows.code:
        return unlockRows(this, from, message)
      case Rollbacking.code:
        return rollbacking(this, from, message)
      case LockQuery.code:
        return answerLockQuery(this, from, message)
      case BranchNeeded.code:
        return branchNeeded(this, from, message)
      case BranchNeededResult.code:
        return branchNeededResult(this, from, message)
      case RowsFreed.code:
        return rowsFreed(this, from, message)
      case LockResult.code:
      case LockQueryResult.code:
        this.rounds.answered(this, from, message)
    }
  }

  /** What is due, a slice at a time: the caller ticks again while `timers.next` is not in the future. */
  #tick(): void {
    for (let n = 0; n < TICK_SLICE; n++) {
      const item = this.timers.due(this.now)
      if (!item) return
      if (item instanceof Call) this.calls.failed(this, item.id, 'no-answer')
      else if (!(item instanceof Session)) item.due(this)
      else if (item.status === GlobalStatus.Begin) timedOut(this, item)
      else resume(this, item)
    }
  }

  /** Changes the state, and says so to the log. */
  emit(effect: Effect): void {
    this.out.effects.push(effect)
    if (effect.type === SessionEnded.code) {
      this.out.ended.push({ session: this.state.sessions.get(effect.xid)!, status: effect.status })
    }
    this.state.apply(effect)
  }

  reply(request: Request, message: AnyMessage, release: Release): void {
    this.out.replies.push({ request, message, release })
  }

  /** To the leader of another fragment. */
  send(to: number, message: HomeMessage, release: Release): void {
    this.out.sends.push({ to, message, release })
  }

  note(level: 'info' | 'warn' | 'error', xid: string, text: string): void {
    this.out.notes.push({ level, xid, text })
  }

  /** The requests that this leader took and has not answered: they are lost when it is deposed. Looks at everything, for the end only. */
  *unanswered(): Iterable<Request> {
    for (const { run } of this.state.sessions.values()) if (run?.waiting) yield run.waiting
    yield* this.rounds.unanswered()
  }

  /** Whether an earlier leader registered the branch, and may have acknowledged it. */
  inherits(branchId: bigint): boolean {
    return branchNumber(branchId) < this.#firstBranch
  }

  /** An id that no branch of this fragment ever had, nor ever will. */
  newBranchId(): bigint {
    return branchId(this.state.fragment, ++this.#lastBranch)
  }
}
