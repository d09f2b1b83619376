// LZ4, unpacked: the frames that clients from 2.6 on send, and the block stream of lz4-java that those before do, both under one byte.
// Checksums are passed over: TCP has its own, and a wrong body shows when it is read.

const FRAME_MAGIC = 0x184d2204
const BLOCK_MAGIC = 'LZ4Block'
const BLOCK_HEADER_BYTES = 21
/** A frame's flags: what else its header holds, and what follows its blocks. */
const FLAG = { version: 0xc0, blockChecksum: 0x10, contentSize: 0x08, dictionary: 0x01 }
const VERSION_1 = 0x40
const STORED = 0x8000_0000
/** The high half of a block's token in the stream of lz4-java. */
const METHOD = { raw: 0x10, lz4: 0x20 }
const FIRST_ROOM = 4096

/** Throws RangeError when the bytes end inside a value, Error when they are something else or more than `max` come out. */
export function unpackLz4(body: Buffer, max: number): Buffer {
  const out = new Unpacked(max)
  if (body.length >= 4 && body.readUInt32LE(0) === FRAME_MAGIC) unpackFrame(body, out)
  else unpackBlocks(body, out)
  return out.bytes
}

function unpackFrame(body: Buffer, out: Unpacked): void {
  const flags = body.readUInt8(4)
  if ((flags & FLAG.version) !== VERSION_1 || (flags & FLAG.dictionary) !== 0) throw new Error('no frame of LZ4')
  let pos = 7 + ((flags & FLAG.contentSize) !== 0 ? 8 : 0)
  for (;;) {
    const size = body.readUInt32LE(pos)
    pos += 4
    if (size === 0) return
    const end = pos + (size & ~STORED)
    if (end > body.length) throw new RangeError('a block of LZ4 is not all there')
    if (size >= STORED) out.copy(body, pos, end)
    else out.block(body, pos, end)
    pos = end + ((flags & FLAG.blockChecksum) !== 0 ? 4 : 0)
  }
}

function unpackBlocks(body: Buffer, out: Unpacked): void {
  for (let pos = 0; ; ) {
    if (pos + BLOCK_HEADER_BYTES > body.length || body.toString('latin1', pos, pos + 8) !== BLOCK_MAGIC)
      throw new Error('no block of LZ4')
    const method = body.readUInt8(pos + 8) & 0xf0
    const packed = body.readUInt32LE(pos + 9)
    const size = body.readUInt32LE(pos + 13)
    pos += BLOCK_HEADER_BYTES
    if (size === 0) return
    const end = pos + packed
    if (end > body.length) throw new RangeError('a block of LZ4 is not all there')
    if (method === METHOD.raw) out.copy(body, pos, end)
    else if (method === METHOD.lz4) out.block(body, pos, end)
    else throw new Error('a block of no known method')
    pos = end
  }
}

/** What came out so far; blocks may refer to what is before them. */
class Unpacked {
  readonly #max: number
  #room: Buffer
  #length = 0

  constructor(max: number) {
    this.#max = max
    this.#room = Buffer.alloc(Math.min(FIRST_ROOM, max))
  }

  get bytes(): Buffer {
    return this.#room.subarray(0, this.#length)
  }

  #grow(more: number): number {
    const at = this.#length
    const length = at + more
    if (length > this.#max) throw new Error(`more than ${this.#max} bytes come out of it`)
    if (length > this.#room.length) {
      const bigger = Buffer.alloc(Math.min(Math.max(length, this.#room.length * 2), this.#max))
      this.#room.copy(bigger, 0, 0, at)
      this.#room = bigger
    }
    this.#length = length
    return at
  }

  copy(from: Buffer, start: number, end: number): void {
    const at = this.#grow(end - start)
    from.copy(this.#room, at, start, end)
  }

  /** Copies `n` bytes from `distance` back, byte by byte: they may be the very ones that it writes. */
  #repeat(distance: number, n: number): void {
    const at = this.#grow(n)
    if (distance === 0 || distance > at) throw new Error('a match of LZ4 from before the beginning')
    const bytes = this.#room
    for (let i = at; i < at + n; i++) bytes[i] = bytes[i - distance]!
  }

  /** One block: literals and a match, again and again, and literals at the end. */
  block(from: Buffer, start: number, end: number): void {
    let pos = start
    const byte = (): number => {
      if (pos >= end) throw new RangeError('a block of LZ4 ends inside a value')
      return from[pos++]!
    }
    const length = (nibble: number): number => {
      let n = nibble
      if (n === 15) for (let more = 255; more === 255; n += more) more = byte()
      return n
    }
    while (pos < end) {
      const token = byte()
      const literals = length(token >> 4)
      if (pos + literals > end) throw new RangeError('a block of LZ4 ends inside a value')
      this.copy(from, pos, pos + literals)
      pos += literals
      if (pos === end) return
      const distance = byte() | (byte() << 8)
      this.#repeat(distance, length(token & 15) + 4)
    }
  }
}
