// Requests whose fragment nobody serves at the moment: kept, within bounds, and sent when somebody does.
import type { Pending } from './pending.ts'

/** How long a request is parked, ms. Below every client's own patience. */
export const PARK_MS = 5_000
const MAX_PARKED_BYTES = 64 * 1024 * 1024

export class Park {
  readonly #max: number
  readonly #byFragment = new Map<number, Pending[]>()
  #bytes = 0
  #size = 0

  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#size
  }

  /** False: there is no room. */
  add(pending: Pending): boolean {
    const bytes = pending.end - pending.start
    if (this.#size >= this.#max || this.#bytes + bytes > MAX_PARKED_BYTES) return false
    pending.keep()
    let waiting = this.#byFragment.get(pending.fragment)
    if (!waiting) this.#byFragment.set(pending.fragment, (waiting = []))
    waiting.push(pending)
    this.#size++
    this.#bytes += bytes
    return true
  }

  fragments(): number[] {
    return [...this.#byFragment.keys()]
  }

  /** Takes out all that wait for a fragment, in the order in which they came. */
  take(fragment: number): Pending[] {
    const waiting = this.#byFragment.get(fragment) ?? []
    this.#byFragment.delete(fragment)
    this.#forget(waiting)
    return waiting
  }

  /** Takes out those that fit, those of one fragment in the order in which they came. */
  takeIf(fits: (pending: Pending) => boolean): Pending[] {
    const taken: Pending[] = []
    for (const [fragment, waiting] of this.#byFragment) {
      const left = waiting.filter((pending) => !fits(pending))
      if (left.length === waiting.length) continue
      for (const pending of waiting) if (fits(pending)) taken.push(pending)
      if (left.length > 0) this.#byFragment.set(fragment, left)
      else this.#byFragment.delete(fragment)
    }
    this.#forget(taken)
    return taken
  }

  #forget(gone: readonly Pending[]): void {
    this.#size -= gone.length
    for (const pending of gone) this.#bytes -= pending.end - pending.start
  }
}
