// A fragment while this node leads it: requests become steps, effects become records, and nothing leaves before its record is confirmed.
import { performance } from 'node:perf_hooks'
import { failure } from '../core/answers.ts'
import type { Fragment } from '../core/fragment.ts'
import { type Input, Outputs, type Reply, type Send } from '../core/outputs.ts'
import { XID_TAKEN } from '../core/tm.ts'
import { Appender } from '../replication/append.ts'
import type { LogContext } from '../replication/context.ts'
import { RecordKind } from '../replication/record.ts'
import { Abandoned, attempt } from '../replication/slot.ts'
import { Reader, Writer } from '../wire/bytes.ts'
import type { HomeMessage } from '../wire/home.ts'
import { MAX_UNCONFIRMED_BYTES } from '../wire/limits.ts'
import type { BranchCall, Callee, CallOutcome, LinkRequest, Refusal } from '../wire/link.ts'
import type { Log } from '../wire/log.ts'
import type { AnyMessage } from '../wire/message.ts'
import { isBadBody, readBody, writeBody } from '../wire/messages/index.ts'
import type { Clock } from '../wire/runtime.ts'
import { empty } from '../wire/table.ts'
import { traceTime } from '../wire/tracing.ts'
import type { NodeFigures } from './figures.ts'
import { type HostRequest, OpenRequests } from './open-requests.ts'
import { type Batch, Outbox, type Parcel } from './outbox.ts'
import { type SnapshotPolicy, Snapshots } from './snapshots.ts'
import { type LeaderTracing, named } from './tracing.ts'

/** Messages from one fragment to another; they may be lost. `term` is the sender's, `trace` as of a request. */
export type Between = (from: number, to: number, term: number, message: HomeMessage, trace: string) => void

export interface LeaderOptions {
  readonly fragment: Fragment
  readonly log: LogContext
  readonly clock: Clock
  readonly logger: Log
  readonly linearizableReads: boolean
  readonly snapshots: SnapshotPolicy
  readonly downstream: () => Callee | null
  /** Takes a message to the leader of another fragment, as well as it can. */
  readonly between: Between
  readonly figures?: NodeFigures | undefined
  /** Null: nothing is traced. */
  readonly tracing: LeaderTracing | null
  onDeposed(): void
  /** Something that must not be: the fragment can do no more. */
  onFailure(error: unknown): void
}

/** How long effects that nobody waits for may wait for a record that is written anyway, ms. */
const LEISURE_MS = 20
const NO_EFFECTS = Buffer.alloc(0)

export class Leader {
  readonly #options: LeaderOptions
  readonly #fragment: Fragment
  readonly #appender: Appender
  readonly #snapshots: Snapshots
  readonly #outbox: Outbox
  readonly #out = new Outputs()
  /** The input of the step that is under way, and those that came meanwhile. */
  readonly #inputs: Input[] = []
  readonly #scratch = new Writer(4096)
  readonly #reader = new Reader(NO_EFFECTS)
  /** What was sent to the log and is not confirmed, oldest first. */
  #unconfirmed: Parcel[] = []
  #unconfirmedBytes = 0
  readonly #open = new OpenRequests()
  #flushing = false
  #proving = false
  #verifying = false
  #stopTimer: (() => void) | null = null
  #timerAt = Number.POSITIVE_INFINITY
  #stopped = false
  #draining = false
  /** Calls that were not made any more because this leader hands over. */
  #uncalled = 0
  readonly #tracing: LeaderTracing | null
  /** Requests stepped since this node leads. */
  requests = 0

  constructor(options: LeaderOptions) {
    this.#options = options
    this.#tracing = options.tracing
    this.#fragment = options.fragment
    this.#outbox = new Outbox(options.log)
    this.#appender = new Appender(options.log, () => this.#deposed())
    const now = options.clock.now()
    this.#snapshots = new Snapshots({
      ...options,
      policy: options.snapshots,
      onFailure: (error) => this.#failed(error)
    })
    options.figures?.leads(options.fragment.state, 1)
    this.#fragment.lead(now, options.log.position.term)
    this.#schedule()
    void this.#snapshots.tidy(() => this.#stopped)
  }

  get log(): Pick<Appender, 'appends' | 'inflight'> {
    return this.#appender
  }

  /** Too much waits for the log: better not to take more. */
  get full(): boolean {
    return this.#unconfirmedBytes + this.#outbox.bytes > MAX_UNCONFIRMED_BYTES
  }

  /** When the oldest of what waits for the log came, ms; Infinity when nothing waits. */
  get waitingSince(): number {
    return this.#unconfirmed[0]?.since ?? Number.POSITIVE_INFINITY
  }

  request(link: LinkRequest): void {
    this.requests++
    let message: AnyMessage
    try {
      message = readBody(this.#reader.reset(link.bytes, link.start, link.end), link.dialect)
    } catch (error) {
      if (!isBadBody(error)) throw error
      const type = link.bytes.readUInt16BE(link.start)
      return this.#tell(link, failure({ type }, link.client, 'SEATA_BODY_UNREADABLE', [error.message]))
    }
    const now = this.#options.clock.now()
    this.input({ kind: 'request', request: this.#open.add(link, message, now) }, now)
  }

  /** What leaves in a step may bring the next input at once: it waits until the step is over. */
  input(input: Input, now = this.#options.clock.now()): void {
    if (this.#stopped) return this.#refuse(input)
    // The next leader drives on what is dropped here: nothing of it is in the log. What RMs answer is taken in, or they would be asked again.
    if (this.#draining && input.kind !== 'answered' && input.kind !== 'failed') return this.#refuse(input)
    this.#inputs.push(input)
    if (this.#inputs.length > 1) return
    for (let n = 0; n < this.#inputs.length; n++) {
      if (this.#stopped) this.#refuse(this.#inputs[n]!)
      else this.#step(this.#inputs[n]!, now)
    }
    empty(this.#inputs)
  }

  #step(input: Input, now: number): void {
    const out = this.#out
    const tracing = this.#tracing
    const start = tracing ? traceTime() : 0
    try {
      this.#fragment.step(now, input, out)
      this.#outbox.take(out, now, this, tracing?.stepped(input, out, start, now))
    } catch (error) {
      // A step that throws may have changed half of what it had to: this state is not to be trusted any more.
      this.#refuse(input)
      return this.#options.onFailure(error)
    }
    this.#options.figures?.stepped(out, this.#fragment.state, now)
    for (const { level, xid, text } of out.notes)
      this.#options.logger[level](named(this.#fragment.state, xid, tracing !== null), text)
    out.clear()
    this.#schedule()
  }

  #refuse(input: Input): void {
    if (input.kind === 'request') this.#refuseRequest(input.request as HostRequest, 'lost')
  }

  /** Part of Outbox.take: leaves without waiting. */
  reply(reply: Reply): void {
    const request = reply.request as HostRequest
    if (reply.message === XID_TAKEN) this.#refuseRequest(request, 'xid-taken')
    else this.#answer(request, reply.message)
  }

  /** Part of Outbox.take: leaves without waiting. */
  call(call: BranchCall): void {
    if (this.#draining) return void this.#uncalled++
    const downstream = this.#options.downstream()
    const { id } = call
    if (!downstream) return this.#options.clock.defer(() => this.#called(id, 'not-connected'))
    const trace = this.#tracing?.calls(call, this.#options.clock.now())
    downstream.call(trace ? { ...call, trace } : call, (outcome) => this.#called(id, outcome))
  }

  /** Part of Outbox.take: leaves without waiting. */
  send({ to, message }: Send): void {
    const { between, log } = this.#options
    const trace = this.#tracing?.traceOf(message) ?? ''
    between(this.#fragment.state.fragment, to, log.position.term, message, trace)
  }

  #called(call: number, outcome: CallOutcome): void {
    if (typeof outcome === 'number') this.input({ kind: 'answered', call, branchStatus: outcome })
    else this.input({ kind: 'failed', call, reason: outcome })
  }

  #refuseRequest(request: HostRequest, reason: Refusal): void {
    if (!this.#open.delete(request)) return
    this.#tracing?.answered(request.link)
    request.link.refuse(reason)
  }

  #answer(request: HostRequest, message: AnyMessage): void {
    if (this.#open.delete(request)) this.#tell(request.link, message)
  }

  #tell(link: LinkRequest, message: AnyMessage): void {
    this.#tracing?.answered(link)
    const w = this.#scratch
    w.pos = 0
    writeBody(w, message, link.dialect)
    link.answer(w.written)
  }

  /** Appends at the end of this turn of the event loop: what came with it goes into the same record. */
  #schedule(): void {
    if (this.#flushing) return
    this.#flushing = true
    this.#options.clock.defer(() => {
      this.#flushing = false
      this.#flush()
    })
  }

  #flush(): void {
    if (this.#stopped) return
    const all = this.#draining || this.#options.clock.now() >= this.#outbox.idleSince + LEISURE_MS
    while (!this.#appender.full && (all || this.#outbox.hurried)) {
      const batch = this.#outbox.next()
      if (!batch) break
      this.#append(batch)
    }
    if (this.#outbox.hasReads && !this.#outbox.hasEffects && this.#appender.inflight === 0) void this.#prove()
    this.#arm()
  }

  #append(batch: Batch): void {
    const { payload } = batch
    const barrier = this.#snapshots.isDue(payload.length) && !this.#outbox.hasEffects
    this.#unconfirmed.push(batch)
    this.#unconfirmedBytes += payload.length
    const { next: index } = this.#appender
    const trip = this.#tracing?.leaves(batch.steps, index, payload.length, false)
    const start = performance.now()
    const confirmed = this.#appender.append(barrier ? RecordKind.Barrier : RecordKind.Data, payload)
    if (barrier) void this.#snapshots.take(this.#fragment.state, index, confirmed)
    confirmed.then(
      () => {
        this.#unconfirmedBytes -= payload.length
        this.#outbox.confirmed(batch)
        if (trip) this.#tracing!.arrived(trip)
        this.#options.figures?.appended(this.#fragment.state.fragment, batch, performance.now() - start)
        // The store goes on at once: it is idle as long as what waits for it is not sent.
        this.#flush()
        this.#release(batch)
      },
      (error) => this.#failed(error)
    )
  }

  #release(parcel: Parcel): void {
    this.#unconfirmed = this.#unconfirmed.filter((one) => one !== parcel)
    if (this.#stopped) return
    for (const reply of parcel.replies) this.reply(reply)
    for (const call of parcel.calls) this.call(call)
    for (const send of parcel.sends) this.send(send)
    if (parcel.steps.length > 0) this.#tracing!.over(parcel.steps)
  }

  /** Reads with no append to prove by: the next index is free, so nobody has taken the lead. */
  async #prove(): Promise<void> {
    if (this.#proving) return
    if (!this.#options.linearizableReads) return this.#append({ ...this.#outbox.takeReads()!, payload: NO_EFFECTS })
    this.#proving = true
    const reads = this.#outbox.takeReads()!
    this.#unconfirmed.push(reads)
    const index = this.#appender.next
    const trip = this.#tracing?.leaves(reads.steps, index, 0, true)
    try {
      const { log } = this.#options
      const key = log.keys.entry(index)
      const mine = this.#appender.appends
      const taken = await attempt(log, () => log.lane.get(key))
      // An append of our own may be on its way to that index by now: then it is that append that proves.
      const overtaken = this.#appender.appends !== mine
      if (trip) this.#tracing!.arrived(trip, overtaken ? 'overtaken' : undefined)
      if (taken && !overtaken) return this.#deposed()
      this.#unconfirmed = this.#unconfirmed.filter((one) => one !== reads)
      if (overtaken) this.#outbox.giveBack(reads)
      else this.#release(reads)
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#proving = false
    }
    this.#flush()
  }

  /** Whether another leads: with appends on the way they find out, else the next index is looked at. */
  verify(): void {
    if (this.#verifying || this.#appender.inflight > 0) return
    this.#verifying = true
    const { log } = this.#options
    const index = this.#appender.next
    attempt(log, () => log.lane.get(log.keys.entry(index)))
      .then(
        (taken) => {
          if (taken && index === this.#appender.next) this.#deposed()
        },
        (error) => this.#failed(error)
      )
      .finally(() => {
        this.#verifying = false
      })
  }

  /** Wakes up for what is due next, in the state or for who waits too long. */
  #arm(): void {
    const { clock } = this.#options
    const { idleSince } = this.#outbox
    const at = Math.min(this.#fragment.timers.next, this.#open.impatientAt, idleSince + LEISURE_MS)
    if (at >= this.#timerAt) return
    this.#stopTimer?.()
    this.#timerAt = at
    this.#stopTimer = clock.timer(Math.min(Math.max(1, at - clock.now()), 2 ** 31 - 1), () => {
      this.#timerAt = Number.POSITIVE_INFINITY
      this.#stopTimer = null
      if (this.#open.impatientAt <= clock.now()) this.#expire(clock.now())
      if (this.#fragment.timers.next <= clock.now()) this.input({ kind: 'tick' })
      else this.#flush()
    })
  }

  /** The log stands still: clients hear of it before their own patience ends. What becomes of their requests is open. */
  #expire(now: number): void {
    for (const request of this.#open.impatient(now, this.waitingSince)) {
      const { message, client } = request
      this.#answer(request, failure(message, client, 'SEATA_STORE_UNAVAILABLE', ['it does not confirm']))
    }
  }

  #failed(error: unknown): void {
    if (this.#stopped || error instanceof Abandoned) return
    this.#options.onFailure(error)
  }

  #deposed(): void {
    if (this.#stopped) return
    this.stop()
    this.#options.onDeposed()
  }

  /** Ends at once. Who still waits hears that its request is lost: whether it was executed is open. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.#stopTimer?.()
    for (const request of this.#open.all()) this.#refuseRequest(request, 'lost')
    this.#tracing?.stop()
    this.#options.figures?.leads(this.#fragment.state, -1)
    this.#unconfirmed = []
  }

  /** The store does not do, for people who look at traces. */
  trouble(message: string): void {
    this.#tracing?.trouble(message)
    this.#options.figures?.outage()
  }

  /** Calls that were made and are not answered. */
  get calling(): number {
    return this.#fragment.calls.size - this.#uncalled
  }

  /** Takes nothing more and calls nobody, so that soon nothing waits for the log. */
  drain(): void {
    this.#draining = true
    this.#schedule()
  }

  /** Nothing waits for the log. */
  get idle(): boolean {
    return this.#unconfirmed.length === 0 && !this.#outbox.hasEffects && !this.#outbox.hasReads
  }
}
