// What is no frame: refused as soon as it shows. And the one fault to survive: a header without a body, left by an RM that failed.
import test from 'ava'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { FrameError, FrameReader, MAX_FRAME_BYTES } from '../../tc-core/wire/frame.ts'
import { BranchRegister, writeBody } from '../../tc-core/wire/messages/index.ts'
import { BRANCH_ID, exampleOf, message, XID } from './examples.ts'
import { cutAt, frame, header, hex, pieces, readAll, type Seen } from './frames.ts'

const PING = exampleOf('E1').bytes
const ANSWER = exampleOf('E23').bytes

type Check = { true(a: boolean, label?: string): unknown; is(a: unknown, b: unknown, label?: string): unknown }

/** Refused, after `frames` frames, and as soon as the last byte of `stream` is there but not before. */
function refused(t: Check, stream: Buffer, frames: number, label: string, text?: RegExp): void {
  for (const chunks of [[stream], pieces(stream, 1)]) {
    const { events, error } = readAll(chunks)
    t.true(error instanceof FrameError, label)
    if (text) t.true(text.test(String(error)), `${label}: ${error}`)
    t.is(events.length, frames, label)
  }
  const early = readAll([stream.subarray(0, -1)])
  t.is(early.error, undefined, `${label}, one byte less`)
}

test('a stream that does not begin with the magic is refused at the first byte that is wrong', (t) => {
  refused(t, hex('db'), 0, 'first byte', /no frame begins here/)
  refused(t, hex('da db'), 0, 'second byte', /no frame begins here/)
  refused(t, Buffer.concat([PING, hex('00')]), 1, 'first byte of the second frame')
  refused(t, Buffer.concat([PING, ANSWER, hex('da 00')]), 2, 'second byte of the third frame')
})

test('lengths that make no frame are refused when the header is there', (t) => {
  const lengths = [
    ...[
      [0, 0],
      [15, 16],
      [16, 15],
      [16, 17],
      [20, 21],
      [-1, 16],
      [-0x80000000, 16],
      [100, -1],
      [100, -0x8000]
    ],
    ...[
      [0x7fffffff, 16],
      [MAX_FRAME_BYTES + 1, 16],
      [16, 0x7fff],
      [7, 7],
      [0xdada, -0x2526]
    ]
  ]
  for (const [full, head] of lengths) {
    const bad = header(full!, head!)
    refused(t, bad, 0, `${full} and ${head}`, /lengths|limit/)
    refused(t, Buffer.concat([ANSWER, PING, bad]), 2, `${full} and ${head} behind frames`)
  }
})

test('the header without lengths that a failing Java encoder leaves is refused (E39)', (t) => {
  refused(t, hex('dada01 00000000 0000 01 01 00 00000009'), 0, 'E39')
})

test('v0: a serializer other than Seata is refused at the flags', (t) => {
  for (const flags of ['80', '00', '40', 'c0', '0f', '8f']) {
    refused(t, hex(`dada 00${flags}`), 0, flags, /serializer/)
    refused(t, Buffer.concat([exampleOf('E34').bytes, hex(`dada 00${flags}`)]), 1, flags)
  }
})

test('v0: what is no message is refused, for without it nobody knows where the frame ends', (t) => {
  const v0 = 'dada 0090'
  const id = '0000000000000001'
  refused(t, hex(`${v0} 0063 ${id}`), 0, 'unknown type', /type code 99/)
  refused(t, hex(`${v0} ffff ${id}`), 0, 'type -1', /type code 65535/)
  refused(t, hex(`${v0} 0001 ${id} 0000ea60 ffff`), 0, 'negative length', /negative length/)
  refused(t, hex(`${v0} 003b ${id} ffffffff`), 0, 'negative size of an envelope')
  refused(t, hex(`${v0} 003b ${id} 00000004 0001 003b`), 0, 'an envelope in an envelope', /type code 59/)
})

test('v0: flags say what a frame is, and ids are narrowed to 32 bits', (t) => {
  const seen = (flags: string, type: string, id: string) =>
    (readAll([hex(`dada 00${flags} ${type} ${id} ${type === '000e' ? '0100' : ''}`)]).events as Seen[]).map(
      ({ messageType, id, v0Type, body }) => [messageType, id, v0Type, body]
    )
  t.deepEqual(seen('e0', '0000', '0000000000000007'), [[3, 7, -1, '']])
  t.deepEqual(seen('20', '0000', '0000000000000007'), [[4, 7, -1, '']])
  t.deepEqual(seen('90', '000e', '000000007fffffff'), [[0, 0x7fffffff, 14, '0100']])
  t.deepEqual(seen('d0', '000e', 'ffffffffffffffff'), [[2, -1, 14, '0100']])
  t.deepEqual(seen('10', '000e', '0000000080000000'), [[1, -0x80000000, 14, '0100']])
  t.deepEqual(seen('50', '000e', '0000000100000005'), [[1, 5, 14, '0100']])
})

/** The beginning of a v0 frame with a lock key that says it is `length` bytes long */
function v0Lock(length: number): Buffer {
  const start = hex('dada 0090 000b 0000000000000001 0000 00 0000 00000000')
  start.writeInt32BE(length, start.length - 4)
  return start
}

test('v0: a frame that would end behind 8 MiB is refused as soon as it says so', (t) => {
  const most = MAX_FRAME_BYTES - v0Lock(0).length
  t.is(readAll([v0Lock(most)]).error, undefined)
  t.is(readAll(pieces(v0Lock(most), 1)).error, undefined)
  t.regex(String(readAll([v0Lock(most + 1)]).error), /above the limit/)
  t.regex(String(readAll(pieces(v0Lock(0x7fffffff), 1)).error), /above the limit/)
})

test('headerOnly is the id of a response of which there is the header and nothing else', (t) => {
  const id = (bytes: Buffer) => readAll([bytes]).headerOnly
  t.is(id(ANSWER.subarray(0, 16)), 100)
  t.is(id(Buffer.concat([PING, ANSWER.subarray(0, 16)])), 100)
  t.is(readAll(pieces(ANSWER.subarray(0, 16), 5)).headerOnly, 100)
  t.is(id(header(71, 16, 1, 0)), 0)
  t.is(id(ANSWER.subarray(0, 15)), -1)
  t.is(id(ANSWER.subarray(0, 17)), -1)
  t.is(id(ANSWER), -1)
  t.is(id(Buffer.alloc(0)), -1)
  t.is(id(exampleOf('E8').bytes.subarray(0, 16)), -1, 'a request')
  t.is(id(exampleOf('E27').bytes.subarray(0, 16)), -1, 'a one-way request')
  t.is(id(hex('dada 0010 000c 0000000000000001 0100')), -1, 'v0')
})

/** As an RM 2.6.0 leaves it: full length 71 and head length 16 are left over from an earlier frame. */
const stale = (id: number) => header(0x47, 16, 1, id)

const behindStale: readonly [string, Buffer[]][] = [
  ['a PING', [PING]],
  ['an answer', [ANSWER]],
  ['a PING and an answer, longer together than the stale length', [PING, ANSWER, PING, PING]],
  ['a v2 frame', [exampleOf('E31').bytes, PING]],
  ['a long merged request', [exampleOf('E27').bytes]]
]

for (const [name, frames] of behindStale) {
  test(`${name} behind a stale header: the id is told, and no frame is lost wherever the stream breaks`, (t) => {
    const before = [exampleOf('E3').bytes, PING]
    const stream = Buffer.concat([...before, stale(0x63), ...frames])
    const expected = {
      events: [...readAll(before).events, { spoiled: 0x63 }, ...readAll(frames).events],
      ...{ error: undefined, held: 0, headerOnly: -1 }
    }
    t.is(expected.events.length, before.length + 1 + frames.length)
    for (let a = 0; a <= stream.length; a++) {
      for (let b = a; b <= stream.length; b += 7) t.deepEqual(readAll(cutAt(stream, a, b)), expected, `${a}, ${b}`)
    }
    t.deepEqual(readAll(pieces(stream, 1)), expected)
  })
}

test('several stale headers one behind the other each tell their id', (t) => {
  const stream = Buffer.concat([stale(1), stale(2), PING, stale(3), ANSWER])
  const told = [{ spoiled: 1 }, { spoiled: 2 }, ...readAll([PING]).events, { spoiled: 3 }, ...readAll([ANSWER]).events]
  for (let i = 0; i <= stream.length; i++) t.deepEqual(readAll(cutAt(stream, i)).events, told, `cut at ${i}`)
})

test('a stale header is told as soon as two bytes follow, and is a headerOnly before', (t) => {
  const stream = Buffer.concat([stale(0x63), PING])
  t.is(readAll([stream.subarray(0, 16)]).headerOnly, 0x63)
  t.deepEqual(readAll([stream.subarray(0, 17)]).events, [])
  t.deepEqual(readAll([stream.subarray(0, 18)]).events, [{ spoiled: 0x63 }])
  t.is(readAll([stream.subarray(0, 18)]).held, 2)
})

test('a stale header with the lengths of a PING is a response without a body', (t) => {
  const { events, error } = readAll([Buffer.concat([header(16, 16, 1, 5), ANSWER])])
  t.is(error, undefined)
  t.is((events[0] as Seen).id, 5)
  t.is((events[0] as Seen).body, '')
  t.is((events[1] as Seen).id, 100)
})

test('a frame inside another that has a head map cannot be told apart and is refused', (t) => {
  const bytes = Buffer.concat([header(0x47, 20), hex('00000000'), PING])
  refused(t, bytes.subarray(0, 22), 0, 'head map', /inside another/)
})

test('a body that begins with the first byte of the magic only is a body', (t) => {
  const bytes = frame({ id: 4 }, hex('da01 da da'))
  for (let i = 0; i <= bytes.length; i++) {
    t.deepEqual(
      (readAll(cutAt(bytes, i)).events as Seen[]).map(({ id, body }) => [id, body]),
      [[4, 'da01dada']]
    )
  }
})

test('what stays behind a large frame is held in a small buffer', (t) => {
  const stream = Buffer.concat([frame({}, Buffer.alloc(MAX_FRAME_BYTES - 16, 7)), PING])
  let bytes = 0
  const reader = new FrameReader(
    (f) => (bytes = f.bytes.length),
    () => {}
  )
  for (const piece of cutAt(stream, 65_536, stream.length - 1)) reader.push(piece)
  t.true(bytes < 1024 * 1024, `a PING lies in a buffer of ${bytes} bytes, of which held said 15`)
})

test('v0: the text of an unfinished frame is not decoded again with every piece', (t) => {
  const fields = { xid: XID, branchType: 0, resourceId: `r${BRANCH_ID}` }
  const w = new Writer()
  const long = { lockKey: 'k'.repeat(100_000), applicationData: 'a'.repeat(100_000) }
  writeBody(w, message(BranchRegister, { ...fields, ...long }), { version: 0, shortMsg: false })
  const bytes = frame({ version: 0 }, w.written)
  const proto: Buffer = Buffer.prototype
  const original = proto.toString
  let decoded = 0
  const reader = new FrameReader(
    () => {},
    () => {}
  )
  proto.toString = function (this: Buffer, encoding, start = 0, end = this.length) {
    decoded += end - start
    return original.call(this, encoding, start, end)
  }
  try {
    for (const piece of pieces(bytes, 1024)) reader.push(piece)
  } finally {
    proto.toString = original
  }
  t.true(decoded < 4 * bytes.length, `${decoded} bytes were decoded for ${bytes.length}`)
})

test('v0: a frame above 8 MiB is refused, also when its last piece brings it above', (t) => {
  const w = new Writer()
  const fields = { xid: XID, branchType: 0, resourceId: 'r', lockKey: 'k'.repeat(MAX_FRAME_BYTES), applicationData: '' }
  writeBody(w, message(BranchRegister, fields), { version: 0, shortMsg: false })
  const { error } = readAll([frame({ version: 0 }, w.written)])
  t.regex(String(error), /above the limit/)
})
