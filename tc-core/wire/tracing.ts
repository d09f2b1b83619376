// The words of tracing: names of spans and attributes, which transactions are traced, and the one way by which a span is begun.
// Only OpenTelemetry's API is used; who gives a provider decides where spans go. See docs/tracing.md.
import {
  type Context,
  type Link,
  ROOT_CONTEXT,
  type Span,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  type TracerProvider,
  trace
} from '@opentelemetry/api'
import { isSampled, parseTraceparent, rootSpanIdOf, traceIdOf } from './trace-context.ts'
import { isTraced } from './xid.ts'

/** Spans that are no calls; calls are named `seata.TC/<request>` and `seata.RM/<request>`, the store's `<operation> <cluster>`. */
export const SpanName = {
  Transaction: 'seata.transaction',
  Park: 'seata.park',
  Link: 'seata.link',
  Step: 'seata.fragment.step',
  Append: 'seata.log.append',
  Read: 'seata.log.read',
  Homes: 'seata.lock.homes',
  Home: 'seata.lock.home'
} as const

/** Our own attributes. Those of OpenTelemetry's conventions are written as they are called there. */
export const Attribute = {
  Xid: 'seata.xid',
  Name: 'seata.transaction.name',
  Application: 'seata.application.id',
  Group: 'seata.transaction.group',
  Status: 'seata.status',
  Reason: 'seata.reason',
  Branches: 'seata.branches',
  BranchId: 'seata.branch.id',
  BranchType: 'seata.branch.type',
  BranchStatus: 'seata.branch.status',
  Resource: 'seata.resource.id',
  Client: 'seata.client.id',
  Fragment: 'seata.fragment',
  Term: 'seata.term',
  Node: 'seata.node',
  Trigger: 'seata.trigger',
  Attempt: 'seata.attempt',
  Home: 'seata.home',
  Effects: 'seata.log.effects',
  Index: 'seata.log.index',
  Requests: 'seata.log.batch.requests',
  Bytes: 'seata.log.batch.bytes'
} as const

export const EventName = {
  Route: 'seata.route',
  Decision: 'seata.decision',
  Status: 'seata.status',
  Retry: 'seata.retry',
  LeaderChanged: 'seata.leader.changed',
  ProposedAnew: 'seata.begin.proposed.anew',
  StoreTrouble: 'seata.store.trouble',
  RmAnswer: 'seata.rm.answer'
} as const

/** Why a transaction is traced that is not one of the share. */
export type Keep = 'rollback' | 'timeout' | 'slow'
export const KEEPS: readonly Keep[] = ['rollback', 'timeout', 'slow']

/** Gives the next spans the ids that are asked for; see docs/tracing.md on how a host's own SDK gets it. */
export interface RootIds {
  next: { readonly traceId: string; readonly spanId: string } | null
}

export interface TracingOptions {
  /** Where spans go; null: nowhere. */
  readonly provider: TracerProvider | null
  /** The share of the transactions without a client's traceparent that is traced, 0 to 1. */
  readonly ratio?: number
  /** Transactions begun in a second that are traced, at most: beyond that they are passed over, each as a whole. As many are kept. */
  readonly perSecond?: number
  readonly keep?: readonly Keep[]
  /** Ms from begin to end after which a transaction is slow. */
  readonly slowMs?: number
  /** Null: spans have ids of their own, so the transaction itself cannot be one. */
  readonly ids?: RootIds | null
}

const LIBRARY = 'fastify-seata'

const ORIGIN = performance.timeOrigin

/** Unix ms with a fraction, on the one clock that all times of spans are of. */
export function traceTime(): number {
  return ORIGIN + performance.now()
}

/** A context of one thing, a span's parent: OpenTelemetry's own copies a map for each. */
class OneThing implements Context {
  readonly #key: symbol
  readonly #value: unknown

  constructor(key: symbol, value: unknown) {
    this.#key = key
    this.#value = value
  }

  getValue(key: symbol): unknown {
    return key === this.#key ? this.#value : undefined
  }

  setValue(key: symbol, value: unknown): Context {
    if (this === NOTHING || key === this.#key) return new OneThing(key, value)
    return ROOT_CONTEXT.setValue(this.#key, this.#value).setValue(key, value)
  }

  deleteValue(key: symbol): Context {
    return key === this.#key ? NOTHING : this
  }
}

const NOTHING = new OneThing(Symbol('nothing'), undefined)

/** So many in a second, and no more. */
class PerSecond {
  readonly #max: number
  #left = 0
  #until = 0

  constructor(max: number) {
    this.#max = max
  }

  take(now: number): boolean {
    if (now >= this.#until) {
      this.#until = now + 1000
      this.#left = this.#max
    }
    return this.#left-- > 0
  }
}

export class Tracing {
  /** The one question on the hot path: when it is false nothing below is called, and nothing is allocated. */
  readonly on: boolean
  readonly slowMs: number
  readonly #tracer: Tracer | null
  readonly #ratio: number
  readonly #taken: PerSecond
  readonly #kept: PerSecond
  readonly #keep: ReadonlySet<Keep>
  readonly #ids: RootIds | null

  constructor(options: TracingOptions) {
    const { provider, ratio = 1, perSecond = Number.POSITIVE_INFINITY, keep = [], ids = null } = options
    const { slowMs = Number.POSITIVE_INFINITY } = options
    this.on = provider !== null
    this.#tracer = provider?.getTracer(LIBRARY) ?? null
    this.#ratio = ratio
    this.#taken = new PerSecond(perSecond)
    this.#kept = new PerSecond(perSecond)
    this.#keep = new Set(keep)
    this.slowMs = this.#keep.has('slow') ? slowMs : Number.POSITIVE_INFINITY
    this.#ids = ids
  }

  /** Whether a transaction is a span itself. */
  get hasRoots(): boolean {
    return this.#ids !== null
  }

  /** Whether a transaction that begins is traced; its client says nothing of it. */
  takes(now: number): boolean {
    if (this.#ratio < 1 && Math.random() >= this.#ratio) return false
    return this.#taken.take(now)
  }

  /** Whether one more is told of that was passed over: there may be as many of these as are taken. */
  affords(now: number): boolean {
    return this.#kept.take(now)
  }

  keeps(what: Keep): boolean {
    return this.#keep.has(what)
  }

  /** The transaction's own span, as the parent of others; null when it is not traced. `origin`: the client's traceparent of its begin. */
  contextOf(xid: string, origin: string, kept = false): SpanContext | null {
    if (!kept && !isTraced(xid)) return null
    const client = origin === '' ? null : parseTraceparent(origin)
    // Without a span for the transaction the client's own is the next best.
    const spanId = client && !this.#ids ? client.spanId : rootSpanIdOf(xid)
    return { traceId: client?.traceId ?? traceIdOf(xid), spanId, traceFlags: 1, isRemote: true }
  }

  /** Attributes are set on what it returns: of those that are given with the start, the SDK looks at each twice. */
  start(name: string, kind: SpanKind, parent: SpanContext, startTime: number, links?: Link[]): Span {
    const options = links ? { kind, startTime, links } : { kind, startTime }
    return this.#tracer!.startSpan(name, options, trace.setSpanContext(NOTHING, parent))
  }

  /** The transaction as a span, begun and to be ended now that it is over; null where ids cannot be chosen. */
  root(xid: string, origin: string, startTime: number): Span | null {
    const ids = this.#ids
    if (!ids) return null
    const client = origin === '' ? null : parseTraceparent(origin)
    const own = { traceId: client?.traceId ?? traceIdOf(xid), spanId: rootSpanIdOf(xid) }
    // A client's span that is not sampled leaves no trace: it is nobody's parent.
    const parent = client && isSampled(client) ? trace.setSpanContext(ROOT_CONTEXT, client) : ROOT_CONTEXT
    ids.next = own
    const options = { kind: SpanKind.INTERNAL, startTime, root: parent === ROOT_CONTEXT }
    const span = this.#tracer!.startSpan(SpanName.Transaction, options, parent)
    ids.next = null
    return span
  }
}

export const NO_TRACING = new Tracing({ provider: null })

/** Marks a span as failed, in the words of the conventions. */
export function fail(span: Span, type: string, message?: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR, ...(message !== undefined && { message }) })
}
