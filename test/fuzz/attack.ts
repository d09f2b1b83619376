// Damaged frames against a live coordinator, with a client beside them that behaves: does it see a failure, does it wait longer, does memory grow?
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import { FrameReader } from '../../tc-core/wire/frame.ts'
import { SeataClient } from '../client/client.ts'
import { ServerProcess, temporaryDirectory } from '../e2e/servers.ts'
import { type Decoded, decodeFrame, type Message } from '../golden/conversation.ts'
import type { Seen } from './behaving.ts'
import { Mutator, REGISTRATION } from './mutate.ts'

type Context = { teardown(then: () => unknown): void }

export interface AttackOptions {
  readonly frames: number
  /** Frames a second. */
  readonly rate: number
  readonly seed: number
  /** How long the client is alone before, ms. */
  readonly alone: number
}

export interface Report {
  readonly frames: number
  /** Connections that the coordinator closed, for what came could not be framed. */
  readonly closed: number
  readonly answers: number
  /** What came back and is no frame. */
  readonly unreadable: number
  /** What the client that behaves saw fail. */
  readonly failures: readonly string[]
  readonly transactions: { readonly alone: number; readonly attacked: number }
  /** 99th percentile of its transactions, ms. */
  readonly p99: { readonly alone: number; readonly attacked: number }
  /** Bytes in use after a collection: after a tenth of the frames, and at the end. */
  readonly memory: { readonly early: number; readonly end: number }
}

const CONNECTIONS = 8
/** Frames come evenly: what many at once do to the others is a matter of load, and not of damage. */
const TICK_MS = 1
const CLEAN_MS = 50
/** After so many frames a connection is left: one may wait for bytes that never come. */
const FRAMES_A_CONNECTION = 20
const BEGIN_RESULT = 2
const SETTLE_MS = 2_000
/** Longer than a coordinator keeps a connection on which nothing comes. */
const LINGER_MS = 16_000

export async function attack(t: Context, options: AttackOptions): Promise<Report> {
  const probe = new URL('memory.ts', import.meta.url).href
  const env = { NODE_OPTIONS: `--expose-gc --import ${probe}` }
  const server = new ServerProcess(
    t,
    ['start', '--port', '0', '--http-port', '0', '--kv', `sqlite:${temporaryDirectory(t)}`],
    env
  )
  const { port } = await server.ready()
  const client = new Behaving(t, port)
  client.start()
  await sleep(options.alone)
  const alone = await client.stop()

  const attackers = Array.from({ length: CONNECTIONS }, (_, i) => new Attacker(port, options.seed + i))
  const janitor = await registered(port)
  let early = 0
  let attacking = true
  const cleaning = (async () => {
    for (; attacking; await sleep(CLEAN_MS))
      for (const attacker of attackers) await endAll(janitor, attacker.begun.splice(0))
  })()
  client.start()
  const begun = performance.now()
  for (let sent = 0; sent < options.frames; ) {
    const due = Math.min(options.frames, Math.floor(((performance.now() - begun) * options.rate) / 1000))
    for (; sent < due; sent++) await attackers[sent % CONNECTIONS]!.send()
    if (early === 0 && sent >= options.frames / 10) early = await inUse(server)
    await sleep(TICK_MS)
  }
  const attacked = await client.stop()
  attacking = false
  await cleaning
  await Promise.all(attackers.map((attacker) => attacker.close()))
  await sleep(SETTLE_MS)
  for (const attacker of attackers) await endAll(janitor, attacker.begun.splice(0))
  const end = await inUse(server)
  const sum = (of: (attacker: Attacker) => number) => attackers.reduce((total, attacker) => total + of(attacker), 0)
  return {
    frames: options.frames,
    closed: sum((attacker) => attacker.closed),
    answers: sum((attacker) => attacker.answers),
    unreadable: sum((attacker) => attacker.unreadable),
    failures: [...alone.failures, ...attacked.failures],
    transactions: { alone: alone.times.length, attacked: attacked.times.length },
    p99: { alone: percentile(alone.times), attacked: percentile(attacked.times) },
    memory: { early, end }
  }
}

async function registered(port: number): Promise<SeataClient> {
  const client = await SeataClient.connect({ port })
  await client.registerTM()
  await client.registerRM('behaving')
  return client
}

/** What a damaged begin began is ended, or it would be alive until its damaged timeout. */
async function endAll(janitor: SeataClient, xids: readonly string[]): Promise<void> {
  await Promise.all(xids.map((xid) => janitor.rollback(xid)))
}

async function inUse(server: ServerProcess): Promise<number> {
  server.stdout = ''
  server.child.kill('SIGUSR2')
  const [, bytes] = await server.line(/in use: (\d+)/)
  return Number(bytes)
}

/** The client that behaves; see behaving.ts. */
class Behaving {
  readonly #worker: Worker

  constructor(t: Context, port: number) {
    this.#worker = new Worker(new URL('behaving.ts', import.meta.url), { workerData: port })
    t.teardown(() => this.#worker.terminate())
  }

  start(): void {
    this.#worker.postMessage('start')
  }

  /** What it saw since it was started. */
  async stop(): Promise<Seen> {
    const seen = once(this.#worker, 'message')
    this.#worker.postMessage('stop')
    return (await seen)[0]
  }
}

function percentile(times: number[]): number {
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0
}

class Attacker {
  readonly #port: number
  readonly #mutator: Mutator
  #socket: Socket | null = null
  #left = 0
  closed = 0
  answers = 0
  unreadable = 0
  readonly begun: string[] = []

  constructor(port: number, seed: number) {
    this.#port = port
    this.#mutator = new Mutator(seed)
  }

  async send(): Promise<void> {
    if (this.#socket === null || this.#left-- <= 0) await this.#open()
    this.#socket?.write(this.#mutator.next())
  }

  async #open(): Promise<void> {
    const before = this.#socket
    this.#socket = null
    before?.end()
    const socket = connect(this.#port, '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    this.#socket = socket
    this.#left = FRAMES_A_CONNECTION
    const reader = new FrameReader(
      (frame) => this.#answered(decodeFrame(frame, false)),
      () => void this.unreadable++
    )
    socket.on('data', (chunk: Buffer) => {
      try {
        reader.push(chunk)
      } catch {
        this.unreadable++
      }
    })
    socket.on('close', () => {
      if (this.#socket !== socket) return
      this.#socket = null
      this.closed++
    })
    // An RM that is registered is asked for more than one that is not.
    socket.write(REGISTRATION)
  }

  #answered({ message }: Decoded): void {
    this.answers++
    for (const m of [message, ...((message?.messages ?? []) as Message[])]) {
      if (m?.type === BEGIN_RESULT && m.xid !== '') this.begun.push(m.xid)
    }
  }

  /** Lets what is on the way come. */
  async close(): Promise<void> {
    const socket = this.#socket
    this.#socket = null
    if (!socket || socket.destroyed) return
    socket.end()
    await Promise.race([new Promise((resolve) => socket.once('close', resolve)), sleep(LINGER_MS)])
    socket.destroy()
  }
}
