// What the rooms need of a logger (pino's form), and a brake for lines that clients can cause.

export interface Log {
  debug(fields: object, text: string): void
  info(fields: object, text: string): void
  warn(fields: object, text: string): void
  error(fields: object, text: string): void
}

/** Lets one line pass in `everyMs`, and tells with it how many it held back. */
export class RateLimited {
  readonly #everyMs: number
  #next = 0
  #held = 0

  constructor(everyMs = 1000) {
    this.#everyMs = everyMs
  }

  /** @param now ms on any clock that does not go back */
  pass(now: number, line: (held: number) => void): void {
    if (now < this.#next) {
      this.#held++
      return
    }
    this.#next = now + this.#everyMs
    const held = this.#held
    this.#held = 0
    line(held)
  }
}
