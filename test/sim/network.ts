// The network between machines: streams of bytes as TCP gives them. Nothing on a stream is lost, doubled or out of order; what goes wrong
// is that it comes late, that a way is cut for a while in one direction or both, and that streams break with all that is on the way.
import type { AddressInfo } from 'node:net'
import { crc32 } from 'node:zlib'
import type { Address } from '../../tc-core/wire/address.ts'
import type { ByteServer, ByteStream } from '../../tc-core/wire/runtime.ts'
import type { Random } from '../core/random.ts'
import type { Machine } from './machine.ts'
import type { Time } from './time.ts'

interface Listening {
  readonly machine: Machine
  accept(stream: ByteStream): void
}

type Handler = (argument: any) => void

export class Network {
  readonly time: Time
  readonly random: Random
  /** Streams that are open, both ends of each. */
  readonly streams = new Set<End>()
  readonly #listening = new Map<string, Listening>()
  /** Ways that are cut, `from>to` by host. */
  readonly #cut = new Map<string, number>()
  /** Ways that are slow: how many ms more they take, at most. */
  readonly #slow = new Map<string, number>()
  /** Ways that walls stand in, `from>to`, and how many: connections are refused, as if nobody listened. */
  readonly #refused = new Map<string, number>()
  /** Hosts without power or cable: who talks to them hears nothing, not even that nobody is there. */
  readonly dark = new Set<string>()
  #port = 40_000
  messages = 0

  constructor(time: Time, random: Random) {
    this.time = time
    this.random = random
  }

  /** How long a message takes, ms; Infinity: the way is cut. */
  delay(from: string, to: string): number {
    const way = `${from}>${to}`
    if (this.#cut.has(way)) return Number.POSITIVE_INFINITY
    const { random } = this
    const usual = 0.1 + random.next() * 0.3
    const late = random.next() < 0.005 ? random.below(30) : 0
    const slow = this.#slow.get(way)
    return usual + late + (slow ? random.below(slow) : 0)
  }

  cut(from: string, to: string): void {
    const way = `${from}>${to}`
    this.#cut.set(way, (this.#cut.get(way) ?? 0) + 1)
  }

  /** What waited for the way goes on, or finds that its stream is broken. */
  mend(from: string, to: string): void {
    const way = `${from}>${to}`
    const left = this.#cut.get(way)! - 1
    if (left > 0) this.#cut.set(way, left)
    else this.#cut.delete(way)
    if (left > 0) return
    for (const end of [...this.streams]) if (end.machine.host === from && end.remoteAddress === to) end.goOn()
  }

  /** Breaks what goes from one to the other, and refuses what would. */
  refuse(from: string, to: string): void {
    const way = `${from}>${to}`
    this.#refused.set(way, (this.#refused.get(way) ?? 0) + 1)
    for (const end of [...this.streams])
      if (end.dialled && end.machine.host === from && end.remoteAddress === to) this.reset(end)
  }

  allow(from: string, to: string): void {
    const way = `${from}>${to}`
    const left = this.#refused.get(way)! - 1
    if (left > 0) this.#refused.set(way, left)
    else this.#refused.delete(way)
  }

  slow(from: string, to: string, ms: number): void {
    if (ms > 0) this.#slow.set(`${from}>${to}`, ms)
    else this.#slow.delete(`${from}>${to}`)
  }

  server(machine: Machine, accept: (stream: ByteStream) => void): ByteServer {
    let key = ''
    return {
      listen: async (port, host) => {
        key = `${host}:${port}`
        this.#listening.set(key, { machine, accept })
        return { address: host, port, family: 'IPv4' } as AddressInfo
      },
      close: () => {
        if (this.#listening.get(key)?.machine === machine) this.#listening.delete(key)
      }
    }
  }

  connect(machine: Machine, { host, port }: Address): ByteStream {
    const near = new End(this, machine, host, port, true)
    const localPort = ++this.#port
    this.streams.add(near)
    const there = this.delay(machine.host, host)
    const back = this.delay(host, machine.host)
    // Who cannot be reached does not answer: the dialler has to give up by itself.
    if (there === Number.POSITIVE_INFINITY || back === Number.POSITIVE_INFINITY || this.dark.has(host)) return near
    this.time.after(there, () => {
      const listening = this.#listening.get(`${host}:${port}`)
      if (!listening?.machine.alive || this.#refused.has(`${machine.host}>${host}`)) {
        this.time.after(back, () => near.fail('ECONNREFUSED'))
        return
      }
      if (near.closed) return
      const far = new End(this, listening.machine, machine.host, localPort, false)
      this.streams.add(far)
      near.peer = far
      far.peer = near
      listening.machine.enter(() => listening.accept(far))
      this.time.after(back, () => near.connected())
    })
    return near
  }

  /** The kernel of a process that died closes its streams; a host that went dark says nothing. */
  died(machine: Machine): void {
    for (const [key, listening] of [...this.#listening]) if (listening.machine === machine) this.#listening.delete(key)
    for (const end of [...this.streams]) {
      if (end.machine !== machine) continue
      end.closed = true
      if (!this.dark.has(machine.host)) end.sendClose()
      else {
        this.streams.delete(end)
        if (end.peer) end.peer.peer = null
      }
    }
  }

  /** Breaks a stream: both ends see it end, and what was on the way is lost. */
  reset(end: End): void {
    const { peer } = end
    end.fail('ECONNRESET')
    peer?.fail('ECONNRESET')
  }

  seen(bytes: Buffer): void {
    this.messages++
    this.time.mix(crc32(bytes))
  }
}

/** One end of a stream. */
export class End implements ByteStream {
  readonly machine: Machine
  readonly remoteAddress: string
  readonly remotePort: number
  readonly writableLength = 0
  /** It is the end that connected to the other. */
  readonly dialled: boolean
  peer: End | null = null
  closed = false
  readonly #network: Network
  readonly #handlers = new Map<string, Handler[]>()
  /** What cannot leave: there is no connection yet, or the way is cut. Null: the close. */
  #waiting: (Buffer | null)[] = []
  #connected: boolean
  #lastArrival = 0
  #paused = false
  #unread: Buffer[] = []

  constructor(network: Network, machine: Machine, remoteAddress: string, remotePort: number, dialled: boolean) {
    this.#network = network
    this.dialled = dialled
    this.#connected = !dialled
    this.machine = machine
    this.remoteAddress = remoteAddress
    this.remotePort = remotePort
  }

  on(event: string, then: Handler): void {
    const handlers = this.#handlers.get(event)
    if (handlers) handlers.push(then)
    else this.#handlers.set(event, [then])
  }

  #emit(event: string, argument?: unknown): void {
    // Who comes to listen meanwhile hears the next one, as with Node.
    for (const handler of [...(this.#handlers.get(event) ?? [])]) handler(argument)
  }

  connected(): void {
    if (this.closed) return
    this.#connected = true
    this.machine.enter(() => this.#emit('connect'))
    this.goOn()
  }

  write(bytes: Uint8Array): void {
    if (this.closed) return
    this.#leave(Buffer.from(bytes))
  }

  /** The way is free again. */
  goOn(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const bytes of waiting) this.#leave(bytes)
  }

  #leave(bytes: Buffer | null): void {
    const { time } = this.#network
    const ms =
      this.#connected && this.#waiting.length === 0 ? this.#network.delay(this.machine.host, this.remoteAddress) : null
    if (ms === null || ms === Number.POSITIVE_INFINITY) return void this.#waiting.push(bytes)
    const at = Math.max(this.#lastArrival, time.now + ms)
    this.#lastArrival = at
    if (!bytes) this.#network.streams.delete(this)
    time.at(at, () => {
      const { peer } = this
      if (!peer) {
        // Nobody knows this stream over there any more.
        if (!this.#network.dark.has(this.remoteAddress)) this.fail('ECONNRESET')
        return
      }
      if (bytes) peer.#arrive(bytes)
      else peer.fail('')
    })
  }

  #arrive(bytes: Buffer): void {
    this.#network.seen(bytes)
    this.machine.enter(() => {
      if (this.closed) return
      if (this.#paused) this.#unread.push(bytes)
      else this.#emit('data', bytes)
    })
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    const unread = this.#unread
    this.#unread = []
    for (const bytes of unread) this.machine.defer(() => this.closed || this.#emit('data', bytes))
  }

  end(): void {
    this.destroy()
  }

  destroy(error?: Error): void {
    if (this.closed) return
    this.closed = true
    if (this.#connected) this.sendClose()
    else this.#network.streams.delete(this)
    this.machine.defer(() => {
      if (error) this.#emit('error', error)
      this.#emit('close')
    })
  }

  /** The other end hears of the close, behind all that was sent. */
  sendClose(): void {
    this.#leave(null)
  }

  /** It ends from outside. */
  fail(code: string): void {
    if (this.closed) return
    this.closed = true
    this.#network.streams.delete(this)
    this.machine.enter(() => {
      if (code !== '') this.#emit('error', Object.assign(new Error(code), { code }))
      this.#emit('close')
    })
  }
}
