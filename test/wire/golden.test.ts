// Golden bytes: every body and frame of the real peers decodes, and encodes back to the same bytes.
import test from 'ava'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { Codec } from '../../tc-core/wire/codes.ts'
import { Compressor, compress, decompress, isKnownCompressor, packs } from '../../tc-core/wire/compress.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { type Frame, FrameReader, MAX_FRAME_BYTES, writeFrame } from '../../tc-core/wire/frame.ts'
import { readHeadMap } from '../../tc-core/wire/head-map.ts'
import { readFields, writeFields } from '../../tc-core/wire/message.ts'
import { readBody, tableOf, writeBody } from '../../tc-core/wire/messages/index.ts'
import { type CapturedFrame, captures, javaBodies, javaCompressors } from '../golden/golden.ts'

/** The frames that are broken on purpose, and what the failing RM left: answered or refused, see gateway tests. */
const BROKEN = new Set([
  'java-2.6.0/rmfail 19',
  'probes/stale-lengths 3',
  'probes/short-body 3',
  'probes/unknown-type 3',
  'probes/unknown-codec 3',
  'probes/unknown-compressor 3',
  'probes/trailing-bytes 3',
  'probes/empty-body 3',
  'probes/stale-lengths-then-frames 3',
  'probes/v0-ping-then-v1 2'
])

for (const body of javaBodies()) {
  test(`java-bodies: ${body.name} v${body.version} decodes and encodes back`, (t) => {
    const dialect: Dialect = { version: body.version, shortMsg: false }
    const reader = new Reader(body.fields)
    const message = readFields(tableOf(body.type), reader, dialect)
    t.is(reader.left, 0)
    const writer = new Writer()
    writeFields(tableOf(body.type), writer, message, dialect)
    t.is(writer.written.toString('hex'), body.fields.toString('hex'))
  })
}

test('java-compressors: whatever Java packed gives the body back, and ours can be read again', (t) => {
  const golden = javaCompressors()
  const [raw, big] = [golden.get('raw')!, golden.get('big')!]
  for (const [name, id, body] of [
    ['gzip', Compressor.Gzip, raw],
    ['zip', Compressor.Zip, raw],
    ['bzip2', Compressor.Bzip2, raw],
    ['lz4', Compressor.Lz4, raw],
    ['defl', Compressor.Deflater, raw],
    ['zstd', Compressor.Zstd, raw],
    ['big-zip', Compressor.Zip, big],
    ['big-bzip2', Compressor.Bzip2, big],
    ['big-lz4', Compressor.Lz4, big],
    ['7z', Compressor.SevenZ, raw],
    ['big-7z', Compressor.SevenZ, big]
  ] as [string, number, Buffer][]) {
    t.deepEqual(decompress(id, golden.get(name)!, body.length), body, name)
    t.throws(() => decompress(id, golden.get(name)!, body.length - 1), undefined, name)
    if (packs(id)) t.deepEqual(decompress(id, compress(id, body), MAX_FRAME_BYTES), body, name)
  }
})

/** Feeds bytes in pieces and collects copies of the frames. */
function cut(bytes: Buffer, piece: number): Frame[] {
  const frames: Frame[] = []
  const reader = new FrameReader(
    (f) => frames.push({ ...f, bytes: Buffer.from(f.bytes) }),
    () => {}
  )
  for (let i = 0; i < bytes.length; i += piece) reader.push(bytes.subarray(i, i + piece))
  return frames
}

function dialectOf(frame: Frame, captured: CapturedFrame, client: string): Dialect {
  return { version: frame.version, shortMsg: client.startsWith('seata-go') && captured.dir === 'c2s' }
}

for (const capture of captures()) {
  const frames = capture.frames.filter((f) => f.hex !== undefined && f.error === undefined && f.version !== undefined)
  if (frames.length === 0) continue
  test(`captures: ${capture.name} (${frames.length} frames) decodes and encodes back, in one piece and byte by byte`, (t) => {
    for (const captured of frames) {
      if (BROKEN.has(`${capture.name} ${captured.n}`)) continue
      const label = `n=${captured.n}`
      const bytes = Buffer.from(captured.hex!, 'hex')
      for (const piece of [bytes.length, 1]) {
        const [frame, ...more] = cut(bytes, piece)
        t.truthy(frame, label)
        t.is(more.length, 0, label)
        t.is(frame!.id, captured.id!, label)
        if (frame!.version !== 0) t.is(frame!.messageType, captured.messageType!, label)
        checkFrame(t, frame!, captured, capture.client, bytes, label)
      }
    }
  })
}

type Assert = {
  true(a: boolean, label?: string): void
  is(a: unknown, b: unknown, label?: string): void
  deepEqual(a: unknown, b: unknown, label?: string): void
}

function checkFrame(
  t: Assert,
  frame: Frame,
  captured: CapturedFrame,
  client: string,
  bytes: Buffer,
  label: string
): void {
  t.is(frame.codec, captured.serializer, label)
  t.is(frame.compressor, captured.compressor, label)
  const head = Object.fromEntries(
    readHeadMap(frame.bytes, frame.headStart, frame.version === 0 ? frame.headStart : frame.bodyStart)
  )
  t.deepEqual(head, captured.headMap, label)
  const rest = frame.bytes.subarray(frame.bodyStart, frame.bodyEnd)
  if (rest.length > 0) {
    t.true(isKnownCompressor(frame.compressor), label)
    // protobuf.test.ts looks at these.
    if (frame.codec === Codec.Protobuf) return
  }
  let body = frame.compressor === 0 || rest.length === 0 ? rest : decompress(frame.compressor, rest, MAX_FRAME_BYTES)
  if (frame.v0Type >= 0) body = Buffer.concat([Buffer.from([frame.v0Type >> 8, frame.v0Type & 255]), body])
  if (body.length > 0) {
    const dialect = dialectOf(frame, captured, client)
    const reader = new Reader(body)
    const message = readBody(reader, dialect)
    t.is(reader.left, 0, label)
    t.is(message.type, captured.bodyTypeCode, label)
    const again = new Writer()
    writeBody(again, message, dialect)
    t.is(again.written.toString('hex'), body.toString('hex'), label)
  }
  if ((frame.compressor === 0 || rest.length === 0) && Object.keys(head).length === 0 && !ownV0Flags(frame, bytes)) {
    const writer = new Writer()
    writeFrame(writer, { ...frame, version: bytes[2] as 0 | 1 | 2 }, body)
    t.is(writer.written.toString('hex'), bytes.toString('hex'), label)
  }
}

/** v0 answers of old clients carry the async flag, which tells nothing; we never send it. */
function ownV0Flags(frame: Frame, bytes: Buffer): boolean {
  return frame.version === 0 && bytes.readUInt16BE(2) === 0x50
}
