// Collections for what comes and goes by thousands a second, kind to the garbage collector.
// V8 makes the table of a Map or Set anew every few dozen changes, among its old objects, and what the table before held counts as alive
// until the next major collection. So of a small Map with much traffic nearly everything outlives the minor collections, which copy it
// instead of forgetting it: pauses of 10 ms, several a second. Here no Map holds more than keys and numbers.

/** As a Map, in its order: the values lie in an array. */
export class Table<K extends string | number, V> {
  readonly #places = new Map<K, number>()
  #values: (V | undefined)[] = []
  #free: number[] = []

  get size(): number {
    return this.#places.size
  }

  has(key: K): boolean {
    return this.#places.has(key)
  }

  get(key: K): V | undefined {
    const place = this.#places.get(key)
    return place === undefined ? undefined : this.#values[place]
  }

  set(key: K, value: V): void {
    let place = this.#places.get(key)
    if (place === undefined) this.#places.set(key, (place = this.#free.pop() ?? this.#values.length))
    this.#values[place] = value
  }

  delete(key: K): boolean {
    const place = this.#places.get(key)
    if (place === undefined) return false
    this.#places.delete(key)
    this.#values[place] = undefined
    this.#free.push(place)
    // What a peak has made long does not stay so.
    if (this.#places.size === 0 && this.#values.length > MAX_EMPTY) {
      this.#values = []
      this.#free = []
    }
    return true
  }

  keys(): IterableIterator<K> {
    return this.#places.keys()
  }

  *values(): Generator<V> {
    for (const place of this.#places.values()) yield this.#values[place]!
  }

  *[Symbol.iterator](): Generator<[K, V]> {
    for (const [key, place] of this.#places) yield [key, this.#values[place]!]
  }
}

const MAX_EMPTY = 1024

/** As a Set of objects that know their place in it; in no order. */
export class Bag<T extends { place: number }> {
  readonly #items: T[] = []

  add(item: T): void {
    item.place = this.#items.push(item) - 1
  }

  /** False: it is not in it. */
  delete(item: T): boolean {
    const { place } = item
    if (this.#items[place] !== item) return false
    const last = this.#items.pop()!
    if (last !== item) {
      this.#items[place] = last
      last.place = place
    }
    return true
  }

  /** What is in it now, whatever happens to it meanwhile. */
  all(): T[] {
    return [...this.#items]
  }
}

/** Takes everything out of a list that is soon filled again. Not by its length: that gives its memory back. */
export function empty(list: unknown[]): void {
  while (list.length > 0) list.pop()
}
