// The time that the host gives to the core and to the log; the simulator gives another.

export interface Clock {
  /** Unix ms; never goes back, and does not jump with the wall clock while the process runs. */
  now(): number
  sleep(ms: number): Promise<void>
  /** Calls `then` in `ms`; returns what calls it off. */
  timer(ms: number, then: () => void): () => void
  /** Calls `then` when what has come in this turn of the event loop is taken in. */
  defer(then: () => void): void
}

export const systemClock: Clock = {
  now: () => Math.floor(performance.timeOrigin + performance.now()),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  timer(ms, then) {
    const timer = setTimeout(then, ms)
    return () => clearTimeout(timer)
  },
  defer: (then) => void setImmediate(then)
}
