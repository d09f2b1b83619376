// A client's connection: frames and bodies by the product's own tables over a stream of the simulated network, dialled again when it breaks,
// at the next gateway, as Java's clients do.
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { Codec, MessageType } from '../../tc-core/wire/codes.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { type Frame, FrameReader, writeFrame } from '../../tc-core/wire/frame.ts'
import type { AnyMessage } from '../../tc-core/wire/message.ts'
import { readBody, writeBody } from '../../tc-core/wire/messages/index.ts'
import type { ByteStream } from '../../tc-core/wire/runtime.ts'
import type { Machine } from './machine.ts'

export type Message = { readonly type: number; readonly [field: string]: any }
/** Null: there was no answer. */
export type Then = (answer: Message | null) => void

interface Waiting {
  readonly answered: Then
}

const DIALECT: Dialect = { version: 1, shortMsg: false }
/** Patience of Java's clients is 30 s; nothing of ours may take so long, and a run is shorter. */
const PATIENCE_MS = 12_000
const CONNECT_MS = 500
const REDIAL_MS = 40
const BEAT_MS = 4_000

export interface ConnectionOptions {
  readonly applicationId: string
  readonly resources: readonly string[]
  readonly gateways: readonly { readonly host: string; readonly port: number }[]
  /** What the coordinator asks; answer with the branch status, or not at all. */
  called(message: Message, answer: (branchStatus: number) => void): void
  /** A connection that was fine all the time brought no answer. */
  silent(type: number, since: number): void
}

export class Connection {
  readonly #machine: Machine
  readonly #options: ConnectionOptions
  readonly #waiting = new Map<number, Waiting>()
  readonly #body = new Writer(512)
  readonly #out = new Writer(1024)
  #stream: ByteStream | null = null
  #ready = false
  #id = 0
  #turn: number
  /** Requests that wait for a connection. */
  #early: (() => void)[] = []

  constructor(machine: Machine, options: ConnectionOptions) {
    this.#machine = machine
    this.#options = options
    this.#turn = machine.below(options.gateways.length)
    this.#dial()
    this.#beat()
  }

  get waiting(): number {
    return this.#waiting.size
  }

  #dial(): void {
    const { gateways, applicationId, resources } = this.#options
    const stream = this.#machine.connect(gateways[this.#turn++ % gateways.length]!)
    this.#stream = stream
    const reader = new FrameReader(
      (frame) => this.#frame(stream, frame),
      () => {}
    )
    const stop = this.#machine.timer(CONNECT_MS, () => stream.destroy())
    stream.on('connect', () => {
      stop()
      const identity = { version: '2.0.0', applicationId, transactionServiceGroup: 'group', extraData: '' }
      this.#request({ type: 101, ...identity }, (answer) => {
        if (!answer) return
        this.#request({ type: 103, ...identity, resourceIds: resources.join(',') }, () => {})
        this.#ready = true
        for (const send of this.#early.splice(0)) send()
      })
    })
    stream.on('data', (chunk) => reader.push(chunk))
    stream.on('close', () => {
      stop()
      if (this.#stream !== stream) return
      this.#stream = null
      this.#ready = false
      const lost = [...this.#waiting.values()]
      this.#waiting.clear()
      this.#machine.timer(REDIAL_MS, () => this.#dial())
      for (const { answered } of lost) answered(null)
    })
  }

  /** Who was not heard for 5 s is pinged by Java's clients; the gateway closes who is silent for longer. */
  #beat(): void {
    this.#machine.timer(BEAT_MS, () => this.#beat())
    if (this.#ready) this.#send(MessageType.Ping, ++this.#id, new Uint8Array(0))
  }

  /** Goes to another gateway. */
  leave(): void {
    this.#stream?.destroy()
  }

  request(message: Message, then: Then): void {
    if (this.#ready) return this.#request(message, then)
    if (this.#early.length > 50) return void this.#machine.timer(10, () => then(null))
    this.#early.push(() => this.#request(message, then))
  }

  #request(message: Message, then: Then): void {
    const id = ++this.#id
    const { time } = this.#machine
    const since = time.now
    const stop = this.#machine.timer(PATIENCE_MS, () => {
      if (!this.#waiting.delete(id)) return
      this.#options.silent(message.type, since)
      then(null)
    })
    const done: Then = (answer) => {
      stop()
      then(answer)
    }
    this.#waiting.set(id, { answered: done })
    this.#send(MessageType.Request, id, this.#bodyOf(message))
  }

  #bodyOf(message: Message): Uint8Array {
    this.#body.pos = 0
    writeBody(this.#body, message as AnyMessage, DIALECT)
    return this.#body.written
  }

  #send(messageType: number, id: number, body: Uint8Array): void {
    this.#out.pos = 0
    writeFrame(this.#out, { version: 1, messageType, codec: Codec.Seata, compressor: 0, id }, body)
    this.#stream?.write(this.#out.written)
  }

  #frame(stream: ByteStream, frame: Frame): void {
    if (this.#stream !== stream || frame.bodyStart === frame.bodyEnd) return
    const message = readBody(new Reader(frame.bytes, frame.bodyStart, frame.bodyEnd), DIALECT) as Message
    const { id } = frame
    if (message.type === 3 || message.type === 5) {
      return this.#options.called(message, (branchStatus) => {
        // The answer goes over whatever connection there is by now, as in Java.
        const { type, xid, branchId } = message
        if (this.#stream === stream)
          this.#send(
            MessageType.Response,
            id,
            this.#bodyOf({ type: type + 1, resultCode: 1, xid, branchId, branchStatus })
          )
      })
    }
    const waiting = this.#waiting.get(id)
    if (!waiting) return
    this.#waiting.delete(id)
    waiting.answered(message)
  }
}
