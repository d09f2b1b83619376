// Frames of real clients, damaged: the same seed gives the same frames.
import { Writer } from '../../tc-core/wire/bytes.ts'
import { Codec, MessageType } from '../../tc-core/wire/codes.ts'
import { Compressor } from '../../tc-core/wire/compress.ts'
import { HEADER_BYTES, writeFrame } from '../../tc-core/wire/frame.ts'
import { RegisterRM } from '../../tc-core/wire/messages/index.ts'
import { captures, javaCompressors } from '../golden/golden.ts'

/** Where the compressor stands in a header. */
const COMPRESSOR = 11

/** What clients sent in the captured conversations, and one in 7z, which was in none of them, as often as three in a hundred. */
const sent = captures().flatMap(({ frames }) =>
  frames.flatMap(({ dir, hex }) => (dir === 'c2s' && hex !== undefined ? [Buffer.from(hex, 'hex')] : []))
)
const in7z = packedFrame(Compressor.SevenZ, javaCompressors().get('7z')!)
for (let n = sent.length >> 5; n > 0; n--) sent.push(in7z)
/** An RM introduces itself. */
export const REGISTRATION = sent.find((frame) => frame[2] === 1 && frame.readUInt16BE(16) === RegisterRM.code)!
const MAGIC = 0xdada
/** Places in a header that decide how the rest is read: version, lengths, type, serializer, compressor. */
const DECIDING = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11] as const

export class Mutator {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A number from 0 up to, not including, `n`. */
  #draw(n: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) % n
  }

  /** One frame with one to four changes. */
  next(): Buffer {
    let frame = Buffer.from(sent[this.#draw(sent.length)]!)
    for (let n = 1 + this.#draw(4); n > 0 && frame.length > 0; n--) frame = this.#change(frame)
    return this.#draw(16) === 0 ? frame : withLength(frame)
  }

  #change(frame: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    const at = this.#draw(frame.length)
    switch (this.#draw(7)) {
      case 0:
        frame[at]! ^= 1 << this.#draw(8)
        return frame
      case 1:
        frame[at] = this.#draw(256)
        return frame
      case 2:
        frame[DECIDING[this.#draw(DECIDING.length)]! % frame.length] = this.#draw(this.#draw(2) === 0 ? 9 : 256)
        return frame
      case 3: {
        const more = Buffer.alloc(1 + this.#draw(20), this.#draw(256))
        return Buffer.concat([frame.subarray(0, at), more, frame.subarray(at)])
      }
      case 4:
        return Buffer.concat([frame.subarray(0, at), frame.subarray(at + 1 + this.#draw(20))])
      case 5: {
        const other = sent[this.#draw(sent.length)]!
        return Buffer.concat([frame.subarray(0, at), other.subarray(this.#draw(other.length))])
      }
      default:
        if (frame.length >= at + 4) frame.writeInt32BE([0, -1, 0x7fff_ffff, 0x7fff][this.#draw(4)]!, at)
        return frame
    }
  }
}

function packedFrame(compressor: number, body: Buffer): Buffer<ArrayBuffer> {
  const w = new Writer()
  writeFrame(w, { version: 1, messageType: MessageType.Request, codec: Codec.Seata, compressor: 0, id: 1 }, body)
  w.bytes[COMPRESSOR] = compressor
  return Buffer.from(w.written)
}

/** Most changes are to be seen by what comes after the framing: the frame's length is put right again. */
function withLength(frame: Buffer): Buffer {
  if (frame.length < HEADER_BYTES) return frame
  frame.writeUInt16BE(MAGIC, 0)
  if (frame[2] === 0) return frame
  frame.writeInt32BE(frame.length, 3)
  const head = frame.readInt16BE(7)
  if (head < HEADER_BYTES || head > frame.length) frame.writeInt16BE(HEADER_BYTES, 7)
  return frame
}
