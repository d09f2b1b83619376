// What a fragment's leader does for a transaction, as spans: steps, the log and its store, calls of RMs, homes of rows, and the transaction
// itself. The core knows nothing of it: its inputs and outputs are looked at from outside.
import { type Attributes, type Span, type SpanContext, SpanKind } from '@opentelemetry/api'
import { SessionEnded, StatusChanged } from '../core/effects.ts'
import type { Ended, Input, Outputs } from '../core/outputs.ts'
import type { Session } from '../core/session.ts'
import type { State } from '../core/state.ts'
import { XID_TAKEN } from '../core/tm.ts'
import { GlobalStatus, statusName } from '../wire/codes.ts'
import { type HomeMessage, homeMessages, LockRows } from '../wire/home.ts'
import type { BranchCall, LinkRequest } from '../wire/link.ts'
import { formatTraceparent, parseTraceparent, traceIdOf } from '../wire/trace-context.ts'
import { Attribute, EventName, fail, SpanName, type Tracing, traceTime } from '../wire/tracing.ts'
import { isTraced, timeOf } from '../wire/xid.ts'

/** Links of one span to others: what a batch carries beyond is only counted. */
const MAX_LINKS = 128
const NO_STEPS: readonly StepTrace[] = []

interface Cause {
  readonly xid: string
  readonly parent: SpanContext
}

/** What a step did for one transaction, and its way through the log. */
export interface StepTrace {
  readonly parent: SpanContext
  readonly xid: string
  readonly since: number
  /** While its record, or the proof that it waits for, is on its way. */
  span: Span | null
  /** The transactions that are over with it. */
  readonly ended: Ended[]
}

/** Records, or reads, on their way to the store. */
export interface Trip {
  readonly steps: readonly StepTrace[]
  readonly store: Span
}

interface OpenCall {
  readonly span: Span
  readonly context: SpanContext
  readonly xid: string
  /** When the core gives it up, on its clock. */
  readonly until: number
}

/** What names the fragment, where it is and how its log is kept. */
interface Place {
  readonly tracing?: Tracing | undefined
  readonly node: string
  readonly cluster: string
  readonly storage: { readonly url: string }
}

interface Options {
  readonly tracing: Tracing
  readonly state: State
  readonly term: number
  readonly node: string
  /** Of the store: its engine, and the namespace of its keys. */
  readonly engine: string
  readonly namespace: string
}

export class LeaderTracing {
  readonly #o: Options
  readonly #since = traceTime()
  readonly #calls = new Map<number, OpenCall>()
  readonly #homes = new Map<LinkRequest, Span>()
  readonly #trips = new Set<Trip>()
  /** What is told with the transaction's own span, and how often each branch was called; by XID, of traced transactions that live. */
  readonly #notes = new Map<string, { events: [string, Attributes, number][]; calls: Map<bigint, number> }>()

  /** Null: nothing is traced. */
  static of({ tracing, node, cluster, storage }: Place, state: State, term: number): LeaderTracing | null {
    if (!tracing?.on) return null
    // With TLS it is the same engine.
    const engine = storage.url.slice(0, storage.url.indexOf(':')).replace(/^(etcd|redis)s$/, '$1')
    return new LeaderTracing({ tracing, state, term, node, engine, namespace: cluster })
  }

  constructor(options: Options) {
    this.#o = options
  }

  /** The transaction's own span; null when it is not traced. */
  #contextOf(session: Session, status: number, now: number): SpanContext | null {
    const { xid, origin } = session
    const kept = !isTraced(xid) && this.#isWanted(status) && this.#keeps(session, now)
    return this.#o.tracing.contextOf(xid, origin, kept)
  }

  #isWanted(status: number): boolean {
    const { tracing } = this.#o
    return (tracing.keeps('rollback') && ROLLBACKS.has(status)) || (tracing.keeps('timeout') && TIMEOUTS.has(status))
  }

  /** Whether it is told of one that was passed over: what was begun, here or by the leader before, is gone on with. */
  #keeps({ xid, beginTime }: Session, now: number): boolean {
    return this.#notes.has(xid) || beginTime < this.#since || this.#o.tracing.affords(now)
  }

  /** What a message to another fragment is part of. */
  traceOf(message: HomeMessage): string {
    const session = 'xid' in message ? this.#o.state.sessions.get(message.xid) : undefined
    const told = session && (isTraced(session.xid) || this.#notes.has(session.xid))
    const context = told && this.#o.tracing.contextOf(session.xid, session.origin, true)
    return context ? formatTraceparent(context) : ''
  }

  /** After a step: its spans, and what has to follow them through the log. */
  stepped(input: Input, out: Outputs, start: number, now: number): readonly StepTrace[] {
    if (this.#calls.size > 0) this.#giveUp(now)
    if (out.replies[0]?.message === XID_TAKEN) return NO_STEPS
    let steps = NO_STEPS
    const cause = this.#causeOf(input)
    if (cause) steps = [this.#step(cause, input, out, start)]
    for (const effect of out.effects) {
      if (effect.type !== StatusChanged.code && effect.type !== SessionEnded.code) continue
      const { xid, status } = effect
      if (!isTraced(xid) && !this.#isWanted(status)) continue
      const session = this.#o.state.sessions.get(xid) ?? out.ended.find((e) => e.session.xid === xid)?.session
      const context = session && this.#contextOf(session, status, now)
      if (!context) continue
      this.#noted(session, EventName.Status, { [Attribute.Status]: statusName(status) })
      if (steps.some((step) => step.xid === xid)) continue
      steps = [...steps, this.#step({ xid, parent: context }, input, out, start)]
    }
    for (const ended of out.ended) steps = this.#ending(ended, steps, now)
    return steps
  }

  /** What a step belongs to that is told of a traced transaction by its input. */
  #causeOf(input: Input): Cause | null {
    if (input.kind === 'request') {
      const { link, message, proposed } = input.request as typeof input.request & { link: LinkRequest }
      const parent = parseTraceparent(link.trace)
      if (!parent) return null
      return { xid: (message as { xid?: string }).xid ?? proposed ?? '', parent }
    }
    if (input.kind === 'answered' || input.kind === 'failed') {
      const call = this.#calls.get(input.call)
      if (!call) return null
      this.#calls.delete(input.call)
      const outcome = input.kind === 'answered' ? input.branchStatus : input.reason
      if (typeof outcome === 'number')
        call.span.addEvent(EventName.RmAnswer, { [Attribute.BranchStatus]: outcome }, traceTime())
      else fail(call.span, outcome)
      call.span.end(traceTime())
      return { xid: call.xid, parent: call.context }
    }
    if (input.kind === 'between') {
      const parent = parseTraceparent(input.trace)
      const { message } = input
      if (!parent || !('xid' in message)) return null
      return { xid: message.xid, parent }
    }
    return null
  }

  #step({ xid, parent }: Cause, input: Input, out: Outputs, start: number): StepTrace {
    const { tracing, state, term } = this.#o
    const home = input.kind === 'between'
    const span = tracing
      .start(home ? SpanName.Home : SpanName.Step, SpanKind.INTERNAL, parent, start)
      .setAttribute(Attribute.Fragment, state.fragment)
      .setAttribute(Attribute.Term, term)
      .setAttribute(Attribute.Trigger, home ? homeMessages.find(input.message.type)!.name : input.kind)
    if (home) span.setAttribute(Attribute.Xid, xid)
    const since = traceTime()
    // What RMs answer decides nothing any more, also where a commit goes on without those who wait.
    const decides = input.kind !== 'answered' && input.kind !== 'failed'
    let effects = 0
    for (const effect of out.effects) {
      if (effect.xid !== xid) continue
      effects++
      if (effect.type !== StatusChanged.code && effect.type !== SessionEnded.code) continue
      span.addEvent(
        decides && DECISIONS.has(effect.status) ? EventName.Decision : EventName.Status,
        { [Attribute.Status]: statusName(effect.status) },
        since
      )
    }
    span.setAttribute(Attribute.Effects, effects)
    span.end(since)
    if (input.kind === 'request') this.#asks(input.request as never, xid, parent, out, since)
    return { parent, xid, since, span: null, ended: [] }
  }

  /** A request that waits for the homes of its rows. */
  #asks({ link }: { link: LinkRequest }, xid: string, parent: SpanContext, out: Outputs, now: number): void {
    const homes = out.sends.flatMap(({ to, message }) =>
      message.type === LockRows.code && message.xid === xid ? to : []
    )
    if (homes.length === 0) return
    const span = this.#o.tracing.start(SpanName.Homes, SpanKind.INTERNAL, parent, now)
    this.#homes.set(link, span.setAttribute(Attribute.Home, homes))
  }

  /** A request has its answer, or will get none here. */
  answered(link: LinkRequest): void {
    if (this.#homes.size === 0) return
    this.#homes.get(link)?.end(traceTime())
    this.#homes.delete(link)
  }

  #noted(session: Session, event: string, attributes: Attributes) {
    const { xid, beginTime } = session
    let notes = this.#notes.get(xid)
    if (!notes) {
      this.#notes.set(xid, (notes = { events: [], calls: new Map() }))
      const { node, term } = this.#o
      const changed = { [Attribute.Node]: node, [Attribute.Term]: term }
      if (beginTime < this.#since) notes.events.push([EventName.LeaderChanged, changed, this.#since])
    }
    if (event !== '') notes.events.push([event, attributes, traceTime()])
    return notes
  }

  /** The transaction is over: its own span follows its record. */
  #ending(ended: Ended, steps: readonly StepTrace[], now: number): readonly StepTrace[] {
    const { tracing } = this.#o
    const { session, status } = ended
    const { xid, beginTime, origin } = session
    const slow = now - beginTime > tracing.slowMs
    const isKept = slow && (isTraced(xid) || this.#keeps(session, now))
    const context = this.#contextOf(session, status, now) ?? (isKept ? tracing.contextOf(xid, origin, true) : null)
    if (!context) return steps
    const step = steps.find((s) => s.xid === xid)
    if (!step) return [...steps, { parent: context, xid, since: traceTime(), span: null, ended: [ended] }]
    step.ended.push(ended)
    return steps
  }

  /** A record of these leaves for the store, or a read that proves them. */
  leaves(steps: readonly StepTrace[], index: number, bytes: number, isRead: boolean): Trip | null {
    if (steps.length === 0) return null
    const { tracing, state, engine, namespace } = this.#o
    const name = isRead ? SpanName.Read : SpanName.Append
    for (const step of steps) {
      step.span = tracing.start(name, SpanKind.INTERNAL, step.parent, step.since).setAttribute(Attribute.Index, index)
    }
    const links = steps.slice(0, MAX_LINKS).map(({ span }) => ({ context: span!.spanContext() }))
    const operation = isRead ? 'get' : 'setIfAbsent'
    const store = tracing
      .start(`${operation} ${namespace}`, SpanKind.CLIENT, links[0]!.context, traceTime(), links)
      .setAttribute('db.system.name', engine)
      .setAttribute('db.namespace', namespace)
      .setAttribute('db.operation.name', operation)
      .setAttribute(Attribute.Fragment, state.fragment)
      .setAttribute(Attribute.Index, index)
      .setAttribute(Attribute.Requests, steps.length)
      .setAttribute(Attribute.Bytes, bytes)
    const trip = { steps, store }
    this.#trips.add(trip)
    return trip
  }

  /** The store has confirmed it. The outer spans leave first, so that none is ever without its parent. */
  arrived(trip: Trip, failure?: string): void {
    if (!this.#trips.delete(trip)) return
    const now = traceTime()
    for (const { span } of trip.steps) {
      if (failure) fail(span!, failure)
      span!.end(now)
    }
    if (failure) fail(trip.store, failure)
    trip.store.end(now)
  }

  /** The transactions that are over with these, as spans; their end is in the log. */
  over(steps: readonly StepTrace[]): void {
    const now = traceTime()
    for (const { ended } of steps) for (const { session, status } of ended) this.#root(session, status, now)
  }

  #root(session: Session, status: number, now: number): void {
    const { xid, origin, beginTime, transactionName, applicationId, transactionServiceGroup, branches } = session
    const notes = this.#notes.get(xid)
    this.#notes.delete(xid)
    const span = this.#o.tracing.root(xid, origin, Math.min(beginTime, timeOf(xid) || beginTime))
    if (!span) return
    span
      .setAttribute(Attribute.Xid, xid)
      .setAttribute(Attribute.Name, transactionName)
      .setAttribute(Attribute.Application, applicationId)
      .setAttribute(Attribute.Group, transactionServiceGroup)
      .setAttribute(Attribute.Status, statusName(status))
      .setAttribute(Attribute.Branches, Math.max(branches.length, notes?.calls.size ?? 0))
    for (const [name, attributes, at] of notes?.events ?? []) span.addEvent(name, attributes, at)
    const reason = REASONS[status]
    if (reason) fail(span, reason)
    span.end(now)
  }

  /** Phase two calls an RM: what the call is part of, or empty. `now` is on the core's clock. */
  calls(call: BranchCall, now: number): string {
    const { tracing, state } = this.#o
    if (call.kind === 'commit' && !isTraced(call.xid)) return ''
    const session = state.sessions.get(call.xid)
    const context = session && this.#contextOf(session, session.status, now)
    if (!context) return ''
    const { calls } = this.#noted(session, '', {})
    const attempt = (calls.get(call.branchId) ?? 0) + 1
    calls.set(call.branchId, attempt)
    const method = `seata.RM/${call.kind === 'commit' ? 'BranchCommit' : 'BranchRollback'}`
    const span = tracing
      .start(method, SpanKind.CLIENT, context, traceTime())
      .setAttribute('rpc.system.name', 'seata')
      .setAttribute('rpc.method', method)
      .setAttribute(Attribute.Xid, call.xid)
      .setAttribute(Attribute.BranchId, String(call.branchId))
      .setAttribute(Attribute.BranchType, call.branchType)
      .setAttribute(Attribute.Resource, call.resourceId)
      .setAttribute(Attribute.Client, call.clientId)
      .setAttribute(Attribute.Attempt, attempt)
    this.#calls.set(call.id, { span, context, xid: call.xid, until: now + call.timeout })
    return formatTraceparent(span.spanContext())
  }

  /** Calls that the core no longer waits for; all wait equally long, so the oldest come first. */
  #giveUp(now: number): void {
    for (const [id, { span, until }] of this.#calls) {
      if (until > now) return
      this.#calls.delete(id)
      fail(span, 'timeout')
      span.end(traceTime())
    }
  }

  /** The store does not do: what is on the way is tried again. */
  trouble(message: string): void {
    const now = traceTime()
    for (const { store } of this.#trips) store.addEvent(EventName.StoreTrouble, { [Attribute.Reason]: message }, now)
  }

  /** This node leads no more: what is open here goes on elsewhere, or is lost. */
  stop(): void {
    for (const trip of [...this.#trips]) this.arrived(trip, 'leader-lost')
    const now = traceTime()
    for (const span of [...this.#homes.values(), ...[...this.#calls.values()].map((call) => call.span)]) {
      fail(span, 'leader-lost')
      span.end(now)
    }
    this.#homes.clear()
    this.#calls.clear()
    this.#notes.clear()
  }
}

/** The fields of a log line about a transaction. */
export function named({ fragment, sessions }: State, xid: string, traced: boolean): object {
  const origin = sessions.get(xid)?.origin ?? ''
  return { xid, fragment, ...(traced && { trace_id: origin === '' ? traceIdOf(xid) : origin.slice(3, 35) }) }
}

/** What is decided with the first of these. */
const DECISIONS: ReadonlySet<number> = new Set([
  GlobalStatus.Committing,
  GlobalStatus.AsyncCommitting,
  GlobalStatus.Rollbacking,
  GlobalStatus.TimeoutRollbacking
])

/** How a transaction ended that did not commit. */
const REASONS: Readonly<Record<number, string | undefined>> = {
  [GlobalStatus.Rollbacked]: 'rolled-back',
  [GlobalStatus.TimeoutRollbacked]: 'timed-out'
}

const TIMEOUTS: ReadonlySet<number> = new Set([
  GlobalStatus.TimeoutRollbacking,
  GlobalStatus.TimeoutRollbackRetrying,
  GlobalStatus.TimeoutRollbackFailed,
  GlobalStatus.TimeoutRollbacked
])

/** In which a transaction rolls back, has done so, or cannot. */
const ROLLBACKS: ReadonlySet<number> = new Set([
  ...TIMEOUTS,
  GlobalStatus.Rollbacking,
  GlobalStatus.RollbackRetrying,
  GlobalStatus.RollbackRetryTimeout,
  GlobalStatus.RollbackFailed,
  GlobalStatus.Rollbacked
])
