// New XIDs: the fragment that is to hold the transaction, the time, and chance where two gateways might meet.
import type { Runtime } from '../tc-core/wire/runtime.ts'
import { transactionId } from '../tc-core/wire/xid.ts'

/** Per ms, for each decision on tracing: see isTraced. */
const SEQUENCES = 2048
/** The last digits of an id, which the sequence changes, and the number that they are below. */
const DIGITS = 9
const BELOW = 1e9
const MAX_DIGITS = 19

/**
 * Ids never repeat here: within a ms the sequence goes on from a random start, and a ms that is used up borrows from the next.
 * Two gateways may still propose the same; the fragment refuses the second.
 */
export class XidSource {
  readonly #prefix: string
  readonly #chance: Pick<Runtime, 'below'>
  #ms = 0
  #start = 0
  #used = 0
  /** Of this ms and fragment: the XID with sequence 0 as bytes, and its last digits as a number. */
  #fragment = -1
  readonly #bytes: Buffer
  #length = 0
  #low = 0

  /** @param advertise `host:port` as clients dial it: Java's load balancer looks for it in the XID */
  constructor(advertise: string, chance: Pick<Runtime, 'below'>) {
    this.#chance = chance
    this.#prefix = `${advertise}:`
    this.#bytes = Buffer.alloc(Buffer.byteLength(this.#prefix) + MAX_DIGITS)
  }

  next(fragment: number, now: number, traced = false): string {
    if (now > this.#ms) this.#begin(now)
    else if (this.#used === SEQUENCES) this.#begin(this.#ms + 1)
    if (fragment !== this.#fragment) this.#first(fragment)
    const sequence = ((this.#start + this.#used++) % SEQUENCES) * 2 + (traced ? 1 : 0)
    const low = this.#low + sequence
    return low < BELOW ? this.#withLow(low) : this.#prefix + transactionId(fragment, this.#ms, sequence)
  }

  #begin(ms: number): void {
    this.#ms = ms
    this.#start = this.#chance.below(SEQUENCES)
    this.#used = 0
    this.#fragment = -1
  }

  #first(fragment: number): void {
    const id = transactionId(fragment, this.#ms, 0)
    this.#fragment = fragment
    this.#length = this.#bytes.write(this.#prefix + id)
    this.#low = id < BELOW ? BELOW : Number(id % BigInt(BELOW))
  }

  /** Out of bytes, for texts that are put together of others are slow to look up: and an XID is looked up again and again. */
  #withLow(low: number): string {
    const bytes = this.#bytes
    for (let i = 1; i <= DIGITS; i++) {
      bytes[this.#length - i] = 48 + (low % 10)
      low = Math.floor(low / 10)
    }
    return bytes.toString('utf8', 0, this.#length)
  }
}
