// The closed-loop callers of the load program: each runs one transaction after another and checks every answer.
import { createHistogram } from 'node:perf_hooks'
import { BranchStatus, BranchType, GlobalStatus, MessageType, ResultCode } from '../../tc-core/wire/codes.ts'
import type { AnyMessage, MessageOf } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import type { Channel } from './channel.ts'

export interface Workload {
  /** What one transaction is. */
  readonly what: string
  readonly callers: number
  /** Branch type of the one branch, null for none. */
  readonly branchType: number | null
}

export const WORKLOADS: Readonly<Record<string, Workload>> = {
  empty: { what: 'begin, commit', callers: 64, branchType: null },
  tcc: { what: 'begin, one TCC branch, commit', callers: 32, branchType: BranchType.TCC },
  at: { what: 'begin, one AT branch with a row lock of its own, commit', callers: 32, branchType: BranchType.AT }
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

/** A request id is a caller's slot and its sequence, so an answer finds its caller without a table. */
const SLOT_BITS = 10
const SLOTS = 1 << SLOT_BITS
const SEQUENCES = 0x7fff_ffff >>> SLOT_BITS
export const MAX_CALLERS = SLOTS - 1
const RETRY_MS = 10

type Answer =
  | MessageOf<typeof m.GlobalBeginResult>
  | MessageOf<typeof m.BranchRegisterResult>
  | MessageOf<typeof m.GlobalCommitResult>
type PhaseTwo = MessageOf<typeof m.BranchCommit> | MessageOf<typeof m.BranchRollback>

class Caller {
  readonly slot: number
  readonly tm: Channel
  readonly rm: Channel
  /** Id of the request under way, 0 when idle. */
  waiting = 0
  startedAt = 0
  xid = ''
  branchId = 0n
  #sequence = 0

  constructor(slot: number, tm: Channel, rm: Channel) {
    this.slot = slot
    this.tm = tm
    this.rm = rm
  }

  nextId(): number {
    this.#sequence = this.#sequence === SEQUENCES ? 1 : this.#sequence + 1
    return (this.waiting = (this.#sequence << SLOT_BITS) | this.slot)
  }
}

export class Callers {
  /** Latencies of whole transactions that ended in the window, in µs. */
  readonly latency = createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 })
  /** What went wrong, with how often. */
  readonly errors = new Map<string, number>()
  measuring = false
  /** Transactions that ended well, inside the window or not. */
  finished = 0
  inFlight = 0
  /** Branches whose transaction was answered Committed and whose BranchCommit did not come yet. */
  owed = 0
  /** Phase-two requests for a branch that had one before. */
  repeated = 0
  readonly #workload: Workload
  readonly #merge: boolean
  readonly #callers: Caller[] = []
  /** Branches without phase two so far: whether their transaction was answered Committed. */
  readonly #branches = new Map<bigint, boolean>()
  #stopped = false
  #envelopes = 0
  #row = Date.now() * 1000

  /** @param merge whether RM requests leave in MergedWarps, as Java RMs send them unless told otherwise */
  constructor(workload: Workload, callers: number, merge: boolean, tms: readonly Channel[], rms: readonly Channel[]) {
    this.#workload = workload
    this.#merge = merge
    for (let i = 0; i < callers; i++) this.#callers.push(new Caller(i, tms[i % tms.length]!, rms[i % rms.length]!))
    for (const channel of [...tms, ...rms]) channel.onMessage = (message, id) => this.#onMessage(channel, message, id)
  }

  start(): void {
    for (const caller of this.#callers) this.#begin(caller)
  }

  /** No transaction begins any more. */
  stop(): void {
    this.#stopped = true
  }

  error(text: string): void {
    this.errors.set(text, (this.errors.get(text) ?? 0) + 1)
  }

  readonly #envelopeId = (): number => {
    this.#envelopes = this.#envelopes === SEQUENCES ? 1 : this.#envelopes + 1
    return (this.#envelopes << SLOT_BITS) | MAX_CALLERS
  }

  #begin(caller: Caller): void {
    if (this.#stopped) return
    this.inFlight++
    caller.startedAt = performance.now()
    const message = { type: m.GlobalBegin.code, timeout: 60_000, transactionName: 'bench' }
    caller.tm.send(message, MessageType.Request, caller.nextId())
  }

  #register(caller: Caller, branchType: number): void {
    const at = branchType === BranchType.AT
    const message = {
      type: m.BranchRegister.code,
      xid: caller.xid,
      branchType,
      resourceId: at ? RESOURCES.at : RESOURCES.tcc,
      lockKey: at ? `t:${this.#row++}` : '',
      applicationData: at ? '' : TCC_CONTEXT
    }
    if (this.#merge) caller.rm.merge(message, caller.nextId(), this.#envelopeId)
    else caller.rm.send(message, MessageType.Request, caller.nextId())
  }

  #commit(caller: Caller): void {
    const message = { type: m.GlobalCommit.code, xid: caller.xid, extraData: '' }
    caller.tm.send(message, MessageType.Request, caller.nextId())
  }

  #end(caller: Caller): void {
    this.finished++
    this.inFlight--
    caller.waiting = 0
    if (this.measuring) this.latency.record(Math.max(1, Math.round((performance.now() - caller.startedAt) * 1000)))
    if (this.#workload.branchType !== null && this.#branches.has(caller.branchId)) {
      this.#branches.set(caller.branchId, true)
      this.owed++
    }
    this.#begin(caller)
  }

  /** Gives the transaction up; the caller goes on a little later, so that a broken server is not flooded. */
  #fail(caller: Caller, text: string): void {
    this.error(text)
    this.inFlight--
    caller.waiting = 0
    setTimeout(() => this.#begin(caller), RETRY_MS)
  }

  #onMessage(channel: Channel, message: AnyMessage, id: number): void {
    const { type } = message
    if (type === m.BranchCommit.code || type === m.BranchRollback.code) {
      this.#phaseTwo(channel, message as PhaseTwo, id)
    } else if (type !== m.UndoLogDelete.code) {
      const caller = this.#callers[id & MAX_CALLERS]
      if (caller === undefined || caller.waiting !== id || id <= 0)
        this.error(`a message of type ${type} answers nothing`)
      else this.#onAnswer(caller, message as Answer)
    }
  }

  #onAnswer(caller: Caller, answer: Answer): void {
    if (answer.resultCode !== ResultCode.Success) {
      const text = String(answer.msg).replace(/\d{5,}/g, '#')
      return this.#fail(caller, `type ${answer.type}, exception ${answer.transactionExceptionCode}: ${text}`)
    }
    const { branchType } = this.#workload
    switch (answer.type) {
      case m.GlobalBeginResult.code:
        if (answer.xid === '') return this.#fail(caller, 'begin gave no xid')
        caller.xid = answer.xid
        return branchType === null ? this.#commit(caller) : this.#register(caller, branchType)
      case m.BranchRegisterResult.code:
        if (this.#branches.has(answer.branchId)) return this.#fail(caller, 'a branch id came twice')
        caller.branchId = answer.branchId
        this.#branches.set(answer.branchId, false)
        return this.#commit(caller)
      case m.GlobalCommitResult.code:
        if (answer.globalStatus === GlobalStatus.Committed) return this.#end(caller)
        return this.#fail(caller, `commit answered with global status ${answer.globalStatus}`)
      default:
        return this.#fail(caller, `an answer of type ${(answer as AnyMessage).type} to a request`)
    }
  }

  #phaseTwo(rm: Channel, request: PhaseTwo, id: number): void {
    const { xid, branchId, type } = request
    const committed = this.#branches.get(branchId)
    if (committed === undefined) this.repeated++
    else if (committed) this.owed--
    this.#branches.delete(branchId)
    const rollback = type === m.BranchRollback.code
    if (rollback) this.error('a branch was rolled back')
    const branchStatus = rollback ? BranchStatus.PhaseTwo_Rollbacked : BranchStatus.PhaseTwo_Committed
    rm.send({ type: type + 1, resultCode: ResultCode.Success, xid, branchId, branchStatus }, MessageType.Response, id)
  }
}
