// Streams that nobody should send: random bytes, and the frames of real peers, damaged. The reader refuses or goes on; it never loops.
import test from 'ava'
import fc, { type Arbitrary } from 'fast-check'
import { Reader } from '../../tc-core/wire/bytes.ts'
import { Codec } from '../../tc-core/wire/codes.ts'
import { decompress, isKnownCompressor } from '../../tc-core/wire/compress.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { type Frame, FrameError, FrameReader, MAX_FRAME_BYTES } from '../../tc-core/wire/frame.ts'
import { readHeadMap } from '../../tc-core/wire/head-map.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { captures } from '../golden/golden.ts'
import { header, pieces, readAll } from './frames.ts'
import { dialects, runs } from './generate.ts'

const golden = captures()
  .flatMap(({ frames }) => frames.flatMap(({ hex }) => hex ?? []))
  .map((bytes) => Buffer.from(bytes, 'hex'))

/** Reads all that a frame holds, as far as it can be read; anything but a known error about its bytes goes on up. */
function open(f: Frame, d: Dialect): void {
  let body = f.bytes.subarray(f.bodyStart, f.bodyEnd)
  try {
    readHeadMap(f.bytes, f.headStart, f.bodyStart)
    if (f.codec !== Codec.Seata || !isKnownCompressor(f.compressor)) return
    if (f.v0Type >= 0) body = Buffer.concat([Buffer.from([f.v0Type >> 8, f.v0Type & 255]), body])
    if (f.compressor !== 0) {
      try {
        body = decompress(f.compressor, body, MAX_FRAME_BYTES)
      } catch {
        return
      }
    }
    m.readBody(new Reader(body), d)
  } catch (error) {
    if (!m.isBadBody(error)) throw error
  }
}

/** Nothing but FrameError is thrown, every frame is at least a header further on, and pieces make no difference. */
function survives(stream: Buffer, size: number, shortMsg: boolean): void {
  let told = 0
  const count = () => {
    if (++told > stream.length / 14) throw new Error('frames without end')
  }
  const reader = new FrameReader((f) => {
    count()
    open(f, { version: f.version, shortMsg })
  }, count)
  try {
    for (const piece of pieces(stream, size)) reader.push(piece)
  } catch (error) {
    if (!(error instanceof FrameError)) throw error
  }
  const [whole, split] = [readAll([stream]), readAll(pieces(stream, size))]
  for (const { error } of [whole, split]) if (error !== undefined && !(error instanceof FrameError)) throw error
  if (JSON.stringify(whole.events) !== JSON.stringify(split.events)) throw new Error('other frames in pieces')
  if (String(whole.error) !== String(split.error))
    throw new Error(`${whole.error} in one piece, ${split.error} in many`)
}

/** One change of a stream; positions are parts of its length. */
type Mutation = (stream: Buffer) => Buffer<ArrayBufferLike>
const at = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const bytes = fc.uint8Array({ minLength: 1, maxLength: 8 })
const mutation: Arbitrary<Mutation> = fc.oneof(
  fc.tuple(at, bytes).map(
    ([a, more]): Mutation =>
      (s) => {
        const changed = Buffer.from(s)
        changed.set(more.subarray(0, Math.max(0, s.length - Math.floor(a * s.length))), Math.floor(a * s.length))
        return changed
      }
  ),
  fc.tuple(at, fc.nat(7)).map(
    ([a, bit]): Mutation =>
      (s) => {
        const changed = Buffer.from(s)
        if (s.length > 0) changed[Math.floor(a * s.length)]! ^= 1 << bit
        return changed
      }
  ),
  fc.tuple(at, bytes).map(
    ([a, more]): Mutation =>
      (s) => {
        const i = Math.floor(a * s.length)
        return Buffer.concat([s.subarray(0, i), more, s.subarray(i)])
      }
  ),
  fc.tuple(at, fc.nat(40)).map(
    ([a, n]): Mutation =>
      (s) => {
        const i = Math.floor(a * s.length)
        return Buffer.concat([s.subarray(0, i), s.subarray(i + n)])
      }
  ),
  fc.tuple(at, at).map(
    ([a, b]): Mutation =>
      (s) =>
        s.subarray(Math.floor(a * s.length), Math.ceil(b * s.length))
  )
)

const size = fc.integer({ min: 1, max: 200 })
const real = fc.array(fc.constantFrom(...golden), { minLength: 1, maxLength: 5 }).map((frames) => Buffer.concat(frames))
const survivor = fc.property(real, fc.array(mutation, { maxLength: 4 }), size, fc.boolean(), (frames, changes, n, go) =>
  survives(
    changes.reduce<Buffer>((s, change) => change(s), frames),
    n,
    go
  )
)

test('frames of real peers, damaged: nothing but a FrameError, and the same in pieces as whole', (t) => {
  t.true(golden.length > 1000)
  fc.assert(survivor, runs(6000))
  t.pass()
})

test('random bytes behind a beginning that fits: nothing but a FrameError, and the same in pieces as whole', (t) => {
  const length = fc.oneof(fc.integer({ min: 16, max: 80 }), fc.integer())
  const head = fc.oneof({ weight: 6, arbitrary: fc.constant(16) }, fc.integer({ min: -0x8000, max: 0x7fff }))
  const v1 = fc.tuple(length, head, fc.nat(5), fc.integer()).map((all) => header(...all))
  const type = fc.oneof(fc.constantFrom(...m.messages.tables.map(({ code }) => code)), fc.nat(0xffff))
  const v0 = fc.tuple(fc.nat(255), type).map(([flags, type]) => {
    const bytes = Buffer.from('dada00000000000000000000000a', 'hex')
    bytes[3] = flags
    bytes.writeUInt16BE(type, 4)
    return bytes
  })
  const start = fc.oneof(v1, v0, fc.constant(Buffer.from([0xda, 0xda])), fc.constant(Buffer.alloc(0)))
  const rest = fc.oneof(fc.uint8Array({ maxLength: 100 }), fc.array(fc.constantFrom(0, 1, 0xda), { maxLength: 60 }))
  const part = fc.tuple(start, rest).map(([start, rest]) => Buffer.concat([start, Buffer.from(rest)]))
  const stream = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => Buffer.concat(parts))
  fc.assert(fc.property(stream, size, fc.boolean(), survives), runs(10_000))
  t.pass()
})

test('random bytes as a body of any type: nothing but a known error about the body', (t) => {
  const type = fc.constantFrom(...m.messages.tables.map(({ code }) => code))
  const garbage = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(fc.constantFrom(0, 1, 2, 255), { maxLength: 60 })
  )
  const read = fc.property(type, garbage, fc.constantFrom(...dialects), (type, rest, d) => {
    try {
      m.readBody(new Reader(Buffer.from([type >> 8, type, ...rest])), d)
    } catch (error) {
      if (!m.isBadBody(error)) throw error
    }
  })
  fc.assert(read, runs(20_000))
  t.pass()
})
