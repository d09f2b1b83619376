// What passes between the process and its database thread: operations one way, replies in the same order back, values through
// shared memory so that neither side makes garbage of them.

export interface SqliteThreadData {
  readonly path: string
  readonly ring: SharedArrayBuffer
  /** One counter that the thread keeps: its flushes to disk. */
  readonly flushes: SharedArrayBuffer
}

type Value = { readonly at: number; readonly length: number } | { readonly value: Uint8Array }

export type Operation =
  | ({ readonly kind: 'setIfAbsent' | 'set'; readonly key: string } & Value)
  | { readonly kind: 'getMany' | 'delete'; readonly keys: readonly string[] }
  | { readonly kind: 'close' }

export interface Reply {
  readonly error?: string
  readonly value?: unknown
}

/** Values in the order of the operations: put at the one end, freed at the other. Positions only grow; a place is their remainder. */
export class Ring {
  readonly shared: SharedArrayBuffer
  readonly #bytes: Uint8Array
  #start = 0
  end = 0

  constructor(shared: SharedArrayBuffer) {
    this.shared = shared
    this.#bytes = new Uint8Array(shared)
  }

  /** Copies a value in and returns its place, -1 when there is no room. `end` is then what `free` wants. */
  put(value: Uint8Array): number {
    const size = this.#bytes.length
    let at = this.end % size
    // A value lies in one piece: what does not fit before the end of the memory begins at its start.
    const skipped = at + value.length > size ? size - at : 0
    if (this.end + skipped + value.length - this.#start > size) return -1
    at = skipped > 0 ? 0 : at
    this.#bytes.set(value, at)
    this.end += skipped + value.length
    return at
  }

  free(end: number): void {
    this.#start = end
  }

  clear(): void {
    this.#start = this.end
  }

  view(at: number, length: number): Uint8Array {
    return this.#bytes.subarray(at, at + length)
  }
}
