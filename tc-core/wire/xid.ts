// XIDs: `host:port:transactionId`. The transaction id carries its fragment in Seata's worker bits, so an XID names its fragment for ever.
// Layout of the 63 bits (Seata's IdWorker): 10 bits worker (here: fragment), 41 bits ms since EPOCH, 12 bits sequence.

/** 2020-05-02T16:00:00Z, Seata's own epoch, in Unix ms. */
export const EPOCH_MS = 1588435200000

export const MAX_FRAGMENT = 1023

/** XA makes the XID its gtrid, of which 64 bytes is all there is. */
export const MAX_XID_BYTES = 64

const FRAGMENT_SHIFT = 2 ** 53

const COLON = ':'.charCodeAt(0)
const ZERO = '0'.charCodeAt(0)
/** Of an id of 63 bits, and of its low part. */
const MAX_DIGITS = 19
const LOW_DIGITS = 9

export function transactionId(fragment: number, ms: number, sequence: number): bigint {
  return (BigInt(fragment) << 53n) | (BigInt(ms - EPOCH_MS) << 12n) | BigInt(sequence)
}

/** The digits after the last colon, as two numbers that together are the id: below 10^9, and the rest. Null when they are no id. */
export function splitTransactionId(xid: string): { high: number; low: number } | null {
  let high = 0
  let low = 0
  let scale = 1
  let count = 0
  // From the end, so that the colon need not be looked for.
  for (let i = xid.length - 1; i >= 0; i--) {
    const code = xid.charCodeAt(i)
    if (code === COLON) break
    const digit = code - ZERO
    if (digit < 0 || digit > 9 || count === MAX_DIGITS) return null
    if (count === LOW_DIGITS) scale = 1
    if (count < LOW_DIGITS) low += digit * scale
    else high += digit * scale
    scale *= 10
    count++
  }
  return count === 0 ? null : { high, low }
}

/**
 * Whether the transaction is traced: the gateway that proposes an XID writes its decision into the lowest bit, so that everybody who sees
 * the XID knows it, at the cost of a glance at its last digit.
 */
export function isTraced(xid: string): boolean {
  return (xid.charCodeAt(xid.length - 1) & 1) === 1
}

/** The time in an XID, Unix ms; 0 when its last part is no transaction id. */
export function timeOf(xid: string): number {
  const id = splitTransactionId(xid)
  if (!id) return 0
  return Number(((BigInt(id.high) * 1_000_000_000n + BigInt(id.low)) >> 12n) & 0x1ff_ffff_ffffn) + EPOCH_MS
}

/** The fragment in an XID, or -1 when its last part is no transaction id. */
export function fragmentOf(xid: string): number {
  const id = splitTransactionId(xid)
  if (!id) return -1
  // As a double the id loses its low bits only; they are far from the fragment's unless the clock says 2020 or 2089.
  const fragment = Math.floor((id.high * 1e9 + id.low) / FRAGMENT_SHIFT)
  return fragment > MAX_FRAGMENT ? -1 : fragment
}
