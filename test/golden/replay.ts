// Replays a captured conversation against our coordinator: the client's frames as they were, at the pace they came, and every answer
// held against what the Java server gave. What differs is returned; ids of transactions and branches never count.
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { MessageType } from '../../tc-core/wire/codes.ts'
import { FrameReader, writeFrame } from '../../tc-core/wire/frame.ts'
import {
  type Answer,
  type Decoded,
  decode,
  decodeFrame,
  encode,
  type Message,
  requestKey,
  Translation,
  Unwrapper
} from './conversation.ts'
import type { Capture, CapturedFrame } from './golden.ts'

export interface Difference {
  /** Line of the capture. */
  readonly n: number
  readonly what: string
  readonly java: unknown
  readonly ours: unknown
}

/** A pause of the captured client is kept up to this long, ms: most were its user's. */
const LONGEST_PAUSE_MS = 3_000
/** An answer may take as long as phase two waits for an RM, and a little, ms. */
const PATIENCE_MS = 17_000
const BEGIN_RESULT = 2
const REGISTER_RESULT = 12
const BRANCH_RESULTS: readonly number[] = [4, 6]
const UNDO_LOG_DELETE = 111
const HEARTBEATS: readonly number[] = [MessageType.Ping, MessageType.Pong]

interface RmAnswer {
  readonly conn: number
  readonly decoded: Decoded
  /** Since the request, ms: others act meanwhile. */
  readonly after: number
}

class Connection {
  readonly socket: Socket
  readonly captured: Unwrapper
  readonly ours: Unwrapper
  closed = false
  /** Ids of our own heartbeats: no client has them. */
  nextPing = -1000

  constructor(number: number, port: number, received: (answers: Answer[]) => void, shortMsg: () => boolean) {
    this.captured = new Unwrapper(number)
    this.ours = new Unwrapper(number)
    this.socket = connect(port, '127.0.0.1')
    this.socket.setNoDelay(true)
    const reader = new FrameReader(
      (frame) => received(this.ours.received(decodeFrame(frame, shortMsg()))),
      () => {}
    )
    this.socket.on('data', (chunk: Buffer) => reader.push(chunk))
    this.socket.on('error', () => {})
    this.socket.on('close', () => {
      this.closed = true
      received([])
    })
  }
}

export class Replay {
  readonly #capture: Capture
  readonly #port: number
  readonly #connections = new Map<number, Connection>()
  readonly #translation = new Translation()
  /** What came and was not expected yet, by key. */
  readonly #came = new Map<string, Answer[]>()
  /** What the captured RM answered to each of the coordinator's requests, by key, in order; undefined: it kept silent. */
  readonly #rm = new Map<string, (RmAnswer | undefined)[]>()
  /** Transactions of this conversation; the captured server drove older ones, too. */
  readonly #begun = new Set<string>()
  readonly #expected: Promise<void>[] = []
  /** Answers of the RM that are on their way: what another connection says after them has to come after them. */
  readonly #onTheWay: Promise<void>[] = []
  #wake = Promise.withResolvers<void>()
  readonly differences: Difference[] = []
  /** Answers that were held against Java's. */
  compared = 0
  readonly #isGo: boolean

  constructor(capture: Capture, port: number) {
    this.#capture = capture
    this.#port = port
    this.#isGo = capture.client.startsWith('seata-go')
    this.#prepareRm()
  }

  /** An RM answers when it is asked: our order of requests need not be Java's. */
  #prepareRm(): void {
    const answers = new Map<number, { conn: number; decoded: Decoded; t_us: number }>()
    const frames = this.#capture.frames.filter((f) => f.hex !== undefined && f.error === undefined)
    for (const { dir, conn, hex, t_us } of frames.toReversed()) {
      for (const d of decode(Buffer.from(hex!, 'hex'), this.#isGo && dir === 'c2s')) {
        if (dir === 'c2s' && d.messageType === MessageType.Response && d.message) {
          answers.set(d.id, { conn, decoded: d, t_us })
        }
        if (dir === 's2c' && d.messageType === MessageType.Request && d.message) {
          const key = requestKey(d.message)
          const answer = answers.get(d.id)
          const rm = answer && { ...answer, after: (answer.t_us - t_us) / 1000 }
          this.#rm.set(key, [rm, ...(this.#rm.get(key) ?? [])])
          answers.delete(d.id)
        }
        if (dir === 's2c' && d.message) for (const xid of xidsBegun(d.message)) this.#begun.add(xid)
      }
    }
  }

  #answerAsRm(request: Answer): void {
    const key = requestKey(this.#translation.back(request.message!))
    const answer = this.#rm.get(key)?.shift()
    if (!answer) return
    const message = this.#translation.of(answer.decoded.message) as Message
    const bytes = encode({ ...answer.decoded, id: request.decoded.id }, message, this.#isGo)
    this.#onTheWay.push(this.#deliver(answer, bytes))
  }

  /** Until it was read: what comes after it on the connection, a heartbeat, has been answered. */
  async #deliver(answer: RmAnswer, bytes: Buffer): Promise<void> {
    const connection = this.#connection(answer.conn)
    await sleep(Math.min(answer.after, LONGEST_PAUSE_MS))
    connection.socket.write(bytes)
    const id = connection.nextPing--
    const ping = new Writer()
    const { version, codec } = answer.decoded
    writeFrame(ping, { version, messageType: MessageType.Ping, codec, compressor: 0, id }, Buffer.alloc(0))
    connection.socket.write(ping.written)
    const key = connection.ours.pongKey(id)
    while (!this.#came.delete(key) && !connection.closed) await this.#wake.promise
  }

  async run(): Promise<readonly Difference[]> {
    let before = 0
    let asked = false
    const ends = new Set<number>()
    for (const frame of this.#capture.frames) {
      const at = frame.t_us / 1000
      if (frame.event !== undefined && frame.event !== 'open') {
        if (frame.dir === 's2c' && !ends.has(frame.conn)) this.#expected.push(this.#closing(frame))
        ends.add(frame.conn)
      }
      if (frame.dir === 'c2s') {
        // A relay may note an answer before what it answers.
        if (asked) await Promise.all(this.#expected.splice(0))
        asked = true
        await sleep(Math.min(at - before, LONGEST_PAUSE_MS))
        if (this.#isOfRm(frame)) await Promise.all(this.#onTheWay.splice(0))
        else this.#send(frame)
      } else if (frame.hex !== undefined) this.#expect(frame)
      if (!Number.isNaN(at)) before = at
    }
    await Promise.all(this.#expected)
    for (const { socket } of this.#connections.values()) socket.destroy()
    for (const [key, answers] of this.#came) {
      for (const answer of answers)
        if (answer.form !== 'heartbeat') this.#differs(0, `${key} was not expected`, undefined, answer.message)
    }
    return this.differences
  }

  #connection(n: number): Connection {
    let connection = this.#connections.get(n)
    if (!connection) {
      connection = new Connection(
        n,
        this.#port,
        (answers) => this.#received(answers),
        () => this.#isGo
      )
      this.#connections.set(n, connection)
    }
    return connection
  }

  #received(answers: readonly Answer[]): void {
    for (const answer of answers) {
      if (answer.form === 'request') this.#answerAsRm(answer)
      const list = this.#came.get(answer.key) ?? []
      list.push(answer)
      this.#came.set(answer.key, list)
    }
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }

  /** The RM answers when it is asked, not when it was. */
  #isOfRm(frame: CapturedFrame): boolean {
    const [d] = frame.hex === undefined ? [] : decode(Buffer.from(frame.hex, 'hex'), this.#isGo)
    return d?.messageType === MessageType.Response && d.message !== undefined && BRANCH_RESULTS.includes(d.message.type)
  }

  #send(frame: CapturedFrame): void {
    const connection = this.#connection(frame.conn)
    if (frame.event !== undefined) {
      if (frame.event === 'open') return
      if (connection.closed) this.#differs(frame.n, 'the connection is closed', false, true)
      connection.socket.end()
      return
    }
    if (frame.hex === undefined) return
    const raw = Buffer.from(frame.hex, 'hex')
    const [d, ...more] = decode(raw, this.#isGo)
    if (!d?.message || more.length > 0) return void connection.socket.write(raw)
    connection.captured.sent(d)
    connection.ours.sent(d)
    const message = this.#translation.of(d.message) as Message
    connection.socket.write(isDeepStrictEqual(message, d.message) ? raw : encode(d, message, this.#isGo))
  }

  #expect(frame: CapturedFrame): void {
    const connection = this.#connection(frame.conn)
    for (const d of decode(Buffer.from(frame.hex!, 'hex'), false)) {
      for (const answer of connection.captured.received(d)) {
        if (this.#isOfThis(answer)) this.#expected.push(this.#compare(frame.n, answer, connection))
      }
    }
  }

  /** Not left over from before, nor the clean-up that the captured server happened to be about. */
  #isOfThis({ form, message }: Answer): boolean {
    return form !== 'request' || (message!.type !== UNDO_LOG_DELETE && this.#begun.has(message!.xid))
  }

  async #closing(frame: CapturedFrame): Promise<void> {
    const connection = this.#connection(frame.conn)
    const until = performance.now() + PATIENCE_MS
    while (!connection.closed && performance.now() < until) await Promise.race([this.#wake.promise, sleep(500)])
    if (!connection.closed) this.#differs(frame.n, 'the connection is closed', true, false)
  }

  async #compare(n: number, java: Answer, connection: Connection): Promise<void> {
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      const message = java.message && (this.#translation.of(java.message) as Message)
      const key = java.form === 'request' ? requestKey(message!) : java.key
      const ours = this.#came.get(key)?.shift()
      if (ours) return this.#hold(n, java, message, ours)
      if (connection.closed) return this.#differs(n, `${key}: the connection is closed`, message, undefined)
      const left = until - performance.now()
      if (left <= 0) return this.#differs(n, `${key}: no answer`, message, undefined)
      await Promise.race([this.#wake.promise, sleep(Math.min(left, 500))])
    }
  }

  #hold(n: number, java: Answer, expected: Message | undefined, ours: Answer): void {
    this.compared++
    this.#learn(java.message, ours.message)
    this.#compareHeaders(n, java.decoded, ours.decoded)
    if (java.form !== ours.form) this.#differs(n, 'form', java.form, ours.form)
    const translated = java.message && (this.#translation.of(java.message) as Message)
    for (const field of Object.keys({ ...expected, ...ours.message })) {
      const [a, b] = [translated?.[field], ours.message?.[field]]
      if (!isDeepStrictEqual(a, b)) this.#differs(n, `${java.message?.type} ${field}`, a, b)
    }
  }

  #compareHeaders(n: number, java: Decoded, ours: Decoded): void {
    const fields = ['version', 'messageType', 'codec', 'compressor'] as const
    for (const field of fields) {
      // Which answers to a client's heartbeat come is compared; what their bytes say is in the golden tests.
      if (!HEARTBEATS.includes(java.messageType) && java[field] !== ours[field])
        this.#differs(n, field, java[field], ours[field])
    }
  }

  #learn(java: Message | undefined, ours: Message | undefined): void {
    if (!java || !ours || java.type !== ours.type) return
    if (java.type === BEGIN_RESULT) this.#translation.xid(java.xid, ours.xid)
    if (java.type === REGISTER_RESULT) this.#translation.branch(java.branchId, ours.branchId)
  }

  #differs(n: number, what: string, java: unknown, ours: unknown): void {
    this.differences.push({ n, what, java, ours })
  }
}

function xidsBegun(message: Message): string[] {
  if (message.type === BEGIN_RESULT) return [message.xid]
  return ((message.messages ?? []) as Message[]).flatMap(xidsBegun)
}
