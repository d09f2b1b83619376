// Where a span belongs: W3C traceparent as text, and the ids that every gateway and node derives from an XID without talking.
import type { SpanContext } from '@opentelemetry/api'

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/
const NO_TRACE = '0'.repeat(32)
const NO_SPAN = '0'.repeat(16)
const SAMPLED = 1

/** Reads a traceparent of any version of W3C Trace Context; null when it is none, as the recommendation wants it. */
export function parseTraceparent(text: string | null | undefined): SpanContext | null {
  if (!text || !TRACEPARENT.test(text.slice(0, 55)) || text.startsWith('ff')) return null
  if (text.length > 55 && (text.startsWith('00') || text[55] !== '-')) return null
  const traceId = text.slice(3, 35)
  const spanId = text.slice(36, 52)
  if (traceId === NO_TRACE || spanId === NO_SPAN) return null
  return { traceId, spanId, traceFlags: Number.parseInt(text.slice(53, 55), 16) & SAMPLED, isRemote: true }
}

export function formatTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-0${traceFlags & SAMPLED}`
}

export function isSampled(context: SpanContext): boolean {
  return (context.traceFlags & SAMPLED) !== 0
}

/** The hash of an XID in four lanes: the last one that was asked for, which often is asked for again. */
const lanes = new Int32Array(4)
let hashed = ''

/** Four independent walks over the text, then mixed: the ids only have to be spread well, not to be secret. */
function hash(text: string): void {
  if (text === hashed) return
  hashed = text
  let a = 0x2545f491
  let b = 0x6c078965
  let c = 0x1b873593
  let d = 0x5bd1e995
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 0x01000193) ^ (a >>> 15)
    b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 13)
    c = Math.imul(c ^ code, 0xc2b2ae35) ^ (c >>> 16)
    d = Math.imul(d ^ code, 0x27d4eb2f) ^ (d >>> 14)
  }
  lanes[0] = mixed(a ^ (b >>> 7))
  lanes[1] = mixed(b ^ (c >>> 11))
  lanes[2] = mixed(c ^ (d >>> 5))
  lanes[3] = mixed(d ^ (a >>> 9))
}

function mixed(lane: number): number {
  let n = lane
  n = Math.imul(n ^ (n >>> 16), 0x7feb352d)
  n = Math.imul(n ^ (n >>> 15), 0x846ca68b)
  return n ^ (n >>> 16)
}

const BYTES = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))

function hex(n: number): string {
  return BYTES[n >>> 24]! + BYTES[(n >>> 16) & 255]! + BYTES[(n >>> 8) & 255]! + BYTES[n & 255]!
}

/** The trace of a transaction whose client sent no traceparent. */
export function traceIdOf(xid: string): string {
  hash(xid)
  const id = hex(lanes[0]!) + hex(lanes[1]!) + hex(lanes[2]!) + hex(lanes[3]!)
  return id === NO_TRACE ? `${'0'.repeat(31)}1` : id
}

/** The span that is the transaction itself. */
export function rootSpanIdOf(xid: string): string {
  hash(xid)
  const id = hex(mixed(lanes[0]! ^ lanes[2]!)) + hex(mixed(lanes[1]! + lanes[3]!))
  return id === NO_SPAN ? `${'0'.repeat(15)}1` : id
}
