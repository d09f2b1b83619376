// Liveness where links do not tell: a node that misses the word of another bumps a counter in the store while it does, for the other may
// miss it as well, and others judge by their own clock whether it moves.
// Nothing depends on it but who tries to lead when: what makes two leaders safe is the log.
import type { Lane } from '../storage/port.ts'
import type { Clock } from '../wire/runtime.ts'

/** How often the counter moves, ms. */
const BEAT_MS = 100
/** Unmoved for so long, the node counts as silent, ms. */
const STILL_MS = 300
const LOOK_MS = 60
/** How long the counter moves on after the last reason for it, ms. */
const KEEP_MS = 5_000

interface Seen {
  value: string
  /** When it was seen to move last, by this node's clock. */
  movedAt: number
  /** When the store said last that it has not moved. */
  stillAt: number
  lookedAt: number
}

export class Pulse {
  readonly #lane: Lane
  readonly #clock: Clock
  readonly #cluster: string
  readonly #name: string
  readonly #writer: bigint
  readonly #seen = new Map<string, Seen>()
  #beats = 0
  #busy = false
  #until = 0
  #timer: (() => void) | null = null

  constructor(options: { lane: Lane; clock: Clock; cluster: string; name: string; writer: bigint }) {
    this.#lane = options.lane
    this.#clock = options.clock
    this.#cluster = options.cluster
    this.#name = options.name
    this.#writer = options.writer
  }

  #key(name: string): string {
    return `{${this.#cluster}:live}:${name}`
  }

  /** Moves the counter from now on, for a while. */
  beat(): void {
    this.#until = this.#clock.now() + KEEP_MS
    if (!this.#timer) this.#beat()
  }

  #beat(): void {
    this.#timer = this.#clock.now() < this.#until ? this.#clock.timer(BEAT_MS, () => this.#beat()) : null
    if (this.#busy) return
    this.#busy = true
    const done = () => {
      this.#busy = false
    }
    this.#lane.set(this.#key(this.#name), Buffer.from(`${this.#writer}:${++this.#beats}`)).then(done, done)
  }

  stop(): void {
    this.#timer?.()
  }

  /** Whether the node's counter has not moved for long enough. Begins to look when asked first: the answer is false until it is known. */
  isStill(name: string): boolean {
    const now = this.#clock.now()
    let seen = this.#seen.get(name)
    // Who was not asked about for a while may have stood still and moved again since.
    if (!seen || now - seen.lookedAt > STILL_MS)
      this.#seen.set(name, (seen = { value: '', movedAt: now, stillAt: now, lookedAt: 0 }))
    if (now - seen.lookedAt >= LOOK_MS) void this.#look(name, seen, now)
    // Who is cut off from the store sees nothing move: only what the store has said counts.
    return seen.stillAt - seen.movedAt >= STILL_MS && now - seen.stillAt < STILL_MS
  }

  async #look(name: string, seen: Seen, now: number): Promise<void> {
    seen.lookedAt = now
    try {
      const value = String(await this.#lane.get(this.#key(name)))
      const before = seen.stillAt
      seen.stillAt = this.#clock.now()
      // A store that was away let nobody move.
      if (value === seen.value && seen.stillAt - before < STILL_MS) return
      seen.value = value
      seen.movedAt = seen.stillAt
    } catch {
      // A store that does not answer tells nothing about the node.
      seen.movedAt = seen.stillAt = this.#clock.now()
    }
  }
}
