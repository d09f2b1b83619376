// How recently ended transactions ended, so that a retried commit or rollback gets the true answer. Compact: 13 bytes a transaction, and
// 8 of an index.
import { splitTransactionId } from '../wire/xid.ts'

/**
 * Two generations of up to half the limit each: new ones go into the younger; when it is full the older is forgotten.
 * So between half of `limit` and `limit` are remembered, the same ones on every replica.
 */
export class Outcomes {
  readonly #half: number
  #young: Generation
  #old: Generation | null = null

  constructor(limit: number) {
    this.#half = Math.max(1, Math.floor(limit / 2))
    this.#young = new Generation(this.#half)
  }

  /** The status in which the transaction ended; 0 when it is not remembered. */
  get(xid: string): number {
    const id = splitTransactionId(xid)
    if (!id) return 0
    return this.#young.get(id.high, id.low) || (this.#old?.get(id.high, id.low) ?? 0)
  }

  add(xid: string, status: number): void {
    const id = splitTransactionId(xid)
    if (id) this.#put(id.high, id.low, status)
  }

  #put(high: number, low: number, status: number): void {
    if (this.#young.size >= this.#half) {
      this.#old = this.#young
      // What one generation has grown to the next one will: all at once, for growing is a pause.
      this.#young = new Generation(this.#half, this.#half)
    }
    this.#young.put(high, low, status)
  }

  get size(): number {
    return this.#young.size + (this.#old?.size ?? 0)
  }

  /** What is remembered now, oldest first, for a snapshot: later additions do not show in it. */
  freeze(): FrozenOutcomes {
    const parts = [this.#old, this.#young].filter((g): g is Generation => g !== null).map((g) => g.freeze())
    return { parts, count: this.size }
  }

  /** Takes in what a snapshot remembers, a generation at a time, oldest first. */
  restore(sizes: readonly number[], next: () => { high: number; low: number; status: number }): void {
    const generations = sizes.map((size) => {
      const generation = new Generation(this.#half, size)
      for (let i = 0; i < size; i++) {
        const { high, low, status } = next()
        generation.put(high, low, status)
      }
      return generation
    })
    this.#young = generations.at(-1) ?? new Generation(this.#half)
    this.#old = generations.length > 1 ? generations[0]! : null
  }
}

export interface FrozenOutcomes {
  readonly count: number
  readonly parts: readonly FrozenGeneration[]
}

interface FrozenGeneration {
  readonly size: number
  high(i: number): number
  low(i: number): number
  status(i: number): number
}

const INITIAL = 1024

/** An append-only table with an open-addressing index over it. */
class Generation {
  readonly #limit: number
  size = 0
  #high: Float64Array
  #low: Uint32Array
  #status: Uint8Array
  /** Places in the table plus one; 0 is free. Twice as long as the table. */
  #index: Uint32Array

  /** @param length that it has from the start; what grows, grows to `limit` */
  constructor(limit: number, length = Math.min(limit, INITIAL)) {
    this.#limit = limit
    this.#high = new Float64Array(length)
    this.#low = new Uint32Array(length)
    this.#status = new Uint8Array(length)
    this.#index = new Uint32Array(powerOfTwo(length * 2))
  }

  get(high: number, low: number): number {
    const place = this.#index[this.#find(high, low)]!
    return place === 0 ? 0 : this.#status[place - 1]!
  }

  put(high: number, low: number, status: number): void {
    if (this.size === this.#high.length) this.#grow()
    const slot = this.#find(high, low)
    const place = this.#index[slot]!
    if (place !== 0) {
      this.#status[place - 1] = status
      return
    }
    this.#high[this.size] = high
    this.#low[this.size] = low
    this.#status[this.size] = status
    this.#index[slot] = ++this.size
  }

  #find(high: number, low: number): number {
    const mask = this.#index.length - 1
    let slot = Math.imul(low ^ Math.imul(high | 0, 0x9e3779b1), 0x85ebca6b) >>> 0
    slot = (slot ^ (slot >>> 15)) & mask
    for (;;) {
      const place = this.#index[slot]!
      if (place === 0 || (this.#low[place - 1] === low && this.#high[place - 1] === high)) return slot
      slot = (slot + 1) & mask
    }
  }

  #grow(): void {
    const length = Math.max(this.size + 1, Math.min(this.#limit, this.#high.length * 2))
    const { size } = this
    const high = this.#high
    const low = this.#low
    const status = this.#status
    this.#high = new Float64Array(length)
    this.#low = new Uint32Array(length)
    this.#status = new Uint8Array(length)
    this.#index = new Uint32Array(powerOfTwo(length * 2))
    this.size = 0
    for (let i = 0; i < size; i++) this.put(high[i]!, low[i]!, status[i]!)
  }

  freeze(): FrozenGeneration {
    const high = this.#high
    const low = this.#low
    const status = this.#status
    return { size: this.size, high: (i) => high[i]!, low: (i) => low[i]!, status: (i) => status[i]! }
  }
}

function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, n)))
}
