// A lean Seata connection for the load program and the stub: whole messages in, and what is sent in one turn of the
// event loop leaves in one write. RM requests of one turn leave as one MergedWarp, as from a Java RM.
import { connect, type Socket } from 'node:net'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { Codec, MessageType } from '../../tc-core/wire/codes.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { type Frame, FrameReader, writeFrame } from '../../tc-core/wire/frame.ts'
import type { AnyMessage, MessageOf } from '../../tc-core/wire/message.ts'
import { BatchResult, MergedWarp, MergeResult, readBody, writeBody } from '../../tc-core/wire/messages/index.ts'

export interface Outgoing {
  readonly type: number
  readonly [field: string]: unknown
}

const DIALECT: Dialect = { version: 1, shortMsg: false }
const READ_BYTES = 256 * 1024
/** Far more than are ever under way; those answered otherwise than by a MergeResult are forgotten in time. */
const MAX_ENVELOPES = 4096

const body = new Writer(64 * 1024)
const reader = new Reader(Buffer.alloc(0))

/** Bytes over all channels of the process so far. */
export const traffic = { received: 0, sent: 0 }

/** Channels with something to send in this turn. */
const dirty: Channel[] = []

function flushAll(): void {
  for (const channel of dirty) channel.flush()
  dirty.length = 0
}

export class Channel {
  readonly socket: Socket
  /** Called for every message, those inside MergeResult and BatchResult one by one with the ids they answer. */
  onMessage: (message: AnyMessage, id: number) => void = () => {}
  onClose: (reason: string) => void = () => {}
  readonly #frames = new FrameReader(
    (frame) => this.#onFrame(frame),
    () => {}
  )
  readonly #out = new Writer(64 * 1024)
  #merged: Outgoing[] = []
  #mergedIds: number[] = []
  /** Ids of the requests in each MergedWarp under way: a MergeResult answers by position. */
  readonly #envelopes = new Map<number, number[]>()
  #envelopeId: () => number = () => 0
  #dirty = false

  /** Connects; what is read goes into one buffer, past the machinery of streams. */
  static open(host: string, port: number): Promise<Channel> {
    return new Promise((resolve, reject) => {
      const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
      let channel: Channel | null = null
      const callback = (n: number): boolean => {
        channel?.push(buffer.subarray(0, n))
        return true
      }
      const socket = connect({ host, port, noDelay: true, onread: { buffer, callback } })
      channel = new Channel(socket)
      socket.once('error', reject)
      socket.once('connect', () => resolve(channel!))
    })
  }

  constructor(socket: Socket) {
    this.socket = socket
    let reason = 'connection closed'
    socket.on('error', (error) => (reason = error.message))
    socket.on('close', () => this.onClose(reason))
  }

  /** Takes what was read; closes the connection on bytes that are no frames. */
  push(chunk: Buffer): void {
    traffic.received += chunk.length
    try {
      this.#frames.push(chunk)
    } catch (error) {
      this.socket.destroy(error as Error)
    }
  }

  send(message: Outgoing, messageType: number, id: number): void {
    this.#write(message, messageType, id)
    this.#touch()
  }

  ping(id: number): void {
    writeFrame(this.#out, { version: 1, messageType: MessageType.Ping, codec: Codec.Seata, compressor: 0, id }, EMPTY)
    this.#touch()
  }

  /** Adds a request to this turn's MergedWarp, whose own id comes from `envelopeId`. */
  merge(message: Outgoing, id: number, envelopeId: () => number): void {
    this.#merged.push(message)
    this.#mergedIds.push(id)
    this.#envelopeId = envelopeId
    this.#touch()
  }

  #touch(): void {
    if (this.#dirty) return
    this.#dirty = true
    if (dirty.push(this) === 1) setImmediate(flushAll)
  }

  #write(message: Outgoing, messageType: number, id: number): void {
    body.pos = 0
    writeBody(body, message, DIALECT)
    writeFrame(this.#out, { version: 1, messageType, codec: Codec.Seata, compressor: 0, id }, body.written)
  }

  /** Writes what this turn collected. */
  flush(): void {
    this.#dirty = false
    if (this.#merged.length > 0) {
      const id = this.#envelopeId()
      this.#envelopes.set(id, this.#mergedIds)
      if (this.#envelopes.size > MAX_ENVELOPES) this.#envelopes.delete(this.#envelopes.keys().next().value!)
      const message = { type: MergedWarp.code, messages: this.#merged, msgIds: this.#mergedIds }
      this.#write(message, MessageType.OneWay, id)
      this.#merged = []
      this.#mergedIds = []
    }
    traffic.sent += this.#out.pos
    this.socket.write(Buffer.from(this.#out.written))
    this.#out.pos = 0
  }

  #onFrame(frame: Frame): void {
    if (frame.bodyStart === frame.bodyEnd) return
    const message = readBody(reader.reset(frame.bytes, frame.bodyStart, frame.bodyEnd), DIALECT)
    if (message.type === MergeResult.code) {
      const ids = this.#envelopes.get(frame.id)
      this.#envelopes.delete(frame.id)
      const { messages } = message as MessageOf<typeof MergeResult>
      for (let i = 0; i < messages.length; i++) this.onMessage(messages[i]!, ids?.[i] ?? -1)
    } else if (message.type === BatchResult.code) {
      const { messages, msgIds } = message as MessageOf<typeof BatchResult>
      for (let i = 0; i < messages.length; i++) this.onMessage(messages[i]!, msgIds[i] ?? -1)
    } else {
      this.onMessage(message, frame.id)
    }
  }
}

const EMPTY = new Uint8Array(0)
