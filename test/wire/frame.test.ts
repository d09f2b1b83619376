// Frames: cut out of a stream wherever it breaks, valid during the call only, and written so that they read back.
import test from 'ava'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { MessageType } from '../../tc-core/wire/codes.ts'
import { decompress } from '../../tc-core/wire/compress.ts'
import { type Frame, FrameReader, MAX_FRAME_BYTES, writeFrame } from '../../tc-core/wire/frame.ts'
import { readHeadMap, writeHeadMap } from '../../tc-core/wire/head-map.ts'
import { exampleOf } from './examples.ts'
import { cutAt, frame, header, hex, pieces, readAll, seen } from './frames.ts'

const E32 = hex('dada01 00000025 0025 03 01 00 00000006 000131000132 0000000178 0001610000 000162ffff')

/** v0, v1 and v2; heartbeats, head maps and messages, mixed as no client does it. */
const MIXED = [
  ...[exampleOf('E1').bytes, exampleOf('E8').bytes, E32, exampleOf('E33a').bytes, exampleOf('E7').bytes],
  ...[exampleOf('E34').bytes, exampleOf('E27').bytes, exampleOf('E34b').bytes, exampleOf('E1b').bytes]
]
const STREAM = Buffer.concat(MIXED)
const WHOLE = readAll([STREAM])

test('frames that come in one chunk are handed out in order', (t) => {
  t.is(WHOLE.error, undefined)
  t.deepEqual(
    WHOLE.events.map((e) => 'id' in e && [e.version, e.messageType, e.id, e.v0Type]),
    [
      ...[
        [1, 3, 5, -1],
        [1, 0, 3, -1],
        [1, 3, 6, -1],
        [0, 3, 7, -1],
        [2, 1, 2, -1]
      ],
      ...[
        [0, 0, 1, 101],
        [1, 2, 13, -1],
        [0, 1, 1, 102],
        [2, 3, 5, -1]
      ]
    ]
  )
  t.deepEqual(
    WHOLE.events,
    MIXED.flatMap((bytes) => readAll([bytes]).events)
  )
})

test('wherever a stream breaks in two or three, the frames are the same', (t) => {
  for (let a = 0; a <= STREAM.length; a++) {
    for (const b of new Set([a, Math.min(a + 1, STREAM.length), Math.min(a + 17, STREAM.length), STREAM.length])) {
      t.deepEqual(readAll(cutAt(STREAM, a, b)), WHOLE, `cut at ${a} and ${b}`)
    }
  }
})

test('in pieces of any size the frames are the same', (t) => {
  for (let size = 1; size <= 64; size++) t.deepEqual(readAll(pieces(STREAM, size)), WHOLE, `pieces of ${size}`)
})

test('a frame that lies within one chunk is not copied', (t) => {
  const chunk = exampleOf('E8').bytes
  let bytes: Buffer | undefined
  new FrameReader(
    (f) => (bytes = f.bytes),
    () => {}
  ).push(chunk)
  t.is(bytes, chunk)
})

test('a frame is valid during the call only: the next one is the same object', (t) => {
  const one = frame({ id: 1 }, hex('0101 aaaaaaaa'))
  const two = frame({ id: 2 }, hex('0102 bbbbbbbb'))
  const kept: Frame[] = []
  const during: string[] = []
  const reader = new FrameReader(
    (f) => {
      kept.push(f)
      during.push(seen(f).body)
    },
    () => {}
  )
  const stream = Buffer.concat([one, two])
  for (const chunk of cutAt(stream, 3, one.length + 3)) reader.push(chunk)
  t.deepEqual(during, ['0101aaaaaaaa', '0102bbbbbbbb'])
  t.is(kept[0], kept[1])
  t.is(kept[0]!.id, 2)
})

test('a frame of 8 MiB is taken, in one chunk and in pieces, and one byte more is refused at the header', (t) => {
  const body = Buffer.alloc(MAX_FRAME_BYTES - 16, 7)
  const largest = frame({ id: 3 }, body)
  t.is(largest.length, 8 * 1024 * 1024)
  for (const size of [largest.length, 65_536, 1_000_003]) {
    let taken = 0
    const reader = new FrameReader(
      (f) => {
        taken++
        t.true(f.bytes.subarray(f.bodyStart, f.bodyEnd).equals(body))
      },
      () => {}
    )
    for (const piece of pieces(largest, size)) reader.push(piece)
    t.is(taken, 1)
    t.is(reader.held, 0)
  }
  const { error } = readAll([header(MAX_FRAME_BYTES + 1, 16)])
  t.regex(String(error), /8388609 bytes is above the limit/)
})

/** Bytes that the reader copies while it takes these chunks. */
function bytesCopied(chunks: Iterable<Buffer>): number {
  const proto: Buffer = Buffer.prototype
  const { copy, copyWithin } = proto
  const reader = new FrameReader(
    () => {},
    () => {}
  )
  let copied = 0
  proto.copy = function (this: Buffer, ...args: Parameters<Buffer['copy']>) {
    const n = copy.apply(this, args)
    copied += n
    return n
  }
  proto.copyWithin = function (this: Buffer, target: number, start: number, end = this.length) {
    copied += end - start
    return copyWithin.call(this, target, start, end)
  } as typeof copyWithin
  try {
    for (const chunk of chunks) reader.push(chunk)
  } finally {
    Object.assign(proto, { copy, copyWithin })
  }
  return copied
}

test('what is kept of a large frame that comes in small pieces is not copied again with every piece', (t) => {
  const half = frame({}, Buffer.alloc(MAX_FRAME_BYTES - 16, 7)).subarray(0, -1)
  const copied = bytesCopied(pieces(half, 1024))
  t.true(copied >= half.length)
  t.true(copied < 4 * half.length, `${copied} bytes were copied`)
})

test('many small frames in a stream of small pieces are not copied again and again', (t) => {
  const stream = Buffer.concat(Array.from({ length: 2000 }, (_, id) => frame({ id }, Buffer.alloc(100, 7))))
  const copied = bytesCopied(pieces(stream, 50))
  t.true(copied < 4 * stream.length, `${copied} bytes were copied`)
})

test('held counts the bytes of the unfinished frame, and an empty chunk changes nothing', (t) => {
  const reader = new FrameReader(
    () => {},
    () => {}
  )
  const [a, b] = [exampleOf('E8').bytes, exampleOf('E1').bytes]
  const held = [
    a.subarray(0, 10),
    Buffer.alloc(0),
    a.subarray(10, 35),
    Buffer.concat([a.subarray(35), b, b.subarray(0, 9)])
  ]
  t.deepEqual(
    held.map((chunk) => {
      reader.push(chunk)
      return reader.held
    }),
    [10, 10, 35, 9]
  )
  reader.push(b.subarray(9))
  t.is(reader.held, 0)
  reader.push(Buffer.alloc(0))
  t.is(reader.held, 0)
})

test('a frame with a head map is read, and the map is not taken for its body', (t) => {
  const map = new Map([['k', 'v'] as const, ['leer', ''] as const, ['schlüssel', null] as const])
  const w = new Writer()
  writeHeadMap(w, map)
  const bytes = frame({ id: 6 }, Buffer.concat([w.written, hex('000e0100')]))
  bytes.writeInt16BE(16 + w.pos, 7)
  new FrameReader(
    (f) => {
      t.deepEqual(readHeadMap(f.bytes, f.headStart, f.bodyStart), map)
      t.is(f.bytes.toString('hex', f.bodyStart, f.bodyEnd), '000e0100')
    },
    () => t.fail()
  ).push(bytes)
  t.plan(2)
})

test('every version byte but 0 and 2 is read as version 1', (t) => {
  for (const version of [1, 3, 127, 200, 255]) {
    const bytes = Buffer.from(exampleOf('E8').bytes)
    bytes[2] = version
    t.deepEqual(readAll([bytes]).events, readAll([exampleOf('E8').bytes]).events)
  }
})

test('what is written reads back, in every version, of every type, with every compressor and any id', (t) => {
  const body = Buffer.concat([hex('0001 0000ea60 0200'), Buffer.alloc(512, 'n')])
  for (const version of [0, 1, 2] as const) {
    for (const messageType of Object.values(MessageType)) {
      for (const compressor of [0, 1, 6, 7]) {
        for (const id of [0, 1, 0x7fffffff, -1, -0x80000000]) {
          const heartbeat = messageType === MessageType.Ping || messageType === MessageType.Pong
          const sent = { version, messageType, codec: 1, compressor, id }
          const { events, error, held } = readAll([frame(sent, heartbeat ? Buffer.alloc(0) : body)])
          t.is(error, undefined)
          t.is(held, 0)
          t.is(events.length, 1)
          const { v0Type, head, body: got, ...header } = events[0] as ReturnType<typeof seen>
          t.deepEqual(header, version === 0 ? { ...sent, compressor: 0 } : sent)
          t.is(head, '')
          t.is(v0Type, version === 0 && !heartbeat ? 1 : -1)
          const raw = Buffer.from(got, 'hex')
          const plain = version === 0 || heartbeat || compressor === 0 ? raw : decompress(compressor, raw, 1000)
          t.true(plain.equals(heartbeat ? Buffer.alloc(0) : version === 0 ? body.subarray(2) : body))
          if (version !== 0 && compressor !== 0 && !heartbeat) t.true(raw.length < body.length)
        }
      }
    }
  }
})

test('frames are appended to what the writer holds', (t) => {
  const w = new Writer(1)
  for (const id of [1, 2, 3])
    writeFrame(w, { version: 1, messageType: 3, codec: 1, compressor: 0, id }, Buffer.alloc(0))
  t.deepEqual(
    readAll([Buffer.from(w.written)]).events.map((e) => 'id' in e && e.id),
    [1, 2, 3]
  )
})
