// After a barrier: the snapshot's chunks, its manifest, and only then the trimming of what it covers.

import { crc32 } from 'node:zlib'
import type { LogContext } from './context.ts'
import { know } from './follow.ts'
import { decodeRecord, RecordKind } from './record.ts'
import { keeps } from './rules.ts'
import { Abandoned, attempt } from './slot.ts'
import { decodeManifest, linkManifest, newestManifest, readHint, writeHint } from './snapshots.ts'

const TRIM_BATCH = 128
const TRIM_PAUSE_MS = 2

/** A snapshot being taken: its chunks in order, made as they are asked for. */
export interface SnapshotSource {
  next(): Buffer | null
}

/**
 * Saves the state after record `index` and adds it to the chain. The state is the same on every replica, so its chunks may be written
 * twice. False: a newer snapshot is there already.
 */
export async function saveSnapshot(
  log: LogContext,
  index: number,
  term: number,
  source: SnapshotSource
): Promise<boolean> {
  let checksum = 0
  let chunks = 0
  for (let chunk = source.next(); chunk; chunk = source.next()) {
    const key = log.keys.chunk(index, chunks++)
    const bytes = chunk
    checksum = crc32(bytes, checksum)
    await attempt(log, () => log.lane.set(key, bytes))
    // Another leader's snapshot of the same state may be under way by now.
    if (log.abandoned()) throw new Abandoned()
  }
  if (!keeps(log, 'manifest-first')) await deleteRecords(log, index)
  const k = log.position.manifest + 1
  const manifest = { k, index, term, chunks, checksum }
  if (!(await linkManifest(log, log.keys, manifest))) {
    const newer = await newestManifest(log, log.keys, log.position.manifest)
    if (newer) know(log, newer)
    return false
  }
  know(log, manifest)
  return true
}

/**
 * Deletes what the newest snapshot covers: the records up to it, lead records excepted, and the chunks of the snapshot before it.
 * Doing it again, after a trimming that was cut off, is harmless.
 */
export async function trim(log: LogContext): Promise<void> {
  const { position, keys } = log
  await deleteRecords(log, position.snapshot)
  if (log.abandoned()) return
  position.leads = position.leads.filter((index) => index > position.trimmed)
  await deleteChunksBefore(log)
  await writeHint(log, keys, { k: position.manifest, trimmed: position.trimmed })
}

async function deleteRecords(log: LogContext, upTo: number): Promise<void> {
  const { position, keys, lane } = log
  while (position.trimmed < upTo) {
    const first = position.trimmed + 1
    const last = Math.min(first + TRIM_BATCH - 1, upTo)
    const stay = new Set(keeps(log, 'lead-stays') ? position.leads : [])
    const gone: string[] = []
    for (let i = first; i <= last; i++) if (!stay.has(i)) gone.push(keys.entry(i))
    await attempt(log, () => lane.delete(gone))
    position.trimmed = last
    await log.sleep(TRIM_PAUSE_MS)
    if (log.abandoned()) return
  }
}

async function deleteChunksBefore(log: LogContext): Promise<void> {
  const k = log.position.manifest - 1
  const bytes = k < 1 ? null : await attempt(log, () => log.lane.get(log.keys.manifest(k)))
  if (!bytes) return
  const { index, chunks } = decodeManifest(bytes, k, log.keys.manifest(k))
  const names = Array.from({ length: chunks }, (_, i) => log.keys.chunk(index, i))
  for (let i = 0; i < names.length; i += TRIM_BATCH) {
    await attempt(log, () => log.lane.delete(names.slice(i, i + TRIM_BATCH)))
  }
}

/**
 * Finds the lead records between what is trimmed and the snapshot that was loaded: a replica that starts from a snapshot has not read
 * them, and a trimming that was cut off left records behind.
 */
export async function findLeads(log: LogContext): Promise<void> {
  const { position, keys } = log
  position.trimmed = Math.max(position.trimmed, (await readHint(log, keys)).trimmed)
  const known = new Set(position.leads)
  for (let first = position.trimmed + 1; first <= position.snapshot; first += TRIM_BATCH) {
    const count = Math.min(TRIM_BATCH, position.snapshot - first + 1)
    const names = Array.from({ length: count }, (_, i) => keys.entry(first + i))
    const values = await attempt(log, () => log.lane.getMany(names))
    for (const [i, bytes] of values.entries()) {
      if (bytes && isLead(bytes, first + i, names[i]!)) known.add(first + i)
    }
  }
  position.leads = [...known].sort((a, b) => a - b)
}

/** A damaged record is kept as well: it is covered by the snapshot, and what it was cannot be told. */
function isLead(bytes: Buffer, index: number, key: string): boolean {
  try {
    return decodeRecord(bytes, index, key).kind === RecordKind.Lead
  } catch {
    return true
  }
}
