// Java's "zip" bodies: one deflated entry with its data descriptor, and no central directory, for Java takes the bytes before it closes the archive.
import { crc32, deflateRawSync, inflateRawSync } from 'node:zlib'
import { MAX_PACKED_PIECES } from './limits.ts'

const ENTRY = 0x04034b50
const DESCRIPTOR = 0x08074b50
const HEADER_BYTES = 30
const DESCRIPTOR_BYTES = 16
const DEFLATED = 8
/** Sizes follow the data; names are UTF-8. */
const FLAGS = 0x0808
const SIZES_FOLLOW = 0x0008
const VERSION = 20
/** 1 January 1980: the first day that there is. */
const DATE = 0x21
const NAME = 'zip'

export function packZip(body: Uint8Array): Buffer {
  const packed = deflateRawSync(body)
  const header = Buffer.alloc(HEADER_BYTES + NAME.length)
  header.writeUInt32LE(ENTRY, 0)
  header.writeUInt16LE(VERSION, 4)
  header.writeUInt16LE(FLAGS, 6)
  header.writeUInt16LE(DEFLATED, 8)
  header.writeUInt16LE(DATE, 12)
  header.writeUInt16LE(NAME.length, 26)
  header.write(NAME, HEADER_BYTES)
  const descriptor = Buffer.alloc(DESCRIPTOR_BYTES)
  descriptor.writeUInt32LE(DESCRIPTOR, 0)
  descriptor.writeUInt32LE(crc32(body), 4)
  descriptor.writeUInt32LE(packed.length, 8)
  descriptor.writeUInt32LE(body.length, 12)
  return Buffer.concat([header, packed, descriptor])
}

/** The entries of an archive one after the other, as Java reads them; throws when more than `max` bytes come out. */
export function unpackZip(body: Buffer, max: number): Buffer {
  const entries: Buffer[] = []
  let total = 0
  let pos = 0
  while (pos + HEADER_BYTES <= body.length && body.readUInt32LE(pos) === ENTRY) {
    if (entries.length === MAX_PACKED_PIECES) throw new Error(`more than ${MAX_PACKED_PIECES} entries in an archive`)
    if (body.readUInt16LE(pos + 8) !== DEFLATED) throw new Error('an entry that is not deflated')
    const sizesFollow = (body.readUInt16LE(pos + 6) & SIZES_FOLLOW) !== 0
    const sumInFront = body.readUInt32LE(pos + 14)
    const start = pos + HEADER_BYTES + body.readUInt16LE(pos + 26) + body.readUInt16LE(pos + 28)
    const rest = { maxOutputLength: Math.max(1, max - total), info: true }
    // With `info` it answers how far it read, too.
    const { buffer, engine } = inflateRawSync(body.subarray(start), rest) as unknown as Inflated
    pos = start + engine.bytesWritten
    let sum = sumInFront
    if (sizesFollow) {
      if (body.readUInt32LE(pos) === DESCRIPTOR) pos += 4
      sum = body.readUInt32LE(pos)
      if (body.readUInt32LE(pos + 8) !== buffer.length) throw new Error('an entry is not as long as it should be')
      pos += 12
    }
    if (sum !== crc32(buffer)) throw new Error('the checksum of an entry is wrong')
    total += buffer.length
    entries.push(buffer)
  }
  if (entries.length === 0) throw new Error('no entry of an archive')
  if (total > max) throw new Error(`more than ${max} bytes come out of it`)
  return Buffer.concat(entries)
}

interface Inflated {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}
