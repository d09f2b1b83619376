// Looks at the spans of a run as a person would who doubts them: one trace a transaction, nothing without its parent, times nested, every
// hop there.
import { rootSpanIdOf, traceIdOf } from '../../tc-core/wire/trace-context.ts'
import type { ReceivedSpan } from './receiver.ts'

export interface Kill {
  readonly node: string
  /** Unix ms. */
  readonly at: number
}

export interface Run {
  readonly spans: readonly ReceivedSpan[]
  /** Processes that were killed: what they had not sent by then is lost. */
  readonly kills?: readonly Kill[]
  /** How long a process keeps spans before it sends them, ms. */
  readonly delay: number
}

/** Clocks of two processes on one machine may be apart by so many ms. */
const SKEW_MS = 5

const ROOT = 'seata.transaction'

/** A transaction as its spans tell it. */
export interface Story {
  readonly xid: string
  readonly traceId: string
  readonly spans: readonly ReceivedSpan[]
  readonly root: ReceivedSpan | undefined
  /** Its own span was in a process that was killed before it could send it. */
  readonly rootLost: boolean
}

export function stories({ spans, kills = [], delay }: Run): Story[] {
  return [...Map.groupBy(spans, ({ traceId }) => traceId)].map(([traceId, own]) => {
    const xid = String(own.find(({ attributes }) => attributes['seata.xid'])?.attributes['seata.xid'] ?? '')
    const root = own.find(({ name }) => name === ROOT)
    const last = Math.max(...own.map(({ end }) => end))
    const rootLost =
      !root && kills.some(({ at }) => last > at - 2 * delay - 500 && Math.min(...own.map((s) => s.start)) < at)
    return { xid, traceId, spans: own, root, rootLost }
  })
}

/** What is wrong with the spans; empty when nothing is. */
export function complaints(run: Run): string[] {
  const found: string[] = []
  const all = stories(run)
  const traceOf = new Map<string, string>()
  for (const { xid, traceId, spans, root, rootLost } of all) {
    const say = (text: string) => found.push(`${xid || traceId}: ${text}`)
    const before = traceOf.get(xid)
    if (before !== undefined) say(`has two traces, ${before} and ${traceId}`)
    traceOf.set(xid, traceId)
    for (const { name, attributes } of spans) {
      if (attributes['seata.xid'] !== undefined && attributes['seata.xid'] !== xid)
        say(`${name} of ${attributes['seata.xid']} is in its trace`)
    }
    const roots = spans.filter(({ name }) => name === ROOT)
    if (roots.length > 1) say(`is ${roots.length} spans itself`)
    if (roots.length === 0 && !rootLost) say('is no span itself')
    if (root && root.parentId === '' && root.traceId !== traceIdOf(xid)) say('its trace does not follow from its XID')
    const byId = new Map(spans.map((span) => [span.spanId, span]))
    if (byId.size !== spans.length) say('two spans have one id')
    for (const span of spans) {
      if (span.parentId === '') {
        if (span !== root) say(`${span.name} has no parent`)
        continue
      }
      const parent = byId.get(span.parentId)
      if (parent) {
        const why = nesting(span, parent)
        if (why) say(`${span.name} of ${span.from} ${why} ${parent.name} of ${parent.from}`)
      } else if (span !== root && !(rootLost && span.parentId === rootSpanIdOf(xid))) {
        say(`${span.name} of ${span.from} is an orphan`)
      }
    }
  }
  return found
}

/** A transaction is over when that is in the log: the answer comes a moment later, and whoever asks for it then is told, too. */
function nesting(span: ReceivedSpan, parent: ReceivedSpan): string | null {
  if (span.end < span.start) return 'ends before it begins, in'
  const anew = span.events.some(({ name }) => name === 'seata.begin.proposed.anew')
  if (span.start < parent.start - SKEW_MS && !anew) return `begins ${(parent.start - span.start).toFixed(1)} ms before`
  if (parent.name !== ROOT && span.end > parent.end + SKEW_MS)
    return `ends ${(span.end - parent.end).toFixed(1)} ms after`
  return null
}

/** The names of a transaction's spans, each with its parent's: `parent > name`. */
export function edges({ spans }: Story): Set<string> {
  const names = new Map(spans.map(({ spanId, name }) => [spanId, name]))
  return new Set(spans.map(({ parentId, name }) => `${names.get(parentId) ?? ''} > ${name}`))
}

/** The record that a request's effects went in: the store's call that its append is linked from. */
export function storeCallOf(append: ReceivedSpan, spans: readonly ReceivedSpan[]): ReceivedSpan | undefined {
  return spans.find(
    ({ attributes, links }) => attributes['db.operation.name'] && links.some(({ spanId }) => spanId === append.spanId)
  )
}
