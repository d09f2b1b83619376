// What a leader looks at again at some time: one heap, ordered by time, from which anything can be taken out.

export interface Timed {
  /** Unix ms. */
  at: number
  /** Place in the heap; -1: not in it. */
  heapIndex: number
}

export class Timers<T extends Timed> {
  readonly #heap: T[] = []

  get size(): number {
    return this.#heap.length
  }

  /** The time of the first, or Infinity. */
  get next(): number {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  /** Sets, or moves, the time of an item. */
  set(item: T, at: number): void {
    if (item.heapIndex < 0) {
      item.at = at
      item.heapIndex = this.#heap.push(item) - 1
      this.#up(item)
      return
    }
    const later = at > item.at
    item.at = at
    if (later) this.#down(item)
    else this.#up(item)
  }

  remove(item: T): void {
    const place = item.heapIndex
    if (place < 0) return
    item.heapIndex = -1
    const last = this.#heap.pop()!
    if (last === item) return
    this.#put(last, place)
    this.#up(last)
    this.#down(last)
  }

  /** Takes out the first if its time has come. */
  due(now: number): T | null {
    const first = this.#heap[0]
    if (!first || first.at > now) return null
    this.remove(first)
    return first
  }

  #put(item: T, place: number): void {
    this.#heap[place] = item
    item.heapIndex = place
  }

  #up(item: T): void {
    let place = item.heapIndex
    while (place > 0) {
      const parent = this.#heap[(place - 1) >> 1]!
      if (parent.at <= item.at) break
      this.#put(parent, place)
      place = (place - 1) >> 1
    }
    this.#put(item, place)
  }

  #down(item: T): void {
    let place = item.heapIndex
    for (;;) {
      let child = place * 2 + 1
      if (child >= this.#heap.length) break
      if (child + 1 < this.#heap.length && this.#heap[child + 1]!.at < this.#heap[child]!.at) child++
      if (this.#heap[child]!.at >= item.at) break
      this.#put(this.#heap[child]!, place)
      place = child
    }
    this.#put(item, place)
  }
}
