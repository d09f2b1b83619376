// Compressed bodies, up to a limit and with garbage refused; and head maps.
import { randomBytes } from 'node:crypto'
import test from 'ava'
import { ShortInput, Writer } from '../../tc-core/wire/bytes.ts'
import { Compressor, compress, decompress, isKnownCompressor } from '../../tc-core/wire/compress.ts'
import { MAX_FRAME_BYTES } from '../../tc-core/wire/frame.ts'
import { readHeadMap, writeHeadMap } from '../../tc-core/wire/head-map.ts'
import { javaCompressors } from '../golden/golden.ts'
import { hex } from './frames.ts'

const { Gzip, Zip, SevenZ, Bzip2, Lz4, Deflater, Zstd } = Compressor
const known = [Gzip, Deflater, Zstd]
const magic = new Map([
  [Gzip, '1f8b08'],
  [Deflater, '789c'],
  [Zstd, '28b52ffd']
])
const body = Buffer.from('000f0025'.repeat(100), 'hex')

test('none, gzip, deflater and zstd are known, and nothing else', (t) => {
  const answers = Array.from({ length: 256 }, (_, compressor) => isKnownCompressor(compressor))
  t.deepEqual(
    answers.flatMap((yes, compressor) => (yes ? [compressor] : [])),
    [0, 1, 6, 7]
  )
  for (const compressor of [Zip, SevenZ, Bzip2, Lz4, 8, 255, -1]) {
    t.throws(() => decompress(compressor, body, 1000), { message: `compressor ${compressor} is not known` })
  }
})

for (const compressor of known) {
  test(`compressor ${compressor} gives back what it was given, in its own format`, (t) => {
    for (const bytes of [Buffer.alloc(0), hex('00'), body, randomBytes(100_000), Buffer.alloc(1_000_000, 'x')]) {
      const packed = Buffer.from(compress(compressor, bytes))
      t.true(packed.toString('hex').startsWith(magic.get(compressor)!))
      t.true(decompress(compressor, packed, 1_000_000).equals(bytes), `${bytes.length} bytes`)
    }
    t.true(compress(compressor, body).length < body.length)
  })

  test(`compressor ${compressor}: as much as the limit comes out, and not one byte more`, (t) => {
    for (const limit of [body.length, MAX_FRAME_BYTES]) {
      const bytes = Buffer.alloc(limit + 1, 'x')
      t.is(decompress(compressor, compress(compressor, bytes.subarray(1)), limit).length, limit)
      t.throws(() => decompress(compressor, compress(compressor, bytes), limit), { code: 'ERR_BUFFER_TOO_LARGE' })
    }
  })

  test(`compressor ${compressor}: what is cut off, damaged or something else throws`, (t) => {
    const packed = Buffer.from(compress(compressor, body))
    for (let n = 0; n < packed.length; n++) {
      t.throws(() => decompress(compressor, packed.subarray(0, n), 1000), undefined, `${n} bytes of ${packed.length}`)
    }
    for (const garbage of [body, hex('da da 01'), Buffer.alloc(100, 0xff), Buffer.alloc(100)]) {
      t.throws(() => decompress(compressor, garbage, 1000))
    }
    for (const other of known.filter((c) => c !== compressor)) {
      t.throws(() => decompress(compressor, compress(other, body), 1000))
    }
  })
}

test('a damaged checksum throws in gzip and deflater', (t) => {
  for (const [compressor, fromEnd] of [
    [Gzip, 8],
    [Deflater, 1]
  ] as const) {
    const packed = Buffer.from(compress(compressor, body))
    packed[packed.length - fromEnd]! ^= 1
    t.throws(() => decompress(compressor, packed, 1000))
  }
})

test('zstd tells the size of its content, which Java wants to know', (t) => {
  for (const size of [0, 1, 300, 100_000]) {
    const descriptor = compress(Zstd, Buffer.alloc(size))[4]!
    t.true(descriptor >> 6 !== 0 || (descriptor & 0x20) !== 0, `${size} bytes`)
  }
})

test('what Java packs with zip and bzip2 is refused by every known compressor', (t) => {
  const java = javaCompressors()
  for (const name of ['zip', 'bzip2']) {
    const bytes = java.get(name)!
    t.true(bytes.length > 40)
    for (const compressor of known) t.throws(() => decompress(compressor, bytes, 1000), undefined, name)
  }
})

const read = (bytes: Buffer, start = 0, end = bytes.length) => readHeadMap(bytes, start, end)
const maps: Map<string, string | null>[] = [
  new Map(),
  new Map([['', '']]),
  new Map([['a', null]]),
  new Map([
    ['a', 'b'],
    ['b', ''],
    ['c', null],
    ['ö€😀', '事务']
  ]),
  new Map([['k'.repeat(32767), 'v'.repeat(32767)]]),
  new Map(Array.from({ length: 1000 }, (_, i) => [`k${i}`, `v${i}`]))
]

test('a head map is read as it was written', (t) => {
  for (const map of maps) {
    const w = new Writer(1)
    writeHeadMap(w, map)
    t.deepEqual(read(w.written), map)
  }
})

test('a head map lies between its bounds, and an empty one is nothing', (t) => {
  t.is(read(Buffer.alloc(0)).size, 0)
  t.is(read(hex('ffffff'), 2, 2).size, 0)
  t.deepEqual(read(hex('ee 000161 000162 ee'), 1, 7), new Map([['a', 'b']]))
})

test('a pair without a key is dropped, a value may be null, and of two keys the later counts', (t) => {
  t.deepEqual(read(hex('ffff 000161')), new Map())
  t.deepEqual(read(hex('000161 ffff')), new Map([['a', null]]))
  t.deepEqual(read(hex('000161 8000')), new Map([['a', null]]))
  t.deepEqual(read(hex('000161 000162 000161 000163')), new Map([['a', 'c']]))
})

test('a head map that runs past its end is short input', (t) => {
  for (const bytes of [
    '00',
    '0001',
    '000161',
    '000161 00',
    '000161 0001',
    '7fff 61',
    '000161 0002 62',
    '0000 0000 00'
  ]) {
    t.throws(() => read(hex(bytes)), { is: ShortInput.instance }, bytes)
  }
  t.throws(() => read(hex('000161 000162'), 0, 5), { is: ShortInput.instance })
})
