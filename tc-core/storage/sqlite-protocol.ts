// What passes between the process and its database thread. Operations lie in memory that both share, in the order in which they were called;
// a count of those asked wakes the one side, a count of those answered the other. Messages between threads cost more: each is serialized.
// What has no room there, or is read, goes as a message: its place in the order says so.

import type { MessagePort } from 'node:worker_threads'

/** What both sides need to find each other. */
export interface Shared {
  readonly counts: SharedArrayBuffer
  readonly slots: SharedArrayBuffer
  readonly bytes: SharedArrayBuffer
}

export interface SqliteThreadData {
  readonly path: string
  readonly shared: Shared
  readonly letters: MessagePort
}

/** An operation that goes as a message. */
export type Letter =
  | { readonly kind: WriteKind; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: 'getMany'; readonly keys: readonly string[] }
  | { readonly kind: 'delete'; readonly keys: readonly string[] }

/** Its answer, when that is more than whether a value was written. */
export interface LetterReply {
  readonly error?: string
  readonly value?: unknown
}

/** What a slot says of its operation. */
export const Kind = { Letter: 0, SetIfAbsent: 1, Set: 2, Close: 3 } as const
export type WriteKind = typeof Kind.SetIfAbsent | typeof Kind.Set
/** And of its answer. */
export const Outcome = { No: 0, Yes: 1, Letter: 2 } as const

/** Operations at a time that are asked and not answered; a power of two. */
const SLOTS = 1024
const BYTES = 8 * 1024 * 1024

const ASKED = 0
const ANSWERED = 1
const FLUSHES = 2
const CHECKPOINT = 3
const COUNTS = 4

const Checkpoint = { None: 0, Asked: 1, Made: 2 } as const

const KIND = 0
const AT = 1
const KEY_LENGTH = 2
const VALUE_LENGTH = 3
const OUTCOME = 4
const WORDS = 5

export function newShared(bytes = BYTES): Shared {
  return {
    counts: new SharedArrayBuffer(4 * COUNTS),
    slots: new SharedArrayBuffer(4 * WORDS * SLOTS),
    bytes: new SharedArrayBuffer(bytes)
  }
}

/** The view of one side. Counts run over at 32 bits; only their differences are used. */
class Side {
  protected readonly counts: Int32Array
  protected readonly slots: Int32Array
  protected readonly bytes: Buffer

  constructor(shared: Shared) {
    this.counts = new Int32Array(shared.counts)
    this.slots = new Int32Array(shared.slots)
    this.bytes = Buffer.from(shared.bytes)
  }

  get flushes(): number {
    return Atomics.load(this.counts, FLUSHES)
  }

  protected slot(count: number): number {
    return (count & (SLOTS - 1)) * WORDS
  }
}

/** The side that asks. */
export class Asking extends Side {
  /** Counts as this side knows them. */
  #asked = this.counts[ASKED]!
  #answered = this.counts[ANSWERED]!
  /** Where the bytes of the oldest operation that is not answered begin, and where the next will: they only grow. */
  #start = 0
  #end = 0
  /** For each slot, where the bytes are free up to when it is answered. */
  readonly #ends = new Float64Array(SLOTS)

  get isFull(): boolean {
    return ((this.#asked - this.#answered) | 0) >= SLOTS
  }

  /** Asks for a write; false when there is no room for its bytes. Not to be called when full. */
  write(kind: WriteKind, key: string, value: Uint8Array): boolean {
    const size = this.bytes.length
    const keyLength = Buffer.byteLength(key)
    const length = keyLength + value.length
    let at = this.#end % size
    // What does not fit before the end of the memory begins at its start.
    const skipped = at + length > size ? size - at : 0
    if (this.#end + skipped + length - this.#start > size) return false
    at = skipped > 0 ? 0 : at
    this.bytes.write(key, at)
    this.bytes.set(value, at + keyLength)
    this.#end += skipped + length
    const slot = this.slot(this.#asked)
    this.slots[slot + AT] = at
    this.slots[slot + KEY_LENGTH] = keyLength
    this.slots[slot + VALUE_LENGTH] = value.length
    this.ask(kind)
    return true
  }

  /** Asks for what is a message, which has been posted already, or for the end. */
  ask(kind: number): void {
    this.slots[this.slot(this.#asked) + KIND] = kind
    this.#ends[this.#asked & (SLOTS - 1)] = this.#end
    this.#asked = (this.#asked + 1) | 0
    Atomics.store(this.counts, ASKED, this.#asked)
    Atomics.notify(this.counts, ASKED)
  }

  /** The outcome of the oldest that is not taken yet; -1: it is not answered. */
  take(): number {
    if (Atomics.load(this.counts, ANSWERED) === this.#answered) return -1
    this.#start = this.#ends[this.#answered & (SLOTS - 1)]!
    const outcome = this.slots[this.slot(this.#answered) + OUTCOME]!
    this.#answered = (this.#answered + 1) | 0
    return outcome
  }

  /** Resolves when something is answered that is not taken; at once when it is already. */
  answered(): Promise<unknown> | undefined {
    const { async, value } = Atomics.waitAsync(this.counts, ANSWERED, this.#answered)
    return async ? value : undefined
  }
}

/** The side that answers. */
export class Answering extends Side {
  #answered = this.counts[ANSWERED]!

  /** How much is asked and not answered; waits while that is nothing, unless it is woken. */
  wait(): number {
    if (Atomics.load(this.counts, ASKED) === this.#answered) Atomics.wait(this.counts, ASKED, this.#answered)
    return (Atomics.load(this.counts, ASKED) - this.#answered) | 0
  }

  /** The n-th that waits. */
  kind(n: number): number {
    return this.slots[this.slot(this.#answered + n) + KIND]!
  }

  key(n: number): string {
    const slot = this.slot(this.#answered + n)
    const at = this.slots[slot + AT]!
    return this.bytes.toString('utf8', at, at + this.slots[slot + KEY_LENGTH]!)
  }

  value(n: number): Uint8Array {
    const slot = this.slot(this.#answered + n)
    const at = this.slots[slot + AT]! + this.slots[slot + KEY_LENGTH]!
    return this.bytes.subarray(at, at + this.slots[slot + VALUE_LENGTH]!)
  }

  outcome(n: number, outcome: number): void {
    this.slots[this.slot(this.#answered + n) + OUTCOME] = outcome
  }

  /** So many are answered; their outcomes are in their slots. */
  answer(count: number): void {
    this.#answered = (this.#answered + count) | 0
    Atomics.store(this.counts, ANSWERED, this.#answered)
    Atomics.notify(this.counts, ANSWERED)
  }

  flushed(times: number): void {
    Atomics.add(this.counts, FLUSHES, times)
  }

  /** Whether the checkpoint that was asked for has been made since this was asked last. */
  get checkpointed(): boolean {
    return Atomics.compareExchange(this.counts, CHECKPOINT, Checkpoint.Made, Checkpoint.None) === Checkpoint.Made
  }

  askCheckpoint(): void {
    Atomics.store(this.counts, CHECKPOINT, Checkpoint.Asked)
    Atomics.notify(this.counts, CHECKPOINT)
  }
}

/** The side that makes checkpoints. */
export class Checkpointing extends Side {
  /** Waits until one is asked for. */
  wait(): void {
    for (;;) {
      const state = Atomics.load(this.counts, CHECKPOINT)
      if (state === Checkpoint.Asked) return
      Atomics.wait(this.counts, CHECKPOINT, state)
    }
  }

  /** It is made: whoever asked wakes up. */
  made(): void {
    Atomics.store(this.counts, CHECKPOINT, Checkpoint.Made)
    Atomics.notify(this.counts, ASKED)
  }
}
