// A record of the log as bytes: header, payload (encoded effects), checksum.
import { crc32 } from 'node:zlib'
import { Reader, Writer } from '../wire/bytes.ts'
import { SeataError } from '../wire/errors.ts'

export const RecordKind = {
  /** A replica takes the lead with it; never trimmed. */
  Lead: 1,
  /** Effects. */
  Data: 2,
  /** Fills an index after a claim, so that the old leader's appends on the way meet somebody else's bytes. */
  Seal: 3,
  /** Effects, after which a snapshot is due: the state after this record is the snapshot's. */
  Barrier: 4
} as const

export interface Record {
  readonly kind: number
  readonly index: number
  readonly term: number
  /** Random for every process start: tells my bytes from those of a namesake. */
  readonly writer: bigint
  /** Name of the node that wrote it. */
  readonly node: string
  readonly payload: Buffer
}

const FORMAT = 1
const scratch = new Writer(64 * 1024)

export function encodeRecord(record: Record): Buffer {
  const w = scratch
  w.pos = 0
  w.u8(FORMAT)
  w.u8(record.kind)
  w.u53(record.index)
  w.u53(record.term)
  w.i64(record.writer)
  const at = w.room(1)
  w.bytes[at] = w.text(record.node)
  w.raw(record.payload)
  w.i32(crc32(w.written))
  return Buffer.from(w.written)
}

/** The index that bytes of a record claim to be of. */
export function indexOf(bytes: Buffer): number {
  return new Reader(bytes, 2).u53()
}

/** Throws SEATA_RECORD_CORRUPT when the bytes are not a record of that index as it was written. `key` is for the message. */
export function decodeRecord(bytes: Buffer, index: number, key: string): Record {
  const corrupt = (why: string) => new SeataError('SEATA_RECORD_CORRUPT', [key, why])
  const end = bytes.length - 4
  if (end < 24) throw corrupt(`only ${bytes.length} bytes`)
  if (bytes.readUInt32BE(end) !== crc32(bytes.subarray(0, end))) throw corrupt('the checksum does not match')
  const r = new Reader(bytes, 0, end)
  const format = r.u8()
  if (format !== FORMAT) throw corrupt(`format ${format} is not known`)
  const kind = r.u8()
  const at = r.u53()
  if (at !== index) throw corrupt(`it is record ${at}`)
  const term = r.u53()
  const writer = r.i64()
  const node = r.text(r.u8())
  return { kind, index, term, writer, node, payload: r.raw(r.left) }
}
