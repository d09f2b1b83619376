// One client connection: its bytes in, its answers out, and what it registered as.
import { Writer } from '../tc-core/wire/bytes.ts'
import { Codec, MessageType } from '../tc-core/wire/codes.ts'
import type { Dialect } from '../tc-core/wire/fields.ts'
import { type Frame, FrameError, FrameReader, type Header, writeFrame } from '../tc-core/wire/frame.ts'
import { MAX_UNSENT_BYTES, MAX_UNSENT_BYTES_HARD } from '../tc-core/wire/limits.ts'
import type { Client } from '../tc-core/wire/link.ts'
import { type ByteStream, exactNow } from '../tc-core/wire/runtime.ts'
import type { Traffic } from './figures.ts'
import { fromSeata, newContext } from './serializer.ts'

/** What a session needs of the listener that it belongs to. */
export interface SessionOwner {
  now(): number
  /** When what has come in this turn of the event loop is taken in. */
  defer(then: () => void): void
  /** A whole frame; valid during the call. */
  frame(session: ClientSession, frame: Frame): void
  /** A response of which there is only the header: its call will get no other answer. */
  spoiled(session: ClientSession, id: number): void
  unframeable(session: ClientSession, error: FrameError): void
  closed(session: ClientSession): void
  readonly maxInFlight: number
  /** Requests of all sessions that have no answer yet. */
  waiting: number
  readonly traffic: Traffic
}

const OUT_BYTES = 1024
const OUT_BYTES_KEPT = 64 * 1024

export class ClientSession {
  readonly stream: ByteStream
  readonly ip: string
  readonly port: number
  readonly #owner: SessionOwner
  readonly #reader: FrameReader
  #out = new Writer(OUT_BYTES)
  #flushing = false
  readonly #flush = () => this.flush()
  /** It is not read at the moment. */
  paused = false
  closed = false
  /** When the last byte came, ms; and the same on a clock with fractions. */
  heardAt: number
  heardExactly = 0
  /** When a response's header came without any of its body, ms; 0: none. */
  headerOnlySince = 0
  /** Requests without an answer. */
  #inFlight = 0

  /** Who it is; null until it registered. */
  client: Client | null = null
  isRm = false
  readonly resources = new Set<string>()
  /** Form and serializer of what it registered with: what the coordinator asks it comes in the same. */
  dialect: Dialect = { version: 1, shortMsg: false }
  codec: number = Codec.Seata
  /** How it speaks protobuf, if it does. */
  readonly protobuf = newContext()
  /** Its answers wait, to leave together with the end of the connection: who waits for one asks nothing more here. */
  #ending = false
  /** What still comes is not looked at. */
  #deaf = false
  /** Ids of phase-two calls that it owes an answer. */
  readonly calls = new Set<number>()

  constructor(stream: ByteStream, owner: SessionOwner) {
    this.stream = stream
    this.#owner = owner
    // What Java shows of an IPv4 client that came over a dual-stack socket.
    this.ip = (stream.remoteAddress ?? '').replace(/^::ffff:/, '')
    this.port = stream.remotePort ?? 0
    this.heardAt = owner.now()
    this.#reader = new FrameReader(
      (frame) => owner.frame(this, frame),
      (id) => owner.spoiled(this, id)
    )
    stream.on('data', (chunk: Buffer) => this.#onData(chunk))
    stream.on('drain', () => this.#adjustReading())
    stream.on('error', () => {})
    stream.on('close', () => {
      this.closed = true
      // Nobody waits any more for what is still under way.
      owner.waiting -= this.#inFlight
      this.#inFlight = 0
      owner.closed(this)
    })
  }

  get address(): string {
    return `${this.ip}:${this.port}`
  }

  /** Requests without an answer. */
  get inFlight(): number {
    return this.#inFlight
  }

  /** So many requests wait for their answers. */
  asks(count: number): void {
    this.#inFlight += count
    this.#owner.waiting += count
  }

  /** One of them has its answer. */
  answered(): void {
    if (this.closed) return
    this.#inFlight--
    this.#owner.waiting--
  }

  /** Bytes held of an unfinished frame. */
  get held(): number {
    return this.#reader.held
  }

  /** Bytes that it was sent and has not read. */
  get unread(): number {
    return this.stream.writableLength
  }

  /** It does not read what it is sent. */
  get stuck(): boolean {
    return this.unread > MAX_UNSENT_BYTES
  }

  #onData(chunk: Buffer): void {
    if (this.closed || this.#deaf) return
    this.heardAt = this.#owner.now()
    this.heardExactly = exactNow()
    this.#owner.traffic.bytesIn += chunk.length
    try {
      this.#reader.push(chunk)
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      return this.#owner.unframeable(this, error)
    }
    this.headerOnlySince = this.#reader.headerOnly >= 0 ? this.heardAt : 0
    this.#adjustReading()
  }

  /** The id of the response whose header is here without its body. */
  get headerOnly(): number {
    return this.#reader.headerOnly
  }

  /** A response to a request. */
  answer(request: Omit<Header, 'messageType'>, body: Buffer, traceparent = ''): void {
    const { version, codec, compressor, id } = request
    this.send({ version, messageType: MessageType.Response, codec, compressor, id, traceparent }, body)
  }

  /** Appends a frame with a body of Seata's own serializer; what is sent in one turn of the event loop leaves in one write. */
  send(header: Header, body: Buffer): void {
    if (this.closed) return
    writeFrame(this.#out, header, fromSeata(header.codec, body, this.protobuf))
    if (this.#flushing || (this.#ending && header.messageType === MessageType.Response)) return
    this.#flushing = true
    this.#owner.defer(this.#flush)
  }

  flush(): void {
    this.#flushing = false
    if (this.closed || this.#out.pos === 0) return
    this.#owner.traffic.bytesOut += this.#out.pos
    this.stream.write(this.#out.written)
    const { writableLength } = this.stream
    // What the kernel did not take at once still lies in the writer's bytes.
    if (writableLength > 0 || this.#out.bytes.length > OUT_BYTES_KEPT) this.#out = new Writer(OUT_BYTES)
    else this.#out.pos = 0
    if (writableLength > MAX_UNSENT_BYTES_HARD) this.destroy()
    else this.#adjustReading()
  }

  /** A client that does not read its answers, or has too many requests waiting, is not read: it is held back, and nobody else. */
  #adjustReading(): void {
    const hold = this.stuck || this.#inFlight >= this.#owner.maxInFlight
    if (hold === this.paused) return
    this.paused = hold
    if (hold) return void this.stream.pause()
    this.heardAt = this.#owner.now()
    this.stream.resume()
  }

  destroy(): void {
    this.closed = true
    this.stream.destroy()
  }

  /** It will be closed as soon as it has all its answers. */
  get ending(): boolean {
    return this.#ending
  }

  /** Nobody here waits for the other. */
  get idle(): boolean {
    return this.#inFlight === 0 && this.calls.size === 0
  }

  /** The end is near: answers wait for it. */
  lastAnswers(): void {
    this.#ending = true
  }

  /** Takes nothing more: what is asked from now on gets no answer. */
  ignore(): void {
    this.#deaf = true
  }

  /** Sends what is left and closes. */
  end(): void {
    this.#deaf = true
    this.flush()
    this.stream.end()
  }
}
