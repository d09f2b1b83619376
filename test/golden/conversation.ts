// A captured conversation as what was asked and what was answered: frames decoded, envelopes taken apart, ids of one run turned into those of another.
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { Codec, MessageType } from '../../tc-core/wire/codes.ts'
import { decompress, packs } from '../../tc-core/wire/compress.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { type Frame, FrameReader, MAX_FRAME_BYTES, writeFrame } from '../../tc-core/wire/frame.ts'
import { readBody, writeBody } from '../../tc-core/wire/messages/index.ts'
import { PACKAGES, readProtobuf, writeProtobuf } from '../../tc-core/wire/messages/protobuf.ts'

export type Message = { readonly type: number; readonly [field: string]: any }

export interface Decoded {
  readonly version: 0 | 1 | 2
  readonly messageType: number
  readonly codec: number
  readonly compressor: number
  readonly id: number
  /** None in heartbeats, and where the bytes cannot be read. */
  readonly message?: Message
}

/** The frames in some bytes, which may be no frames at all. */
export function decode(bytes: Buffer, shortMsg: boolean): Decoded[] {
  const decoded: Decoded[] = []
  const reader = new FrameReader(
    (frame) => void decoded.push(decodeFrame(frame, shortMsg)),
    () => {}
  )
  try {
    reader.push(bytes)
  } catch {}
  return decoded
}

export function decodeFrame(frame: Frame, shortMsg: boolean): Decoded {
  const { version, messageType, codec, compressor, id } = frame
  const header = { version, messageType, codec, compressor, id }
  try {
    const message = readMessage(frame, shortMsg)
    return message ? { ...header, message } : header
  } catch {
    return header
  }
}

function readMessage(frame: Frame, shortMsg: boolean): Message | undefined {
  const { version, codec, compressor, v0Type } = frame
  let body = Buffer.from(frame.bytes.subarray(frame.bodyStart, frame.bodyEnd))
  if (v0Type >= 0) body = Buffer.concat([Buffer.from([v0Type >> 8, v0Type & 255]), body])
  if (body.length === 0) return undefined
  if (compressor !== 0) body = Buffer.from(decompress(compressor, body, MAX_FRAME_BYTES))
  if (codec === Codec.Protobuf) return readProtobuf(body, { package: '' })
  const reader = new Reader(body)
  const message = readBody(reader, dialectOf(version, shortMsg))
  if (reader.left > 0) throw new Error('more than a message')
  return message
}

function dialectOf(version: 0 | 1 | 2, shortMsg: boolean): Dialect {
  return { version, shortMsg }
}

export function encode(d: Decoded, message: Message, shortMsg: boolean): Buffer {
  const body = new Writer()
  if (d.codec !== Codec.Protobuf) writeBody(body, message, dialectOf(d.version, shortMsg))
  const bytes = d.codec === Codec.Protobuf ? writeProtobuf(message, { package: PACKAGES[0] }) : body.written
  const frame = new Writer()
  writeFrame(frame, { ...d, compressor: packs(d.compressor) ? d.compressor : 0 }, bytes)
  return Buffer.from(frame.written)
}

/** One answer, whatever it was wrapped in, under a key that both runs share. */
export interface Answer {
  readonly key: string
  readonly form: 'alone' | 'MergeResult' | 'BatchResult' | 'heartbeat' | 'request'
  readonly decoded: Decoded
  readonly message?: Message
}

/** Takes the answers of a connection apart; it has to be told of the envelopes that are sent. */
export class Unwrapper {
  readonly #connection: number
  readonly #envelopes = new Map<number, readonly string[]>()

  constructor(connection: number) {
    this.#connection = connection
  }

  #key(id: number | string): string {
    return `c${this.#connection} #${id}`
  }

  sent(d: Decoded): void {
    if (d.message?.type !== 59) return
    const ids = d.message.msgIds as number[]
    const keys = (d.message.messages as Message[]).map((_, i) => this.#key(ids[i] ?? `${d.id}.${i}`))
    this.#envelopes.set(d.id, keys)
  }

  pongKey(id: number): string {
    return this.#key(`pong ${id}`)
  }

  received(decoded: Decoded): Answer[] {
    const { id, message, messageType } = decoded
    if (messageType === MessageType.Pong) return [{ key: this.pongKey(id), form: 'heartbeat', decoded }]
    if (!message) return [{ key: this.#key(id), form: 'alone', decoded }]
    if (messageType !== MessageType.Response) {
      return [{ key: requestKey(message), form: 'request', decoded, message }]
    }
    const inner = (message.messages ?? []) as Message[]
    if (message.type === 60) {
      const keys = this.#envelopes.get(id) ?? []
      if (inner.length === 0) return [{ key: this.#key(id), form: 'MergeResult', decoded, message }]
      return inner.map((m, i) => ({
        key: keys[i] ?? this.#key(`${id}.${i}`),
        form: 'MergeResult',
        decoded,
        message: m
      }))
    }
    if (message.type === 121) {
      const ids = message.msgIds as number[]
      return inner.map((m, i) => ({ key: this.#key(ids[i]!), form: 'BatchResult', decoded, message: m }))
    }
    return [{ key: this.#key(id), form: 'alone', decoded, message }]
  }
}

/** A request of the coordinator: its id is of no meaning to another run. */
export function requestKey(message: Message): string {
  return `request ${message.type} ${message.branchId ?? message.resourceId}`
}

/** Ids of the captured run in terms of the replayed one. */
export class Translation {
  readonly #texts = new Map<string, string>()
  readonly #branches = new Map<bigint, bigint>()

  xid(captured: string, ours: string): void {
    if (captured !== '' && ours !== '') this.#texts.set(captured, ours)
  }

  branch(captured: bigint, ours: bigint): void {
    if (captured === 0n || ours === 0n) return
    this.#branches.set(captured, ours)
    this.#texts.set(String(captured), String(ours))
  }

  /** Our message with the branch id of the captured run. */
  back(message: Message): Message {
    for (const [captured, ours] of this.#branches)
      if (ours === message.branchId) return { ...message, branchId: captured }
    return message
  }

  of(value: any): any {
    if (typeof value === 'bigint') return this.#branches.get(value) ?? value
    if (typeof value === 'string') {
      let text = value
      for (const [captured, ours] of this.#texts) text = text.replaceAll(captured, ours)
      return text
    }
    if (Array.isArray(value)) return value.map((v) => this.of(v))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, this.of(v)]))
  }
}
