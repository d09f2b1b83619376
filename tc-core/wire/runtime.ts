// What a process takes from the machine that it runs on: time, timers, chance, and streams of bytes to others. The simulator gives another.
import { randomBytes, randomInt } from 'node:crypto'
import { type AddressInfo, connect, createServer } from 'node:net'
import { performance } from 'node:perf_hooks'
import type { Address } from './address.ts'

export interface Clock {
  /** Unix ms; never goes back, and does not jump with the wall clock while the process runs. */
  now(): number
  sleep(ms: number): Promise<void>
  /** Calls `then` in `ms`; returns what calls it off. */
  timer(ms: number, then: () => void): () => void
  /** Calls `then` when what has come in this turn of the event loop is taken in. */
  defer(then: () => void): void
}

/** As much of a socket as is used here. What `write` takes belongs to the stream while `writableLength` is above 0. */
export interface ByteStream {
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  readonly writableLength: number
  write(bytes: Uint8Array): unknown
  end(): unknown
  destroy(error?: Error): unknown
  pause(): unknown
  resume(): unknown
  on(event: 'data', then: (chunk: Buffer) => void): unknown
  on(event: 'error', then: (error: NodeJS.ErrnoException) => void): unknown
  on(event: 'connect' | 'close' | 'drain', then: () => void): unknown
}

export interface ByteServer {
  /** Resolves with the address that it listens on; rejects when it cannot. */
  listen(port: number, host: string): Promise<AddressInfo>
  close(): void
}

export interface Runtime extends Clock {
  /** 64 bits that nobody else draws. */
  id(): bigint
  /** A whole number in [0, n). */
  below(n: number): number
  connect(address: Address): ByteStream
  /** @param max streams at a time; more are closed at once */
  server(accept: (stream: ByteStream) => void, max?: number): ByteServer
}

const { timeOrigin } = performance
const turnIsOver = Promise.resolve()
let turn = -1
const forget = () => {
  turn = -1
}

/**
 * As performance.now(), but what runs without a break has one time: a look at the clock takes as long as much of what a request needs, and
 * tens of them are taken in and answered in one go.
 */
export function exactNow(): number {
  if (turn < 0) {
    turn = performance.now()
    void turnIsOver.then(forget)
  }
  return turn
}

export const systemRuntime: Runtime = {
  now: () => Math.floor(timeOrigin + exactNow()),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  timer(ms, then) {
    const timer = setTimeout(then, ms)
    return () => clearTimeout(timer)
  },
  defer: (then) => void setImmediate(then),
  id: () => randomBytes(8).readBigInt64BE(),
  below: (n) => randomInt(n),
  connect: (address) => connect({ ...address, noDelay: true }),
  server(accept, max = 0) {
    const server = createServer({ noDelay: true }, accept)
    if (max > 0) server.maxConnections = max
    return {
      listen: (port, host) =>
        new Promise((resolve, reject) => {
          server.once('error', reject)
          server.listen(port, host, () => resolve(server.address() as AddressInfo))
        }),
      close: () => void server.close()
    }
  }
}

/** Calls `then` every `ms` until it is called off. */
export function every(clock: Clock, ms: number, then: () => void): () => void {
  let stop = clock.timer(ms, again)
  function again(): void {
    stop = clock.timer(ms, again)
    then()
  }
  return () => stop()
}
