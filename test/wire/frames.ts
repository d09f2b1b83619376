// Help for the tests of frames: what a reader makes of a stream, as plain values in the order in which it was told.
import { Writer } from '../../tc-core/wire/bytes.ts'
import { type Frame, FrameReader, type Header, writeFrame } from '../../tc-core/wire/frame.ts'

/** A frame that can be kept. */
export interface Seen extends Header {
  readonly v0Type: number
  readonly head: string
  readonly body: string
}

export interface Outcome {
  readonly events: (Seen | { spoiled: number })[]
  /** What the reader threw, if it did. */
  readonly error: unknown
  readonly held: number
  readonly headerOnly: number
}

export function seen(f: Frame): Seen {
  const { version, messageType, codec, compressor, id, v0Type } = f
  const head = f.bytes.toString('hex', f.headStart, f.bodyStart)
  const body = f.bytes.toString('hex', f.bodyStart, f.bodyEnd)
  return { version, messageType, codec, compressor, id, v0Type, head, body }
}

/** Pushes chunks until one is refused. Each is wiped after its push: nothing may still point into it. */
export function readAll(chunks: Iterable<Buffer>): Outcome {
  const events: Outcome['events'] = []
  const reader = new FrameReader(
    (frame) => events.push(seen(frame)),
    (id) => events.push({ spoiled: id })
  )
  let error: unknown
  try {
    for (const chunk of chunks) {
      const own = Buffer.from(chunk)
      reader.push(own)
      own.fill(0xee)
    }
  } catch (thrown) {
    error = thrown
  }
  return { events, error, held: reader.held, headerOnly: reader.headerOnly }
}

/** The stream in pieces of `size` bytes. */
export function* pieces(stream: Buffer, size: number): Generator<Buffer> {
  for (let i = 0; i < stream.length; i += size) yield stream.subarray(i, i + size)
}

/** The stream cut at these points. */
export function cutAt(stream: Buffer, ...points: number[]): Buffer[] {
  const ends = [...points, stream.length]
  return ends.map((end, i) => stream.subarray(i === 0 ? 0 : ends[i - 1], end))
}

export function hex(text: string): Buffer {
  return Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
}

/** One frame's bytes; what `header` does not say is v1, a sync request, Seata's serializer, uncompressed, id 1. */
export function frame(header: Partial<Header>, body: Uint8Array = Buffer.alloc(0)): Buffer {
  const w = new Writer(64)
  writeFrame(w, { version: 1, messageType: 0, codec: 1, compressor: 0, id: 1, ...header }, body)
  return Buffer.from(w.written)
}

/** The first 16 bytes of a v1 frame, whatever its lengths say. */
export function header(full: number, head: number, messageType = 1, id = 9): Buffer {
  const b = hex('dada01 00000000 0000 00 01 00 00000000')
  b.writeInt32BE(full, 3)
  b.writeInt16BE(head, 7)
  b[9] = messageType
  b.writeInt32BE(id, 12)
  return b
}
