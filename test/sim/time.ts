// Virtual time: events in the order of their time and, at one time, of their making. Between two events everything that was promised
// comes to rest: each event is an immediate of its own, and Node begins none before ticks and promises are empty.

export interface Event {
  readonly at: number
  readonly order: number
  /** Null: called off. */
  run: (() => void) | null
}

/** Events that are handed to Node at a time: it clears ticks and promises between any two of them, but goes round its loop once for all. */
const BATCH = 128

export class Time {
  /** Ms since the beginning of the run; has fractions. */
  now = 0
  /** Events that ran. */
  events = 0
  readonly #heap: Event[] = []
  #order = 0
  #high = 0x9e3779b9
  #low = 0x85ebca6b

  at(at: number, run: () => void): Event {
    const event = { at: Math.max(at, this.now), order: ++this.#order, run }
    this.#push(event)
    return event
  }

  after(ms: number, run: () => void): Event {
    return this.at(this.now + ms, run)
  }

  /** Takes a number into the hash of the whole run. */
  mix(n: number): void {
    this.#low = Math.imul(this.#low ^ n, 0x01000193) + this.#high
    this.#high = Math.imul(this.#high ^ (this.#low >>> 15), 0x85ebca6b) ^ this.#low
  }

  /** Over every event so far: two runs of one seed are the same when this is. */
  get hash(): string {
    return [this.#high, this.#low].map((n) => (n >>> 0).toString(16).padStart(8, '0')).join('')
  }

  /** Runs events until `stop` says so, or none is left; rejects with what an event throws. */
  run(stop: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      let ended = false
      const end = (how: () => void) => {
        ended = true
        how()
      }
      const next = () => {
        if (ended) return
        if (stop()) return end(resolve)
        const event = this.#pop()
        if (!event) return end(resolve)
        this.now = event.at
        this.events++
        this.mix(event.order ^ (event.at * 1000))
        try {
          event.run?.()
        } catch (error) {
          end(() => reject(error as Error))
        }
      }
      const batch = () => {
        for (let n = 0; n < BATCH; n++) setImmediate(next)
        setImmediate(() => ended || batch())
      }
      batch()
    })
  }

  #push(event: Event): void {
    const heap = this.#heap
    let place = heap.length
    heap.push(event)
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (isBefore(heap[parent]!, event)) break
      heap[place] = heap[parent]!
      place = parent
    }
    heap[place] = event
  }

  /** The next event that was not called off. */
  #pop(): Event | undefined {
    const heap = this.#heap
    for (;;) {
      const first = heap[0]
      const last = heap.pop()
      if (!first || !last) return undefined
      if (first !== last) this.#sink(last)
      if (first.run) return first
    }
  }

  #sink(event: Event): void {
    const heap = this.#heap
    let place = 0
    for (;;) {
      let child = place * 2 + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (isBefore(event, heap[child]!)) break
      heap[place] = heap[child]!
      place = child
    }
    heap[place] = event
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
