// Fields: text and its lengths, numbers at their edges, and the two cursors below them.
import test from 'ava'
import { Reader, ShortInput, Writer } from '../../tc-core/wire/bytes.ts'
import * as fields from '../../tc-core/wire/fields.ts'
import { hex } from './frames.ts'

const v1: fields.Dialect = { version: 1, shortMsg: false }
const go: fields.Dialect = { version: 1, shortMsg: true }

function write<T>(field: fields.Field<T>, value: T, d = v1, w = new Writer()): Buffer {
  field.write(w, value, d)
  return Buffer.from(w.written)
}

/** The value, with the number of bytes that it took. */
function read<T>(field: fields.Field<T>, bytes: Buffer, d = v1): [T, number] {
  const r = new Reader(bytes)
  return [field.read(r, d), r.pos]
}

const TEXTS = ['', 'a', 'nö', '€uro', '事务', '😀', 'a\u0000b', '\n', 'e\u0301', '\u{10ffff}', '\ufeffbom']

test('text has its length in bytes before it: two bytes, four, or one in a msg of seata-go', (t) => {
  for (const text of TEXTS) {
    const utf8 = Buffer.from(text)
    for (const [field, d, width] of [
      [fields.str16, v1, 2],
      [fields.str32, v1, 4],
      [fields.msg, v1, 2],
      [fields.msg, go, 1]
    ] as const) {
      const expected = Buffer.alloc(width + utf8.length)
      expected.writeUIntBE(utf8.length, 0, width)
      utf8.copy(expected, width)
      t.deepEqual(write(field, text, d), expected, text)
      t.deepEqual(read(field, expected, d), [text, expected.length], text)
    }
  }
})

test('null and empty text are one', (t) => {
  t.is(fields.str16.initial, '')
  t.is(fields.str32.initial, '')
  t.is(fields.msg.initial, '')
  t.deepEqual(read(fields.str16, hex('0000')), ['', 2])
  t.deepEqual(read(fields.str32, hex('00000000')), ['', 4])
})

test('half a surrogate pair is written as the replacement character', (t) => {
  t.is(write(fields.str16, 'a\ud83d').toString('hex'), '000461efbfbd')
  t.is(write(fields.str16, '\ude00b').toString('hex'), '0004efbfbd62')
})

test('bytes that are no UTF-8 read as replacement characters', (t) => {
  t.deepEqual(read(fields.str16, hex('0003 61 ff 62')), ['a\ufffdb', 5])
})

test('a text is what its bytes say, whatever text as long was read before it', (t) => {
  // In pairs as long as each other: one differs from the other at its begin, at its end, or in what kind of bytes it is.
  const alike = [
    '616263',
    '786263',
    '616278',
    '61ff63',
    'c3bf61',
    '61c3bf',
    'efbfbd',
    'ffffff',
    '00bf61',
    'e4ba8b',
    '61fd63'
  ]
  for (const before of alike) {
    for (const after of alike) {
      const of = (bytes: string) => hex(`0003 ${bytes}`)
      for (const bytes of [before, after, after, before])
        t.is(read(fields.str16, of(bytes))[0], Buffer.from(bytes, 'hex').toString(), `${before} ${after}`)
    }
  }
  for (const n of [63, 64, 65]) {
    for (const text of ['x'.repeat(n), `${'x'.repeat(n - 1)}y`, `y${'x'.repeat(n - 1)}`])
      t.is(read(fields.str16, write(fields.str16, text))[0], text)
  }
})

test('what was written is seen as it is now, however long, and after it has grown', (t) => {
  const w = new Writer(8)
  for (const text of ['abc', 'xyz', 'a longer one than there is room for', 'abc', 'z'.repeat(300), 'xyz']) {
    w.pos = 0
    w.text(text)
    t.is(w.written.toString(), text)
  }
})

/** Characters of one to four bytes, and how far before the limit each of them may start. */
const CHARACTERS = ['a', 'ö', '€', '😀']

for (const [name, field, d, max] of [
  ['ordinary text', fields.str16, v1, 32767],
  ['a msg', fields.msg, v1, 32767],
  ['a msg of seata-go', fields.msg, go, 255]
] as const) {
  test(`${name} is cut to ${max} bytes at the end of a character`, (t) => {
    const width = max === 255 ? 1 : 2
    for (const character of CHARACTERS) {
      const size = Buffer.byteLength(character)
      for (let before = 0; before <= 4; before++) {
        const room = max - before
        const text = 'x'.repeat(before) + character.repeat(Math.ceil(room / size) + 1)
        const kept = 'x'.repeat(before) + character.repeat(Math.floor(room / size))
        const bytes = write(field, text, d, new Writer(200_000))
        t.is(bytes.readUIntBE(0, width), Buffer.byteLength(kept), `${character} ${before}`)
        t.deepEqual(read(field, bytes, d), [kept, bytes.length], `${character} ${before}`)
      }
    }
  })

  test(`${name} of ${max} bytes is not cut, and what follows is where it should be`, (t) => {
    for (const n of [max - 1, max, max + 1, 3 * max]) {
      const w = new Writer(200_000)
      write(field, 'x'.repeat(n), d, w)
      fields.u16.write(w, 0xabcd, d)
      const r = new Reader(w.written)
      t.is(field.read(r, d).length, Math.min(n, max))
      t.is(r.u16(), 0xabcd)
      t.is(r.left, 0)
    }
  })
}

test('text after four bytes of length is not cut', (t) => {
  for (const text of ['x'.repeat(32768), 'ö'.repeat(70_000)]) {
    const bytes = write(fields.str32, text, v1, new Writer(1))
    t.is(bytes.readInt32BE(0), Buffer.byteLength(text))
    t.is(read(fields.str32, bytes)[0], text)
  }
})

test('a negative length is an error that more input does not mend, read or skipped', (t) => {
  for (const [field, bytes] of [
    [fields.str16, 'ffff'],
    [fields.str16, '8000'],
    [fields.msg, 'ffff'],
    [fields.str32, 'ffffffff'],
    [fields.str32, '80000000']
  ] as const) {
    const long = Buffer.concat([hex(bytes), Buffer.alloc(70_000)])
    t.throws(() => read(field, long), { is: fields.BadLength.instance }, bytes)
    t.throws(() => field.skip(new Reader(long)), { is: fields.BadLength.instance }, bytes)
  }
  t.is(read(fields.msg, Buffer.concat([hex('ff'), Buffer.alloc(255, 'x')]), go)[0].length, 255)
})

test('text that runs past the end is short input, read or skipped', (t) => {
  for (const [field, bytes] of [
    [fields.str16, '00'],
    [fields.str16, '0002 61'],
    [fields.str16, '7fff 61'],
    [fields.str32, '000000'],
    [fields.str32, '00000002 61'],
    [fields.str32, '7fffffff 61']
  ] as const) {
    t.throws(() => read(field, hex(bytes)), { is: ShortInput.instance }, bytes)
    t.throws(() => field.skip(new Reader(hex(bytes))), { is: ShortInput.instance }, bytes)
  }
  t.throws(() => read(fields.msg, hex('02 61'), go), { is: ShortInput.instance })
})

test('numbers are big-endian and hold their edges', (t) => {
  const rows: readonly (readonly [fields.Field<any>, unknown, string])[] = [
    [fields.u8, 0, '00'],
    [fields.u8, 255, 'ff'],
    [fields.i8, -1, 'ff'],
    [fields.i8, -128, '80'],
    [fields.i8, 127, '7f'],
    [fields.u16, 0x0102, '0102'],
    [fields.u16, 0xffff, 'ffff'],
    [fields.i32, -1, 'ffffffff'],
    [fields.i32, 0x01020304, '01020304'],
    [fields.i32, 0x7fffffff, '7fffffff'],
    [fields.i32, -0x80000000, '80000000'],
    [fields.i64, 0n, '0000000000000000'],
    [fields.i64, -1n, 'ffffffffffffffff'],
    [fields.i64, 2n ** 63n - 1n, '7fffffffffffffff'],
    [fields.i64, -(2n ** 63n), '8000000000000000'],
    [fields.i64, 2n ** 53n + 1n, '0020000000000001'],
    [fields.u53, 0, '00000000000000'],
    [fields.u53, 2 ** 53 - 1, '1fffffffffffff'],
    [fields.u53, 2 ** 32, '00000100000000'],
    [fields.u53, 2 ** 32 - 1, '000000ffffffff'],
    [fields.bool8, true, '01'],
    [fields.bool8, false, '00'],
    [fields.bool16, true, '0001'],
    [fields.bool16, false, '0000']
  ]
  for (const [field, value, bytes] of rows) {
    t.is(write(field, value).toString('hex'), bytes)
    t.deepEqual(read(field, hex(bytes)), [value, bytes.length / 2], bytes)
    const r = new Reader(hex(bytes))
    field.skip(r)
    t.is(r.left, 0, bytes)
    t.throws(() => read(field, hex(bytes).subarray(1)), { is: ShortInput.instance }, bytes)
  }
})

test('text of every length and script is written as UTF-8, and bytes as they are, by whichever way is faster', (t) => {
  for (const text of ['a', 'é', 'aé', '\u007f\u0080', '\u{1f600}', '\ud800', 'x'.repeat(63)]) {
    for (let n = 0; n < 70; n++) {
      const value = 'a'.repeat(n) + text
      const w = new Writer(1)
      w.u8(1)
      t.is(w.text(value), Buffer.byteLength(value))
      t.deepEqual(Buffer.from(w.written), Buffer.concat([Buffer.from([1]), Buffer.from(value)]))
    }
  }
  const source = Buffer.from(Array.from({ length: 100 }, (_, i) => i))
  for (const [start, end] of [
    [0, 0],
    [0, 100],
    [1, 64],
    [3, 67],
    [3, 68],
    [36, 100]
  ] as const) {
    const w = new Writer(1)
    w.raw(source, start, end)
    t.deepEqual(Buffer.from(w.written), source.subarray(start, end))
  }
})

test('an id outside int64 is not written', (t) => {
  for (const id of [2n ** 63n, -(2n ** 63n) - 1n]) t.throws(() => write(fields.i64, id), { instanceOf: RangeError })
})

test('a reader stays within its part of the bytes', (t) => {
  const bytes = hex('aa 01020304 bb')
  const r = new Reader(bytes, 1, 5)
  t.is(r.left, 4)
  t.is(r.u16(), 0x0102)
  t.throws(() => r.i32(), { is: ShortInput.instance })
  t.throws(() => r.i64(), { is: ShortInput.instance })
  t.is(r.pos, 3, 'a read that fails moves nothing')
  t.is(r.raw(2).toString('hex'), '0304')
  t.throws(() => r.u8(), { is: ShortInput.instance })
  t.throws(() => r.skip(-1), { is: ShortInput.instance })
  r.reset(bytes, 0, 1)
  t.is(r.u8(), 0xaa)
  t.throws(() => r.i64(), { is: ShortInput.instance })
})

test('raw bytes are not copied by the reader, and copied by the writer', (t) => {
  const bytes = hex('01020304')
  const raw = new Reader(bytes).raw(4)
  t.is(raw.buffer, bytes.buffer)
  const w = new Writer(1)
  w.raw(bytes, 1, 3)
  w.raw(bytes)
  bytes.fill(0)
  t.is(w.written.toString('hex'), '020301020304')
})

test('a writer that grows keeps what was written', (t) => {
  const w = new Writer(1)
  const expected: number[] = []
  for (let i = 0; i < 1000; i++) {
    w.u8(i & 255)
    w.i32(i)
    expected.push(i & 255, 0, 0, i >> 8, i & 255)
  }
  t.deepEqual(w.written, Buffer.from(expected))
  w.setI32(1, 0x01020304)
  w.setU16(6, 0x0506)
  t.is(w.written.toString('hex', 0, 8), '0001020304010506')
})
