// Java's "7z" bodies: a whole archive of one file that is packed with LZMA2, as commons-compress writes it, padded with zeros at its end.
import { createRequire } from 'node:module'
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib'
import { ShortInput } from './bytes.ts'
import { MAX_PACKED_PIECES } from './limits.ts'

const SIGNATURE = Buffer.of(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c, 0, 2)
/** The signature, where the header of the archive is and its checksum; what is packed follows. */
const START_BYTES = 32
/** What the archive's header is made of, each begun by its id. */
const ID = {
  end: 0,
  header: 1,
  streams: 4,
  files: 5,
  pack: 6,
  unpack: 7,
  parts: 8,
  size: 9,
  crc: 10,
  folder: 11,
  unpacked: 12,
  names: 17
}
const LZMA2 = 0x21
/** As every reader of 7z knows it: Node packs it at once, where LZMA2 takes milliseconds and tens of megabytes. */
const DEFLATE = 0x040108
/** How many bytes a method's id has, in the low bits of what stands before it, and that parameters follow. */
const METHOD = { bytes: 0x0f, parameters: 0x20, more: 0xd0 }
const NAME = 'sevenZip'

export function pack7z(body: Uint8Array): Buffer {
  const packed = deflateRawSync(body)
  const name = Buffer.from(`${NAME}\0`, 'utf16le')
  const method = [3, DEFLATE >> 16, (DEFLATE >> 8) & 0xff, DEFLATE & 0xff]
  const pack = [ID.pack, 0, 1, ID.size, ...number(packed.length), ID.end]
  const folder = [ID.folder, 1, 0, 1, ...method, ID.unpacked, ...number(body.length)]
  const unpack = [ID.unpack, ...folder, ID.crc, 1, ...u32(crc32(body)), ID.end]
  const streams = [ID.streams, ...pack, ...unpack, ID.parts, ID.end, ID.end]
  const files = [ID.files, 1, ID.names, name.length + 1, 0, ...name, ID.end]
  const header = Buffer.from([ID.header, ...streams, ...files, ID.end])
  const start = Buffer.alloc(START_BYTES)
  SIGNATURE.copy(start)
  start.writeUInt32LE(packed.length, 12)
  start.writeUInt32LE(header.length, 20)
  start.writeUInt32LE(crc32(header), 28)
  start.writeUInt32LE(crc32(start.subarray(12)), 8)
  return Buffer.concat([start, packed, header])
}

/** Throws when the archive is cut off, damaged or not of this kind, or when more than `max` bytes would come out. */
export function unpack7z(body: Buffer, max: number): Buffer {
  const { method, packed, size, sum } = readArchive(body)
  if (size > max) throw new Error(`more than ${max} bytes come out of it`)
  const unpacked =
    method === DEFLATE ? inflateRawSync(packed, { maxOutputLength: Math.max(1, size) }) : unpackLzma2(packed, size)
  if (unpacked.length !== size || crc32(unpacked) !== sum) throw new Error('the checksum of the archive is wrong')
  return unpacked
}

interface Archive {
  readonly method: number
  readonly packed: Buffer
  /** Of what comes out, and its checksum. */
  readonly size: number
  readonly sum: number
}

function readArchive(body: Buffer): Archive {
  if (body.length < START_BYTES) throw ShortInput.instance
  if (body.compare(SIGNATURE, 0, 6, 0, 6) !== 0) throw new Error('no archive of 7z')
  if (body.readUInt32LE(8) !== crc32(body.subarray(12, START_BYTES)))
    throw new Error('the start of an archive is damaged')
  const at = START_BYTES + Number(body.readBigUInt64LE(12))
  const end = at + Number(body.readBigUInt64LE(20))
  if (end > body.length) throw ShortInput.instance
  const header = new Header(body, at, end)
  if (body.readUInt32LE(28) !== crc32(body.subarray(at, end))) throw new Error('the header of an archive is damaged')
  return readHeader(header, body.subarray(START_BYTES, at))
}

/** One stream, packed with one method. What follows, the file's name among it, does not matter. */
function readHeader(header: Header, streams: Buffer): Archive {
  header.expect(ID.header, ID.streams, ID.pack)
  const from = header.number()
  header.expect(1, ID.size)
  const to = from + header.number()
  if (to > streams.length) throw ShortInput.instance
  // Java gives the checksum of what is packed, too.
  if (header.skipIf(ID.crc)) header.checksum()
  header.expect(ID.end, ID.unpack, ID.folder, 1, 0, 1)
  const kind = header.byte()
  if ((kind & METHOD.more) !== 0) throw new Error('an archive of several methods')
  let method = 0
  for (let i = 0; i < (kind & METHOD.bytes); i++) method = method * 256 + header.byte()
  if (method !== LZMA2 && method !== DEFLATE) throw new Error(`method ${method.toString(16)} of 7z is not known`)
  if ((kind & METHOD.parameters) !== 0) header.skip(header.number())
  header.expect(ID.unpacked)
  const size = header.number()
  header.expect(ID.crc)
  const sum = header.checksum()
  header.expect(ID.end)
  return { method, packed: streams.subarray(from, to), size, sum }
}

/** Each chunk says how much comes out of it, and no more does: so the sum is known before anything is unpacked. */
function unpackLzma2(packed: Buffer, size: number): Buffer {
  let total = 0
  let pieces = 0
  for (let pos = 0; packed.readUInt8(pos) !== 0; ) {
    const control = packed.readUInt8(pos)
    const low = packed.readUInt16BE(pos + 1) + 1
    // Copied as it is, or packed: then its size has five bits more, and a byte of parameters may follow.
    if (control < 0x80) pos += 3 + low
    else pos += (control < 0xc0 ? 5 : 6) + packed.readUInt16BE(pos + 3) + 1
    total += control < 0x80 ? low : low + ((control & 0x1f) << 16)
    if (++pieces > MAX_PACKED_PIECES) throw new Error(`more than ${MAX_PACKED_PIECES} chunks in an archive`)
  }
  if (total !== size) throw new Error('an archive is not as long as it should be')
  return library().lzma2.decompressSync(packed)
}

/** Loaded when the first archive comes: it is native, and where there is none for the platform only such archives fail. */
function library(): typeof import('@napi-rs/lzma') {
  try {
    return createRequire(import.meta.url)('@napi-rs/lzma')
  } catch {
    throw new Error('there is no LZMA2 for this platform')
  }
}

/** A cursor over the archive's header. */
class Header {
  readonly #bytes: Buffer
  readonly #end: number
  #pos: number

  constructor(bytes: Buffer, pos: number, end: number) {
    this.#bytes = bytes
    this.#pos = pos
    this.#end = end
  }

  byte(): number {
    return this.#bytes[this.skip(1)]!
  }

  /** Moves past `n` bytes, and answers where they began. */
  skip(n: number): number {
    const at = this.#pos
    if (at + n > this.#end) throw ShortInput.instance
    this.#pos = at + n
    return at
  }

  skipIf(byte: number): boolean {
    if (this.#pos >= this.#end || this.#bytes[this.#pos] !== byte) return false
    this.#pos++
    return true
  }

  expect(...bytes: readonly number[]): void {
    for (const byte of bytes) if (!this.skipIf(byte)) throw new Error('an archive that Seata does not write')
  }

  /** The leading ones of its first byte say how many bytes follow, the lowest first; what is left of the first is on top. */
  number(): number {
    const first = this.byte()
    let value = 0
    for (let i = 0; i < 8; i++) {
      const bit = 0x80 >> i
      if ((first & bit) === 0) return value + (first & (bit - 1)) * 256 ** i
      value += this.byte() * 256 ** i
    }
    return value
  }

  /** Of the one stream, which has one. */
  checksum(): number {
    this.expect(1)
    return this.#bytes.readUInt32LE(this.skip(4))
  }
}

/** As {@link Header.number} reads it. */
function number(n: number): number[] {
  for (let i = 0; ; i++) {
    const high = Math.floor(n / 256 ** i)
    if (high < 0x80 >> i)
      return [((0xff00 >> i) & 0xff) | high, ...Array.from({ length: i }, (_, k) => Math.floor(n / 256 ** k) & 0xff)]
  }
}

function u32(n: number): number[] {
  return [n & 0xff, (n >>> 8) & 0xff, (n >>> 16) & 0xff, n >>> 24]
}
