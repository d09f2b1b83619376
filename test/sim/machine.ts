// A machine that one process of the product runs on: its clock, which drifts and may be set, its timers, its chance, its network.
// What happens to a process happens here: it may sleep, and then everything that should have come to it comes when it wakes; or die.
import type { Address } from '../../tc-core/wire/address.ts'
import type { ByteServer, ByteStream, Runtime } from '../../tc-core/wire/runtime.ts'
import type { Random } from '../core/random.ts'
import type { Network } from './network.ts'
import type { Time } from './time.ts'

/** The wall clock at the beginning of every run, Unix ms. */
const EPOCH_MS = 1_800_000_000_000
/** Ms until what a process defers to the end of its turn is run. */
const TURN_MS = 0.03

export class Machine implements Runtime {
  readonly name: string
  /** Its address in the network. */
  readonly host: string
  readonly time: Time
  readonly #network: Network
  readonly #random: Random
  alive = true
  /** Who put it to sleep wakes it. */
  asleep = false
  #missed: (() => void)[] = []
  /** The wall clock less virtual time, ms, and how many ms of its own pass in one. */
  #offset: number
  #rate: number
  #since: number

  constructor(name: string, host: string, network: Network, random: Random) {
    this.name = name
    this.host = host
    this.time = network.time
    this.#network = network
    this.#random = random
    this.#offset = EPOCH_MS + (random.next() < 0.3 ? random.below(4_000) - 2_000 : random.below(10)) + network.time.now
    this.#since = network.time.now
    this.#rate = 0.998 + random.next() * 0.004
  }

  /** Does something in this process: now, when it wakes, or never. */
  enter(then: () => void): void {
    if (!this.alive) return
    if (this.asleep) this.#missed.push(then)
    else then()
  }

  sleeps(): void {
    this.asleep = true
  }

  /** All that it missed comes at once, in order. */
  wakes(): void {
    this.asleep = false
    const missed = this.#missed
    this.#missed = []
    // One turn for each, as the kernel hands them out.
    for (const then of missed) this.time.at(this.time.now, () => this.enter(then))
  }

  dies(): void {
    this.alive = false
    this.#missed = []
    this.#network.died(this)
  }

  /** Its clock leaps ahead. */
  leap(ms: number): void {
    this.#offset += ms
  }

  now(): number {
    return Math.floor(this.#offset + (this.time.now - this.#since) * this.#rate)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.timer(ms, resolve)
    })
  }

  timer(ms: number, then: () => void): () => void {
    let off = false
    const event = this.time.after(Math.max(1, ms) / this.#rate, () =>
      this.enter(() => {
        if (!off) then()
      })
    )
    return () => {
      off = true
      event.run = null
    }
  }

  defer(then: () => void): void {
    this.time.after(TURN_MS, () => this.enter(then))
  }

  id(): bigint {
    return (BigInt(this.#random.below(2 ** 31)) << 32n) | BigInt(this.#random.below(2 ** 32))
  }

  below(n: number): number {
    return this.#random.below(n)
  }

  connect(address: Address): ByteStream {
    return this.#network.connect(this, address)
  }

  server(accept: (stream: ByteStream) => void): ByteServer {
    return this.#network.server(this, accept)
  }
}
