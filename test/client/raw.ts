// A client that speaks in bytes: sends what it is told, and shows every frame that comes back.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { decompress } from '../../tc-core/wire/compress.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { type Frame, FrameReader, type Header, MAX_FRAME_BYTES, writeFrame } from '../../tc-core/wire/frame.ts'
import { readBody, writeBody } from '../../tc-core/wire/messages/index.ts'

export interface Received {
  readonly version: number
  readonly messageType: number
  readonly codec: number
  readonly compressor: number
  readonly id: number
  /** Undefined for heartbeats. */
  readonly message?: { readonly type: number; readonly [field: string]: any }
}

export interface RawOptions {
  /** Whether the client expects seata-go's short messages. */
  readonly shortMsg?: boolean
}

export class RawClient {
  readonly socket: Socket
  readonly received: Received[] = []
  readonly closed: Promise<void>
  isClosed = false
  readonly #shortMsg: boolean
  #listeners: (() => void)[] = []
  readonly #reader = new FrameReader(
    (frame) => this.#onFrame(frame),
    () => {}
  )

  static async connect(port: number, options: RawOptions = {}): Promise<RawClient> {
    const socket = connect(port, '127.0.0.1')
    socket.setNoDelay(true)
    await once(socket, 'connect')
    return new RawClient(socket, options)
  }

  constructor(socket: Socket, options: RawOptions) {
    this.socket = socket
    this.#shortMsg = options.shortMsg ?? false
    socket.on('data', (chunk: Buffer) => this.#reader.push(chunk))
    socket.on('error', () => {})
    this.closed = new Promise((resolve) =>
      socket.on('close', () => {
        this.isClosed = true
        this.#wake()
        resolve()
      })
    )
  }

  #onFrame(frame: Frame): void {
    const { version, messageType, codec, compressor, id, v0Type } = frame
    let body = Buffer.from(frame.bytes.subarray(frame.bodyStart, frame.bodyEnd))
    if (v0Type >= 0) body = Buffer.concat([Buffer.from([v0Type >> 8, v0Type & 255]), body])
    if (body.length > 0 && compressor !== 0) body = Buffer.from(decompress(compressor, body, MAX_FRAME_BYTES))
    const dialect: Dialect = { version, shortMsg: this.#shortMsg }
    const message = body.length > 0 ? readBody(new Reader(body), dialect) : undefined
    this.received.push({ version, messageType, codec, compressor, id, ...(message && { message }) })
    this.#wake()
  }

  #wake(): void {
    for (const wake of this.#listeners.splice(0)) wake()
  }

  sendHex(hex: string): void {
    this.socket.write(Buffer.from(hex, 'hex'))
  }

  /** Sends a message in a frame; v1, Seata, uncompressed, a request, unless told otherwise. */
  send(message: { type: number; [field: string]: unknown }, header: Partial<Header> & { id: number }): void {
    this.socket.write(frameOf(message, header, this.#shortMsg))
  }

  /** The answer with this id, when it comes. */
  async answer(id: number): Promise<Received> {
    return this.next((r) => r.id === id && (r.messageType === 1 || r.messageType === 4))
  }

  /** The first frame that fits, whether it came already or comes later. Rejects when the connection closes before. */
  async next(fits: (received: Received) => boolean, ms = 10_000): Promise<Received> {
    const until = performance.now() + ms
    for (;;) {
      const found = this.received.find(fits)
      if (found) {
        this.received.splice(this.received.indexOf(found), 1)
        return found
      }
      if (this.isClosed) throw new Error('the connection was closed')
      if (performance.now() > until) throw new Error(`nothing that fits came in ${ms} ms`)
      await new Promise<void>((resolve) => {
        this.#listeners.push(resolve)
        setTimeout(resolve, 100)
      })
    }
  }

  /** Sends a request and gives its answer's message. */
  async request(message: { type: number; [field: string]: unknown }, header: Partial<Header> & { id: number }) {
    this.send(message, header)
    return (await this.answer(header.id)).message!
  }

  registerTM(version = '2.0.0', header: Partial<Header> = {}) {
    return this.request({ type: 101, ...identity(version) }, { id: 1, ...header })
  }

  registerRM(resourceIds: string, version = '2.0.0', header: Partial<Header> = {}) {
    return this.request({ type: 103, ...identity(version), resourceIds }, { id: 2, ...header })
  }

  destroy(): void {
    this.socket.destroy()
  }
}

export function identity(version: string, applicationId = 'raw-app') {
  return { version, applicationId, transactionServiceGroup: 'default_tx_group', extraData: '' }
}

export function frameOf(
  message: { type: number; [field: string]: unknown },
  header: Partial<Header> & { id: number },
  shortMsg = false
): Buffer {
  const whole: Header = { version: 1, messageType: 0, codec: 1, compressor: 0, ...header }
  const body = new Writer()
  writeBody(body, message, { version: whole.version, shortMsg })
  const frame = new Writer()
  writeFrame(frame, whole, body.written)
  return Buffer.from(frame.written)
}
