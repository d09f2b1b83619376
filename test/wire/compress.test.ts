// Compressed bodies, up to a limit and with garbage refused; and head maps.
import { randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import test from 'ava'
import { ShortInput, Writer } from '../../tc-core/wire/bytes.ts'
import { Compressor, compress, decompress, isKnownCompressor } from '../../tc-core/wire/compress.ts'
import { MAX_FRAME_BYTES } from '../../tc-core/wire/frame.ts'
import { readHeadMap, writeHeadMap } from '../../tc-core/wire/head-map.ts'
import { MAX_PACKED_PIECES, MAX_SLOW_UNPACKED_BYTES } from '../../tc-core/wire/limits.ts'
import { javaCompressors } from '../golden/golden.ts'
import { hex } from './frames.ts'

const { Gzip, Zip, SevenZ, Bzip2, Lz4, Deflater, Zstd } = Compressor
const packers = [Gzip, Zip, SevenZ, Deflater, Zstd]
const magic = new Map([
  [Gzip, '1f8b08'],
  [Zip, '504b0304'],
  [SevenZ, '377abcaf271c'],
  [Deflater, '789c'],
  [Zstd, '28b52ffd']
])
const body = Buffer.from('000f0025'.repeat(100), 'hex')

test('none and the seven of Seata are known, and nothing else', (t) => {
  const answers = Array.from({ length: 256 }, (_, compressor) => isKnownCompressor(compressor))
  t.deepEqual(
    answers.flatMap((yes, compressor) => (yes ? [compressor] : [])),
    [0, 1, 2, 3, 4, 5, 6, 7]
  )
  for (const compressor of [8, 255, -1]) {
    t.throws(() => decompress(compressor, body, 1000), { message: `compressor ${compressor} is not known` })
  }
})

for (const compressor of packers) {
  test(`compressor ${compressor} gives back what it was given, in its own format`, (t) => {
    for (const bytes of [Buffer.alloc(0), hex('00'), body, randomBytes(100_000), Buffer.alloc(1_000_000, 'x')]) {
      const packed = Buffer.from(compress(compressor, bytes))
      t.true(packed.toString('hex').startsWith(magic.get(compressor)!))
      t.true(decompress(compressor, packed, 1_000_000).equals(bytes), `${bytes.length} bytes`)
    }
    t.true(compress(compressor, body).length < body.length)
  })

  test(`compressor ${compressor}: as much as the limit comes out, and not one byte more`, (t) => {
    for (const limit of [body.length, compressor === SevenZ ? MAX_SLOW_UNPACKED_BYTES : MAX_FRAME_BYTES]) {
      const bytes = Buffer.alloc(limit + 1, 'x')
      t.is(decompress(compressor, compress(compressor, bytes.subarray(1)), limit).length, limit)
      const refused = t.throws(() => decompress(compressor, compress(compressor, bytes), limit))
      t.regex(refused.message, /larger than|more than/)
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
    for (const other of packers.filter((c) => c !== compressor)) {
      t.throws(() => decompress(compressor, compress(other, body), 1000))
    }
  })
}

test('a damaged checksum throws in gzip, zip, 7z and deflater', (t) => {
  for (const [compressor, fromEnd] of [
    [Gzip, 8],
    [Zip, 12],
    // Of the header; that of the body is in it.
    [SevenZ, 1],
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

test('what is packed with another compressor is refused by each', (t) => {
  const java = javaCompressors()
  const ids = { gzip: Gzip, zip: Zip, bzip2: Bzip2, lz4: Lz4, defl: Deflater, zstd: Zstd, '7z': SevenZ }
  for (const [name, own] of Object.entries(ids)) {
    for (const id of Object.values(ids).filter((id) => id !== own))
      t.throws(() => decompress(id, java.get(name)!, 1000), undefined, `${name} as ${id}`)
  }
})

test('bzip2, lz4 and 7z: what is cut off or damaged throws or gives other bytes, and never more than the limit', (t) => {
  const java = javaCompressors()
  for (const [name, id, whole] of [
    // Of bzip2 the data end with the block; what follows is its checksum.
    ['big-bzip2', Bzip2, 80],
    ['big-lz4', Lz4, java.get('big-lz4')!.length],
    // The rest is zeros.
    [
      'big-7z',
      SevenZ,
      java
        .get('big-7z')!
        .toString('hex')
        .replace(/(00)+$/, '').length / 2
    ]
  ] as const) {
    const packed = java.get(name)!
    for (let n = 0; n < whole; n++) t.throws(() => decompress(id, packed.subarray(0, n), 1500), undefined, `${n}`)
    for (let bit = 0; bit < packed.length * 8; bit++) {
      const damaged = Buffer.from(packed)
      damaged[bit >> 3]! ^= 1 << (bit & 7)
      try {
        t.true(decompress(id, damaged, 1500).length <= 1500)
      } catch {}
    }
  }
})

/** A block of LZ4 that repeats one byte `n` times, in a frame of clients from 2.6 on. */
function lz4Bomb(n: number): Buffer {
  const more = Buffer.alloc(Math.floor((n - 20) / 255), 255)
  const block = Buffer.concat([hex('1f 78 0100'), more, hex('00 50 7878787878')])
  const size = Buffer.alloc(4)
  size.writeUInt32LE(block.length)
  return Buffer.concat([hex('04224d18 60 70 73'), size, block, hex('00000000')])
}

test('a bomb is refused before it fills the memory: lz4, bzip2, zip of many entries', (t) => {
  t.is(decompress(Lz4, lz4Bomb(10_000), 20_000).toString().replaceAll('x', ''), '')
  t.throws(() => decompress(Lz4, lz4Bomb(1_000_000_000), MAX_FRAME_BYTES), { message: /more than 8388608 bytes/ })
  const entry = Buffer.from(compress(Zip, Buffer.alloc(MAX_FRAME_BYTES / 4)))
  t.is(decompress(Zip, Buffer.concat([entry, entry, entry, entry]), MAX_FRAME_BYTES).length, MAX_FRAME_BYTES)
  t.throws(() => decompress(Zip, Buffer.concat(new Array(5).fill(entry)), MAX_FRAME_BYTES))
  // Of nothing, but each takes its time: 8 MiB of them two seconds.
  const nothing = Buffer.from(compress(Zip, Buffer.alloc(0)))
  t.is(decompress(Zip, Buffer.concat(new Array(MAX_PACKED_PIECES).fill(nothing)), 0).length, 0)
  t.throws(() => decompress(Zip, Buffer.concat(new Array(MAX_PACKED_PIECES + 1).fill(nothing)), 0), {
    message: /more than 64 entries/
  })
  // 1,100,000 zeros, as `bzip2 -9` packs them.
  const zeros = hex('683931415926535948bfb73400086cc008c00002000008200030cc0529a68a506c25283c5dc914e1424122fedcd0')
  t.throws(() => decompress(Bzip2, zeros, MAX_FRAME_BYTES), { message: /more than 1048576 bytes/ })
})

test('bzip2 takes no room for nine hundred thousand bytes when it unpacks a hundred', (t) => {
  const body = javaCompressors().get('bzip2')!
  const before = process.memoryUsage().arrayBuffers
  decompress(Bzip2, body, MAX_FRAME_BYTES)
  t.true(process.memoryUsage().arrayBuffers - before < 1_000_000)
})

/** One of Java's, with its header or what is packed changed, and right checksums of both. */
function archive(
  header: (hex: string) => string,
  packed: (packed: Buffer) => Buffer = (all) => all,
  golden = javaCompressors().get('7z')!
): Buffer {
  const at = 32 + golden.readUInt32LE(12)
  const inside = packed(golden.subarray(32, at))
  const changed = hex(header(golden.toString('hex', at, at + golden.readUInt32LE(20))))
  const start = Buffer.from(golden.subarray(0, 32))
  start.writeUInt32LE(inside.length, 12)
  start.writeUInt32LE(changed.length, 20)
  start.writeUInt32LE(crc32(changed), 28)
  start.writeUInt32LE(crc32(start.subarray(12)), 8)
  return Buffer.concat([start, inside, changed])
}

/** What Java's header says of the stream: 47 bytes as they are, 43 come out. */
const PACKED = '092f'
const UNPACKED = '0c2b'
const number = (n: number) => `f0${u32(n)}`
const u32 = (n: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(n)
  return bytes.toString('hex')
}

test('7z: an archive that is not of one stream with one method is refused', (t) => {
  const unpack = (bytes: Buffer) => decompress(SevenZ, bytes, 1000)
  t.is(unpack(archive((header) => header)).toString('hex'), javaCompressors().get('raw')!.toString('hex'))
  const elsewhere = /an archive that Seata does not write/
  for (const [from, to, message] of [
    ['070b01', '070b02', elsewhere],
    ['000121210116', '000221210116', elsewhere],
    ['060001', '060002', elsewhere],
    ['21210116', '31210116', /several methods/],
    ['21210116', '21010116', /method 1 of 7z is not known/],
    ['21210116', '00', /method 0 of 7z is not known/],
    [UNPACKED, '0c2c', /not as long/],
    ['0a0165', '0a0166', /checksum/]
  ] as [string, string, RegExp][]) {
    t.throws(() => unpack(archive((header) => header.replace(from, to))), { message }, `${from} ${to}`)
  }
})

test('7z: what was damaged before its checksums were made throws, or makes no difference', (t) => {
  const java = javaCompressors()
  const big = java.get('big-7z')!
  const bits = big.readUInt32LE(12) * 8
  let refused = 0
  for (let bit = 0; bit < bits; bit++) {
    const flip = (byte: number, i: number) => (i === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte)
    const flipped = archive(
      (header) => header,
      (packed) => Buffer.from(packed.map(flip)),
      big
    )
    try {
      t.true(decompress(SevenZ, flipped, 1500).equals(java.get('big')!), `bit ${bit}`)
    } catch {
      refused++
    }
  }
  t.true(refused > bits * 0.9, `${refused} of ${bits}`)
})

test('7z: a bomb is refused before anything is unpacked, whatever its header says', (t) => {
  const refused = (stream: Buffer[], size: number, message: RegExp) => {
    const packed = Buffer.concat([...stream, hex('00')])
    const sized = (header: string) =>
      header.replace(PACKED, `09${number(packed.length)}`).replace(UNPACKED, `0c${number(size)}`)
    const bomb = archive(sized, () => packed)
    t.throws(() => decompress(SevenZ, bomb, MAX_FRAME_BYTES), { message })
  }
  // A chunk that says that 2 MiB come out of it.
  const chunks = new Array<Buffer>(40).fill(hex('ff ffff 000a 5d 0000000000000000000000'))
  refused(chunks, 40 * 2 ** 21, /more than 1048576 bytes/)
  refused(chunks, 1000, /not as long as it should be/)
  refused(new Array<Buffer>(65).fill(hex('01 0000 78')), 65, /more than 64 chunks/)
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
