// Seata's frames, v0 and v1/v2: cutting them out of a byte stream, and their headers on the way out.
//   v1/v2:  da da | version | i32 full length | i16 head length | type | codec | compressor | i32 id | head map | body
//   v0:     da da | i16 flags | i16 type code (or body length) | i64 id | body without type code and without length
import { Reader, ShortInput, type Writer } from './bytes.ts'
import { MessageType } from './codes.ts'
import { compress, packs } from './compress.ts'
import type { Dialect } from './fields.ts'
import { writeHeadMap } from './head-map.ts'
import { readFields } from './message.ts'
import { isBadBody, tableOf } from './messages/index.ts'

export const MAX_FRAME_BYTES = 8 * 1024 * 1024
export const HEADER_BYTES = 16
const V0_HEADER_BYTES = 14
const MAGIC = 0xdada

const V0_REQUEST = 0x80
const V0_ASYNC = 0x40
const V0_HEARTBEAT = 0x20
const V0_SEATA = 0x10

/** A frame's header, and where its body lies in `bytes`. The reader hands out one and the same object again and again. */
export interface Frame {
  version: 0 | 1 | 2
  /** See MessageType; v0's flags are told in its terms. */
  messageType: number
  codec: number
  compressor: number
  /** Request id, chosen by the sender. */
  id: number
  bytes: Buffer
  /** Head map, empty when both are equal. */
  headStart: number
  bodyStart: number
  bodyEnd: number
  /** v0 carries the type code in the header; -1 in v1 and v2, where the body begins with it. */
  v0Type: number
}

/** These bytes cannot be framed: the connection is beyond help. */
export class FrameError extends Error {}

const V0_DIALECT: Dialect = { version: 0, shortMsg: false }

/**
 * Cuts frames out of chunks as they come. A frame that lies within one chunk is not copied.
 * `onFrame` gets a frame that is valid during the call only. Bytes of an unfinished frame are kept, at most {@link MAX_FRAME_BYTES}.
 */
export class FrameReader {
  readonly #onFrame: (frame: Frame) => void
  readonly #onSpoiled: (id: number) => void
  readonly #frame: Frame = {
    version: 1,
    messageType: 0,
    codec: 1,
    compressor: 0,
    id: 0,
    bytes: Buffer.alloc(0),
    headStart: 0,
    bodyStart: 0,
    bodyEnd: 0,
    v0Type: -1
  }
  #held: Buffer = Buffer.alloc(0)
  #heldBytes = 0
  /** With fewer bytes held than this, the unfinished frame needs no other look. */
  #wanted = 0

  /**
   * @param onSpoiled gets the id of a response of which there is only the header. A Java RM whose phase-two handler throws leaves
   *   16 bytes with stale, plausible lengths, and the next frame follows at once (seen from RM 2.6.0). No body of any
   *   serializer or compressor begins with the magic, so it is told apart as soon as the next two bytes are there.
   */
  constructor(onFrame: (frame: Frame) => void, onSpoiled: (id: number) => void) {
    this.#onFrame = onFrame
    this.#onSpoiled = onSpoiled
  }

  /** Bytes kept of an unfinished frame. */
  get held(): number {
    return this.#heldBytes
  }

  /** The id of a response whose header is here and of whose body nothing came yet, else -1. */
  get headerOnly(): number {
    const b = this.#held
    const bare = this.#heldBytes === HEADER_BYTES && b[2] !== 0 && b[9] === MessageType.Response
    return bare ? b.readInt32BE(12) : -1
  }

  /** Takes a chunk; throws FrameError when what it holds cannot be framed. */
  push(chunk: Buffer): void {
    let bytes = chunk
    let pos = 0
    let end = chunk.length
    if (this.#heldBytes > 0) {
      this.#hold(chunk, 0)
      if (this.#heldBytes < this.#wanted) return
      bytes = this.#held
      end = this.#heldBytes
    }
    this.#wanted = 0
    while (pos < end) {
      const next = this.#cut(bytes, pos, end)
      if (next < 0) break
      pos = next
    }
    if (bytes === chunk) {
      if (pos < end) this.#hold(chunk, pos)
    } else if (pos > 0) {
      // The rest moves to a buffer of its own size: one large frame must not keep its memory as long as the connection lives.
      this.#held = Buffer.alloc(0)
      this.#heldBytes = 0
      if (pos < end) this.#hold(bytes.subarray(0, end), pos)
    }
  }

  #hold(chunk: Buffer, from: number): void {
    const need = this.#heldBytes + chunk.length - from
    if (need > this.#held.length) {
      const bigger = Buffer.allocUnsafe(Math.max(need, Math.min(this.#held.length * 2, MAX_FRAME_BYTES), 256))
      this.#held.copy(bigger, 0, 0, this.#heldBytes)
      this.#held = bigger
    }
    chunk.copy(this.#held, this.#heldBytes, from)
    this.#heldBytes = need
  }

  /** Hands out the frame at `pos` and returns where the next one begins, or -1 when it is not all there. */
  #cut(b: Buffer, pos: number, end: number): number {
    const left = end - pos
    if (b[pos] !== 0xda || (left > 1 && b[pos + 1] !== 0xda)) throw new FrameError('no frame begins here')
    if (left < 3) return -1
    return b[pos + 2] === 0 ? this.#cutV0(b, pos, end) : this.#cutV1(b, pos, end)
  }

  #cutV1(b: Buffer, pos: number, end: number): number {
    if (end - pos < HEADER_BYTES) return -1
    const full = b.readInt32BE(pos + 3)
    const head = b.readInt16BE(pos + 7)
    if (full < HEADER_BYTES || head < HEADER_BYTES || head > full)
      throw new FrameError(`lengths ${full} and ${head} make no frame`)
    if (full > MAX_FRAME_BYTES)
      throw new FrameError(`a frame of ${full} bytes is above the limit of ${MAX_FRAME_BYTES}`)
    const body = pos + head
    if (full >= head + 2 && end >= body + 2 && b.readUInt16BE(body) === MAGIC) {
      if (head !== HEADER_BYTES) throw new FrameError('a frame begins inside another')
      this.#onSpoiled(b.readInt32BE(pos + 12))
      return body
    }
    if (end - pos < full) return -1
    const f = this.#frame
    f.version = b[pos + 2] === 2 ? 2 : 1
    f.messageType = b[pos + 9]!
    f.codec = b[pos + 10]!
    f.compressor = b[pos + 11]!
    f.id = b.readInt32BE(pos + 12)
    f.bytes = b
    f.headStart = pos + HEADER_BYTES
    f.bodyStart = body
    f.bodyEnd = pos + full
    f.v0Type = -1
    this.#onFrame(f)
    return pos + full
  }

  /** v0 has no length: a frame ends where its message ends. */
  #cutV0(b: Buffer, pos: number, end: number): number {
    if (end - pos < V0_HEADER_BYTES) {
      if (end - pos >= 4) this.#v0Flags(b, pos)
      return -1
    }
    const flags = this.#v0Flags(b, pos)
    const f = this.#frame
    const heartbeat = (flags & V0_HEARTBEAT) !== 0
    f.version = 0
    f.codec = 1
    f.compressor = 0
    f.id = Number(BigInt.asIntN(32, b.readBigInt64BE(pos + 6)))
    f.bytes = b
    f.headStart = f.bodyStart = pos + V0_HEADER_BYTES
    if (heartbeat) {
      f.messageType = (flags & V0_REQUEST) !== 0 ? MessageType.Ping : MessageType.Pong
      f.v0Type = -1
      f.bodyEnd = f.bodyStart
    } else {
      f.messageType =
        (flags & V0_REQUEST) === 0
          ? MessageType.Response
          : (flags & V0_ASYNC) !== 0
            ? MessageType.OneWay
            : MessageType.Request
      f.v0Type = b.readUInt16BE(pos + 4)
      f.bodyEnd = v0BodyEnd(b, f.bodyStart, end, f.v0Type)
      if (f.bodyEnd - pos > MAX_FRAME_BYTES)
        throw new FrameError(`a v0 frame is above the limit of ${MAX_FRAME_BYTES} bytes`)
      if (f.bodyEnd > end) {
        this.#wanted = f.bodyEnd - pos
        return -1
      }
    }
    this.#onFrame(f)
    return f.bodyEnd
  }

  #v0Flags(b: Buffer, pos: number): number {
    const flags = b.readUInt16BE(pos + 2)
    if ((flags & (V0_SEATA | V0_HEARTBEAT)) === 0) throw new FrameError('a v0 frame in a serializer other than Seata')
    return flags
  }
}

/** Where a v0 body ends; behind `end`, it ends there or later. */
function v0BodyEnd(b: Buffer, start: number, end: number, type: number): number {
  const r = new Reader(b, start, end)
  try {
    readFields(tableOf(type), r, V0_DIALECT)
    return r.pos
  } catch (error) {
    if (error === ShortInput.instance && ShortInput.instance.need > end) return ShortInput.instance.need
    if (isBadBody(error)) throw new FrameError(error.message)
    throw error
  }
}

/** What a frame's header says. */
export interface Header {
  readonly version: 0 | 1 | 2
  readonly messageType: number
  readonly codec: number
  readonly compressor: number
  readonly id: number
  /** For the head map; empty or none: the head map is empty. v0 has none. */
  readonly traceparent?: string
}

/** Appends a frame. `body` is a whole body (type code first), empty for heartbeats. */
export function writeFrame(w: Writer, h: Header, body: Uint8Array): void {
  if (h.version === 0) return writeV0(w, h, body)
  const payload = body.length > 0 && h.compressor !== 0 ? compress(h.compressor, body) : body
  // What is only unpacked here goes back as it is. A heartbeat's byte says nothing, and is given back.
  const compressor = body.length === 0 || packs(h.compressor) ? h.compressor : 0
  const start = w.pos
  w.u16(MAGIC)
  w.u8(h.version)
  w.i32(HEADER_BYTES + payload.length)
  w.u16(HEADER_BYTES)
  w.u8(h.messageType)
  w.u8(h.codec)
  w.u8(compressor)
  w.i32(h.id)
  if (h.traceparent) {
    writeHeadMap(w, new Map([['traceparent', h.traceparent]]))
    const head = w.pos - start
    w.setI32(start + 3, head + payload.length)
    w.setU16(start + 7, head)
  }
  w.raw(payload)
}

function writeV0(w: Writer, h: Header, body: Uint8Array): void {
  w.u16(MAGIC)
  w.u16(v0FlagsOf(h.messageType))
  if (body.length === 0) w.u16(0)
  else w.raw(body, 0, 2)
  w.i64(BigInt(h.id))
  if (body.length > 2) w.raw(body, 2)
}

function v0FlagsOf(messageType: number): number {
  switch (messageType) {
    case MessageType.Request:
      return V0_REQUEST | V0_SEATA
    case MessageType.OneWay:
      return V0_REQUEST | V0_ASYNC | V0_SEATA
    case MessageType.Ping:
      return V0_REQUEST | V0_ASYNC | V0_HEARTBEAT
    case MessageType.Pong:
      return V0_HEARTBEAT
    default:
      return V0_SEATA
  }
}
