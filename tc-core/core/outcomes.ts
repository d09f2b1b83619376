// How recently ended transactions ended, so that a retried commit or rollback gets the true answer. Compact: 12 bytes a transaction, and
// 8 of an index. Nothing here takes long at once, however much is remembered: everybody would wait for it.
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
    return [this.#old, this.#young].filter((g): g is Generation => g !== null).map((g) => g.entries)
  }

  /** Takes in what `freeze` gave. */
  restore(frozen: FrozenOutcomes): void {
    const generations = frozen.map((entries) => Generation.of(entries, this.#half))
    this.#young = generations.at(-1) ?? new Generation(this.#half)
    this.#old = generations.length > 1 ? generations[0]! : null
  }
}

/** A generation each: its transactions, {@link OUTCOME_BYTES} each, as they lie in a snapshot: 7 of the id's high part, 4 of its low, a status. */
export type FrozenOutcomes = readonly Buffer[]

export const OUTCOME_BYTES = 12
const LOW = 7
const STATUS = 11
const INITIAL = 1024
/** When the index has been made anew, so many move to it with each that is added: all have before it has to grow again. */
const MOVED_AT_A_TIME = 2
const NO_INDEX = new Uint32Array(0)

/** An append-only table with an open-addressing index over it. */
class Generation {
  readonly #limit: number
  size = 0
  #bytes: Buffer
  #view: DataView
  /** Places in the table plus one; 0 is free. Twice as long as the table. */
  #index: Uint32Array
  /** The index before it grew, for those that have not moved. */
  #before: Uint32Array = NO_INDEX
  /** So many of the first `#grownAt` have moved; all later ones are in the index. */
  #moved = 0
  #grownAt = 0
  /** The highest id in it: most that are looked for are new, and need no other look. */
  #highestHigh = -1
  #highestLow = -1

  /** @param length that it has from the start; what grows, grows to `limit` */
  constructor(limit: number, length = Math.min(limit, INITIAL)) {
    this.#limit = limit
    this.#bytes = Buffer.alloc(length * OUTCOME_BYTES)
    this.#view = viewOf(this.#bytes)
    this.#index = new Uint32Array(powerOfTwo(length * 2))
  }

  static of(entries: Buffer, limit: number): Generation {
    const generation = new Generation(limit, entries.length / OUTCOME_BYTES)
    generation.#bytes.set(entries)
    for (; generation.size < generation.#capacity; generation.size++) {
      generation.#enter(generation.size)
      generation.#reach(generation.#high(generation.size), generation.#low(generation.size))
    }
    return generation
  }

  get #capacity(): number {
    return this.#bytes.length / OUTCOME_BYTES
  }

  get entries(): Buffer {
    return this.#bytes.subarray(0, this.size * OUTCOME_BYTES)
  }

  get(high: number, low: number): number {
    if (this.#isAbove(high, low)) return 0
    const place = this.#place(high, low)
    return place === 0 ? 0 : this.#bytes[(place - 1) * OUTCOME_BYTES + STATUS]!
  }

  put(high: number, low: number, status: number): void {
    const slot = this.#slot(this.#index, high, low)
    const place = this.#index[slot]! || this.#placeBefore(high, low)
    if (place !== 0) {
      this.#bytes[(place - 1) * OUTCOME_BYTES + STATUS] = status
      return
    }
    const grows = this.size === this.#capacity
    if (grows) this.#grow()
    const at = this.size++ * OUTCOME_BYTES
    // Byte by byte, for Node's own way to write and read 24 bits takes longer than all the rest.
    const top = Math.floor(high / 0x1_0000_0000)
    this.#bytes[at] = top >>> 16
    this.#bytes[at + 1] = top >>> 8
    this.#bytes[at + 2] = top
    this.#view.setUint32(at + 3, high)
    this.#view.setUint32(at + LOW, low)
    this.#bytes[at + STATUS] = status
    this.#index[grows ? this.#freeSlot(high, low) : slot] = this.size
    this.#reach(high, low)
    for (let n = 0; n < MOVED_AT_A_TIME && this.#moved < this.#grownAt; n++) this.#enter(this.#moved++)
    if (this.#moved === this.#grownAt) this.#before = NO_INDEX
  }

  #isAbove(high: number, low: number): boolean {
    return high > this.#highestHigh || (high === this.#highestHigh && low > this.#highestLow)
  }

  #reach(high: number, low: number): void {
    if (!this.#isAbove(high, low)) return
    this.#highestHigh = high
    this.#highestLow = low
  }

  #high(place: number): number {
    const at = place * OUTCOME_BYTES
    const b = this.#bytes
    const top = (b[at]! << 16) | (b[at + 1]! << 8) | b[at + 2]!
    return top * 0x1_0000_0000 + this.#view.getUint32(at + 3)
  }

  #low(place: number): number {
    return this.#view.getUint32(place * OUTCOME_BYTES + LOW)
  }

  /** Its place in the table plus one; 0: it is not there. */
  #place(high: number, low: number): number {
    return this.#index[this.#slot(this.#index, high, low)]! || this.#placeBefore(high, low)
  }

  /** The same for what has not moved to the index. */
  #placeBefore(high: number, low: number): number {
    return this.#before.length === 0 ? 0 : this.#before[this.#slot(this.#before, high, low)]!
  }

  /** What is in the table, and not in the index. */
  #enter(place: number): void {
    this.#index[this.#freeSlot(this.#high(place), this.#low(place))] = place + 1
  }

  /** Where in the index something belongs that is not in it. */
  #freeSlot(high: number, low: number): number {
    const mask = this.#index.length - 1
    let slot = hash(high, low) & mask
    while (this.#index[slot] !== 0) slot = (slot + 1) & mask
    return slot
  }

  /** Where it is in an index, or belongs. */
  #slot(index: Uint32Array, high: number, low: number): number {
    const mask = index.length - 1
    let slot = hash(high, low) & mask
    for (;;) {
      const place = index[slot]!
      if (place === 0 || (this.#low(place - 1) === low && this.#high(place - 1) === high)) return slot
      slot = (slot + 1) & mask
    }
  }

  #grow(): void {
    const length = Math.max(this.size + 1, Math.min(this.#limit, this.#capacity * 2))
    const bytes = Buffer.alloc(length * OUTCOME_BYTES)
    bytes.set(this.#bytes)
    this.#bytes = bytes
    this.#view = viewOf(bytes)
    this.#before = this.#index
    this.#index = new Uint32Array(powerOfTwo(length * 2))
    this.#moved = 0
    this.#grownAt = this.size
  }
}

function hash(high: number, low: number): number {
  const mixed = Math.imul(low ^ Math.imul(high | 0, 0x9e3779b1), 0x85ebca6b)
  return mixed ^ (mixed >>> 15)
}

function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
}

function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, n)))
}
