// Snapshots in the store: chunks, and the chain of manifests that makes them count.
import { crc32 } from 'node:zlib'
import { Reader, Writer } from '../wire/bytes.ts'
import { SeataError } from '../wire/errors.ts'
import type { Keys } from './keys.ts'
import { attempt, type SlotOptions, writeSlot } from './slot.ts'

export interface Manifest {
  /** Place in the chain, from 1. */
  readonly k: number
  /** The snapshot is the state after this record. */
  readonly index: number
  /** Highest term seen up to there. */
  readonly term: number
  readonly chunks: number
  /** Over all chunks in order. */
  readonly checksum: number
}

/** Where to begin to look. It may be set back by a sleeper: that costs a longer walk, never truth. */
export interface Hint {
  readonly k: number
  /** Every record up to here that may go is gone. */
  readonly trimmed: number
}

const MANIFEST_BYTES = 26

export function encodeManifest(m: Manifest): Buffer {
  const w = new Writer(64)
  w.u53(m.index)
  w.u53(m.term)
  w.i32(m.chunks)
  w.i32(m.checksum)
  w.i32(crc32(w.written))
  return Buffer.from(w.written)
}

export function decodeManifest(bytes: Buffer, k: number, key: string): Manifest {
  const body = bytes.subarray(0, -4)
  if (bytes.length !== MANIFEST_BYTES || bytes.readUInt32BE(body.length) !== crc32(body)) {
    throw new SeataError('SEATA_SNAPSHOT_CORRUPT', [key, 'the manifest does not match its checksum'])
  }
  const r = new Reader(body)
  return { k, index: r.u53(), term: r.u53(), chunks: r.i32(), checksum: r.u32() }
}

export function manifestAt(keys: Keys, k: number, bytes: Buffer): Manifest {
  return decodeManifest(bytes, k, keys.manifest(k))
}

/** The newest manifest after the `known`th; `newest` when there is none: one read when nothing is new. */
export async function newestManifest(
  options: SlotOptions,
  keys: Keys,
  known: number,
  newest: Manifest | null = null
): Promise<Manifest | null> {
  for (let k = known + 1; ; k++) {
    const bytes = await attempt(options, () => options.lane.get(keys.manifest(k)))
    if (!bytes) return newest
    newest = manifestAt(keys, k, bytes)
  }
}

/** The chunks of a snapshot, checked as a whole. Null: it was replaced and deleted meanwhile, ask for the newest again. */
export async function readChunks(options: SlotOptions, keys: Keys, m: Manifest): Promise<Buffer[] | null> {
  const chunks: Buffer[] = []
  let checksum = 0
  for (let i = 0; i < m.chunks; i++) {
    const chunk = await attempt(options, () => options.lane.get(keys.chunk(m.index, i)))
    if (!chunk) return null
    checksum = crc32(chunk, checksum)
    chunks.push(chunk)
  }
  if (checksum !== m.checksum) {
    throw new SeataError('SEATA_SNAPSHOT_CORRUPT', [keys.chunk(m.index, 0), 'the chunks do not match their checksum'])
  }
  return chunks
}

/** Adds a manifest to the chain. False: another snapshot took its place. */
export async function linkManifest(options: SlotOptions, keys: Keys, m: Manifest): Promise<boolean> {
  return (await writeSlot(options, keys.manifest(m.k), encodeManifest(m))).kind === 'written'
}

export async function readHint(options: SlotOptions, keys: Keys): Promise<Hint> {
  const bytes = await attempt(options, () => options.lane.get(keys.hint))
  if (bytes?.length !== 14) return { k: 0, trimmed: 0 }
  const r = new Reader(bytes)
  return { k: r.u53(), trimmed: r.u53() }
}

export async function writeHint(options: SlotOptions, keys: Keys, hint: Hint): Promise<void> {
  const w = new Writer(16)
  w.u53(hint.k)
  w.u53(hint.trimmed)
  await attempt(options, () => options.lane.set(keys.hint, w.written))
}
