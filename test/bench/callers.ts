// The callers of the load program: each runs one transaction after another and checks every answer. In a closed loop the next one
// begins when the last has ended; in an open loop when its time has come, and its latency counts from that time.
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'
import {
  BranchStatus,
  BranchType,
  exceptionOrdinal,
  GlobalStatus,
  MessageType,
  ResultCode
} from '../../tc-core/wire/codes.ts'
import type { AnyMessage, MessageOf } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { V2_0_0 } from '../../tc-core/wire/version.ts'
import type { Channel, Outgoing } from './channel.ts'
import { branchFields, Rows, type Workload } from './workloads.ts'

/** A request id is a caller's slot and its sequence, so an answer finds its caller without a table. */
const SLOT_BITS = 17
const SLOTS = 1 << SLOT_BITS
const SEQUENCES = 0x7fff_ffff >>> SLOT_BITS
export const MAX_CALLERS = SLOTS - 1
/** Until a caller goes on that failed, or asks again for rows that another has; Java's RM asks 30 times. */
const RETRY_MS = 10
const LOCK_RETRIES = 30
const TIMEOUT_MS = 60_000
const HELD_TIMEOUT_MS = 3_600_000
const LOCK_CONFLICT = exceptionOrdinal('LockKeyConflict', V2_0_0)

type Answer =
  | MessageOf<typeof m.GlobalBeginResult>
  | MessageOf<typeof m.BranchRegisterResult>
  | MessageOf<typeof m.GlobalCommitResult>
  | MessageOf<typeof m.GlobalRollbackResult>
type PhaseTwo = MessageOf<typeof m.BranchCommit> | MessageOf<typeof m.BranchRollback>

export interface CallersOptions {
  readonly workload: Workload
  readonly callers: number
  /** Whether RM requests leave in MergedWarps, as Java RMs send them unless told otherwise. */
  readonly merge: boolean
  /** Transactions per second of an open loop; null: a closed loop. */
  readonly rate: number | null
  /** Refused begins are counted and are no errors; what finds no free caller at its time is not sent. */
  readonly shed: boolean
}

class Caller {
  readonly slot: number
  readonly tm: Channel
  readonly rm: Channel
  /** Id of the request under way, 0 when idle. */
  waiting = 0
  /** When the transaction began, or should have. */
  startedAt = 0
  held = false
  xid = ''
  lockKey = ''
  tries = 0
  readonly branches: bigint[] = []
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

/** Of µs. */
const times = (): RecordableHistogram => createHistogram({ lowest: 1, highest: 600_000_000, figures: 3 })
const micros = (since: number) => Math.max(1, Math.round((performance.now() - since) * 1000))

export class Callers {
  /** Of whole transactions that ended in the window. */
  readonly latency = times()
  /** From a begin that was refused in the window to its refusal. */
  readonly refusals = times()
  /** From Committed to BranchCommit, of branches whose transaction was answered in the window. */
  readonly lag = times()
  /** What went wrong, with how often. */
  readonly errors = new Map<string, number>()
  /** Transactions that ended well, inside the window or not. */
  finished = 0
  inFlight = 0
  /** Branches whose transaction was answered Committed and whose BranchCommit did not come yet. */
  owed = 0
  /** The same, at its most in the window. */
  owedMost = 0
  /** Phase-two requests for a branch that had one before. */
  repeated = 0
  /** In the window: registers that met a lock, transactions given up for it, and what was due and not sent. */
  conflicts = 0
  givenUp = 0
  skipped = 0
  readonly #options: CallersOptions
  readonly #rows: Rows
  readonly #fields: { resourceId: string; applicationData: string }
  readonly #callers: Caller[] = []
  /** Who has nothing to do, in an open loop. */
  readonly #free: Caller[] = []
  /** Branches without phase two so far: when their transaction was answered Committed, 0 before. */
  readonly #branches = new Map<bigint, number>()
  #stopped = false
  #envelopes = 0
  #windowFrom = Number.POSITIVE_INFINITY
  #windowTo = Number.POSITIVE_INFINITY
  /** Still to be begun and left alone. */
  #toHold = 0
  #holding = 0
  #onHeld: () => void = () => {}
  /** When the open loop began, and the number of its next transaction. */
  #since = 0
  #due = 0
  #ticking: NodeJS.Timeout | undefined

  constructor(options: CallersOptions, tms: readonly Channel[], rms: readonly Channel[]) {
    this.#options = options
    this.#rows = new Rows(options.workload)
    this.#fields = branchFields(options.workload)
    for (let i = 0; i < options.callers; i++) {
      this.#callers.push(new Caller(i, tms[i % tms.length]!, rms[i % rms.length]!))
    }
    for (const channel of [...tms, ...rms]) channel.onMessage = (message, id) => this.#onMessage(channel, message, id)
  }

  /** Begins so many transactions with their branches and leaves them. */
  hold(count: number): Promise<void> {
    this.#toHold = this.#holding = count
    return new Promise((resolve) => {
      this.#onHeld = resolve
      for (const caller of this.#callers) this.#next(caller)
    })
  }

  start(): void {
    if (this.#options.rate === null) {
      for (const caller of this.#callers) this.#begin(caller, performance.now())
      return
    }
    this.#free.push(...this.#callers)
    this.#since = performance.now()
    this.#ticking = setInterval(() => this.#beginDue(), 1)
  }

  /** What happens from now on counts. */
  measure(): void {
    this.#windowFrom = performance.now()
  }

  measured(): void {
    this.#windowTo = performance.now()
  }

  /** No transaction begins any more. */
  stop(): void {
    this.#stopped = true
    clearInterval(this.#ticking)
  }

  error(text: string): void {
    this.errors.set(text, (this.errors.get(text) ?? 0) + 1)
  }

  get #measuring(): boolean {
    return this.#windowFrom !== Number.POSITIVE_INFINITY && this.#windowTo === Number.POSITIVE_INFINITY
  }

  readonly #envelopeId = (): number => {
    this.#envelopes = this.#envelopes === SEQUENCES ? 1 : this.#envelopes + 1
    return (this.#envelopes << SLOT_BITS) | MAX_CALLERS
  }

  /** All whose time has come: evenly spaced, whether the server is ready for them or not. */
  #beginDue(): void {
    const { rate, shed } = this.#options
    const now = performance.now()
    for (;;) {
      const at = this.#since + (this.#due * 1000) / rate!
      if (at > now || this.#stopped) return
      const caller = this.#free.pop()
      if (!caller && !shed) return
      this.#due++
      if (caller) this.#begin(caller, at)
      else if (this.#measuring) this.skipped++
    }
  }

  /** The caller has nothing more to do for its last transaction. */
  #next(caller: Caller): void {
    caller.waiting = 0
    if (this.#holding > 0) {
      if (this.#toHold > 0) this.#begin(caller, performance.now())
    } else if (this.#options.rate === null) {
      this.#begin(caller, performance.now())
    } else {
      this.#free.push(caller)
      if (!this.#options.shed) this.#beginDue()
    }
  }

  #begin(caller: Caller, at: number): void {
    if (this.#stopped) return
    this.inFlight++
    caller.startedAt = at
    caller.branches.length = 0
    caller.held = this.#toHold > 0
    if (caller.held) this.#toHold--
    const timeout = caller.held ? HELD_TIMEOUT_MS : TIMEOUT_MS
    this.#ask(caller, { type: m.GlobalBegin.code, timeout, transactionName: 'bench' })
  }

  /** A request of the TM. */
  #ask(caller: Caller, message: Outgoing): void {
    if (this.#options.workload.mergeTm) caller.tm.merge(message, caller.nextId(), this.#envelopeId)
    else caller.tm.send(message, MessageType.Request, caller.nextId())
  }

  #register(caller: Caller): void {
    const { branchType } = this.#options.workload
    const { xid, lockKey } = caller
    const message = { type: m.BranchRegister.code, xid, branchType, lockKey, ...this.#fields }
    if (this.#options.merge) caller.rm.merge(message, caller.nextId(), this.#envelopeId)
    else caller.rm.send(message, MessageType.Request, caller.nextId())
  }

  /** The next branch, or the end. */
  #goOn(caller: Caller): void {
    if (caller.branches.length < this.#options.workload.branches) {
      caller.lockKey = this.#rows.next()
      caller.tries = 0
      this.#register(caller)
    } else if (caller.held) {
      this.#held(caller)
    } else {
      this.#ask(caller, { type: m.GlobalCommit.code, xid: caller.xid, extraData: '' })
    }
  }

  #held(caller: Caller): void {
    for (const id of caller.branches) this.#branches.delete(id)
    this.inFlight--
    this.finished++
    this.#next(caller)
    if (--this.#holding === 0) this.#onHeld()
  }

  #end(caller: Caller): void {
    this.finished++
    this.inFlight--
    if (this.#measuring) this.latency.record(micros(caller.startedAt))
    const now = performance.now()
    for (const id of caller.branches) {
      if (!this.#branches.has(id)) continue
      this.#branches.set(id, now)
      this.owed++
    }
    if (this.#measuring && this.owed > this.owedMost) this.owedMost = this.owed
    this.#next(caller)
  }

  /** Gives the transaction up; the caller goes on a little later, so that a broken server is not flooded. */
  #fail(caller: Caller, text: string): void {
    this.error(text)
    this.inFlight--
    caller.waiting = 0
    setTimeout(() => this.#next(caller), RETRY_MS)
  }

  #refused(caller: Caller): void {
    this.inFlight--
    if (this.#measuring) this.refusals.record(micros(caller.startedAt))
    this.#next(caller)
  }

  #conflict(caller: Caller): void {
    if (this.#measuring) this.conflicts++
    if (++caller.tries <= LOCK_RETRIES) {
      caller.waiting = 0
      setTimeout(() => this.#register(caller), RETRY_MS)
    } else {
      if (this.#measuring) this.givenUp++
      this.#ask(caller, { type: m.GlobalRollback.code, xid: caller.xid, extraData: '' })
    }
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
    const { type } = answer
    if (answer.resultCode !== ResultCode.Success) {
      if (type === m.GlobalBeginResult.code && this.#options.shed) return this.#refused(caller)
      const conflict = type === m.BranchRegisterResult.code && answer.transactionExceptionCode === LOCK_CONFLICT
      if (conflict && this.#options.workload.hot > 0) return this.#conflict(caller)
      const text = String(answer.msg).replace(/\d{5,}/g, '#')
      return this.#fail(caller, `type ${type}, exception ${answer.transactionExceptionCode}: ${text}`)
    }
    switch (type) {
      case m.GlobalBeginResult.code:
        if (answer.xid === '') return this.#fail(caller, 'begin gave no xid')
        caller.xid = answer.xid
        return this.#goOn(caller)
      case m.BranchRegisterResult.code:
        if (this.#branches.has(answer.branchId)) return this.#fail(caller, 'a branch id came twice')
        caller.branches.push(answer.branchId)
        this.#branches.set(answer.branchId, 0)
        return this.#goOn(caller)
      case m.GlobalCommitResult.code:
        if (answer.globalStatus === GlobalStatus.Committed) return this.#end(caller)
        return this.#fail(caller, `commit answered with global status ${answer.globalStatus}`)
      case m.GlobalRollbackResult.code:
        if (answer.globalStatus !== GlobalStatus.Rollbacked)
          return this.#fail(caller, `rollback answered with global status ${answer.globalStatus}`)
        for (const id of caller.branches) this.#branches.delete(id)
        this.inFlight--
        return this.#next(caller)
      default:
        return this.#fail(caller, `an answer of type ${(answer as AnyMessage).type} to a request`)
    }
  }

  #phaseTwo(rm: Channel, request: PhaseTwo, id: number): void {
    const { xid, branchId, branchType, type } = request
    const since = this.#branches.get(branchId)
    if (since === undefined) this.repeated++
    else if (since > 0) this.#paid(since)
    this.#branches.delete(branchId)
    const rollback = type === m.BranchRollback.code
    if (rollback && this.#options.workload.hot === 0) this.error('a branch was rolled back')
    if (!rollback && since === 0 && branchType === BranchType.AT) this.#early()
    const branchStatus = rollback ? BranchStatus.PhaseTwo_Rollbacked : BranchStatus.PhaseTwo_Committed
    rm.send({ type: type + 1, resultCode: ResultCode.Success, xid, branchId, branchStatus }, MessageType.Response, id)
  }

  #paid(since: number): void {
    this.owed--
    if (since >= this.#windowFrom && since < this.#windowTo) this.lag.record(micros(since))
  }

  /** The BranchCommit was here before the commit's answer: owed for no time at all. */
  #early(): void {
    if (this.#measuring) this.lag.record(1)
  }
}
