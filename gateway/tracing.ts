// What the gateway sees of a transaction, as spans: the request with its way to the fragment, waiting, the hop over a link, the call of an RM.
import { type Span, type SpanContext, SpanKind } from '@opentelemetry/api'
import type { BranchCall, CallOutcome, Refusal } from '../tc-core/wire/link.ts'
import { messages } from '../tc-core/wire/messages/index.ts'
import { formatTraceparent, isSampled, parseTraceparent, rootSpanIdOf } from '../tc-core/wire/trace-context.ts'
import { Attribute, EventName, fail, SpanName, type Tracing, traceTime } from '../tc-core/wire/tracing.ts'
import { timeOf } from '../tc-core/wire/xid.ts'
import type { Pending } from './pending.ts'

/** Transactions of which the gateway remembers in which trace their client began them. */
const MAX_REMEMBERED = 20_000

export class GatewayTracing {
  readonly tracing: Tracing
  /** The traceparent of the begin, by XID, oldest first: what comes without one is part of the same trace. */
  readonly #origins = new Map<string, string>()

  constructor(tracing: Tracing) {
    this.tracing = tracing
  }

  get on(): boolean {
    return this.tracing.on
  }

  /** Whether what this begin begins is traced: as the client says, or by chance. */
  takes({ traceparent, since }: Pending): boolean {
    const client = parseTraceparent(traceparent)
    return client ? isSampled(client) : this.tracing.takes(since)
  }

  /** The request goes on to its fragment, under this XID. Called again when it is dispatched anew. */
  dispatched(pending: Pending, xid: string, isBegin: boolean): void {
    const { spans, traceparent } = pending
    if (spans && !isBegin) return spans.routed(pending.fragment, traceTime())
    const client = parseTraceparent(traceparent)
    if (isBegin && client) this.#remember(xid, traceparent)
    const parent = client
      ? isSampled(client)
        ? client
        : null
      : this.tracing.contextOf(xid, isBegin ? '' : (this.#origins.get(xid) ?? ''))
    // Another XID is another trace, unless the client named one: what was begun in the first is forgotten.
    if (spans && client) spans.proposedAnew(xid, pending.fragment)
    else pending.spans = parent ? new RequestTrace(this.tracing, pending, xid, parent, isBegin, spans) : null
    if (isBegin) pending.origin = traceparent
  }

  #remember(xid: string, traceparent: string): void {
    this.#origins.set(xid, traceparent)
    if (this.#origins.size <= MAX_REMEMBERED) return
    const [oldest] = this.#origins.keys()
    this.#origins.delete(oldest!)
  }

  /** Phase two's call of an RM, of which the answer comes with `done`. In one process the leader's own span says all of it. */
  called(call: BranchCall, done: (outcome: CallOutcome) => void): (outcome: CallOutcome) => void {
    const { node } = call
    const caller = node === undefined ? null : parseTraceparent(call.trace)
    if (!caller) return done
    const start = traceTime()
    return (outcome) => {
      const method = `seata.RM/${call.kind === 'commit' ? 'BranchCommit' : 'BranchRollback'}`
      const { xid, branchId, resourceId, clientId } = call
      // Not under the caller's span: should that node be killed, its spans are lost, and nothing may hang on them.
      const parent = this.tracing.hasRoots ? { ...caller, spanId: rootSpanIdOf(xid) } : caller
      const span = this.tracing
        .start(method, SpanKind.CLIENT, parent, start, [{ context: caller }])
        .setAttribute('rpc.system.name', 'seata')
        .setAttribute('rpc.method', method)
        .setAttribute(Attribute.Xid, xid)
        .setAttribute(Attribute.Node, node)
        .setAttribute(Attribute.BranchId, String(branchId))
        .setAttribute(Attribute.Resource, resourceId)
        .setAttribute(Attribute.Client, clientId)
      if (typeof outcome === 'number')
        span.addEvent(EventName.RmAnswer, { [Attribute.BranchStatus]: outcome }, traceTime())
      else fail(span, outcome)
      done(outcome)
      span.end(traceTime())
    }
  }
}

/** A request's spans, from its frame to its answer. They leave together and the outer ones first, so that none is ever without its parent. */
export class RequestTrace {
  readonly #tracing: Tracing
  readonly #server: Span
  readonly #context: SpanContext
  /** Begun in the order of their times; the last one may be open. */
  readonly #inner: { readonly span: Span; end: number }[] = []
  #link: SpanContext | null = null
  #attempt = 0

  constructor(
    tracing: Tracing,
    pending: Pending,
    xid: string,
    parent: SpanContext,
    isBegin: boolean,
    before: RequestTrace | null
  ) {
    this.#tracing = tracing
    const method = `seata.TC/${messages.find(pending.type)?.name ?? '_OTHER'}`
    const { client, session } = pending
    // The transaction begins in the ms that its XID names.
    const start = isBegin && !before ? Math.max(traceTime(), timeOf(xid)) : traceTime()
    this.#server = tracing
      .start(method, SpanKind.SERVER, parent, start)
      .setAttribute('rpc.system.name', 'seata')
      .setAttribute('rpc.method', method)
      .setAttribute('client.address', session.ip)
      .setAttribute('client.port', session.port)
      .setAttribute(Attribute.Xid, xid)
      .setAttribute(Attribute.Application, client.applicationId)
    this.#context = this.#server.spanContext()
    if (before) this.#server.addEvent(EventName.ProposedAnew, {}, start)
    this.routed(pending.fragment, start)
  }

  /** The fragment that it belongs to is known, or another one. */
  routed(fragment: number, now: number): void {
    this.#server.addEvent(EventName.Route, { [Attribute.Fragment]: fragment }, now)
  }

  /** What the next hop is a part of. */
  get traceparent(): string {
    return formatTraceparent(this.#link ?? this.#context)
  }

  get traceId(): string {
    return isSampled(this.#context) ? this.#context.traceId : ''
  }

  /** What the client is told. */
  get answered(): string {
    return formatTraceparent(this.#context)
  }

  proposedAnew(xid: string, fragment: number): void {
    const now = traceTime()
    this.#server.setAttribute(Attribute.Xid, xid)
    this.#server.addEvent(EventName.ProposedAnew, {}, now)
    this.routed(fragment, now)
  }

  #open(name: string, kind: SpanKind, fragment: number): Span {
    const span = this.#tracing
      .start(name, kind, this.#context, this.#close())
      .setAttribute(Attribute.Fragment, fragment)
    this.#inner.push({ span, end: 0 })
    return span
  }

  /** Ends what is under way; returns the time. */
  #close(reason?: string): number {
    const now = traceTime()
    const last = this.#inner.at(-1)
    if (last && last.end === 0) {
      if (reason) fail(last.span, reason)
      last.end = now
    }
    return now
  }

  /** The fragment is known and somebody serves it: the request leaves for it. */
  leaves(): void {
    this.#attempt++
    this.#close()
  }

  hop(node: string, fragment: number): void {
    const span = this.#open(SpanName.Link, SpanKind.CLIENT, fragment)
    this.#link = span.setAttribute(Attribute.Node, node).setAttribute(Attribute.Attempt, this.#attempt).spanContext()
  }

  refused(reason: Refusal): void {
    const now = this.#close(reason)
    this.#link = null
    this.#server.addEvent(EventName.Retry, { [Attribute.Reason]: reason, [Attribute.Attempt]: this.#attempt }, now)
    if (reason === 'lost') this.#server.addEvent(EventName.LeaderChanged, {}, now)
  }

  parked(fragment: number): void {
    this.#open(SpanName.Park, SpanKind.INTERNAL, fragment)
  }

  /** @param failure why the client was told that it failed */
  end(failure: { type: string; message: string } | null): void {
    const now = this.#close(failure?.type)
    if (failure) fail(this.#server, failure.type, failure.message)
    this.#server.end(now)
    for (const { span, end } of this.#inner) span.end(end)
  }
}
