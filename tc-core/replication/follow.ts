// Reading the log forward: newest snapshot, then record by record to the end.
import { SeataError } from '../wire/errors.ts'
import type { LogContext } from './context.ts'
import { decodeRecord, type Record, RecordKind } from './record.ts'
import { keeps } from './rules.ts'
import { attempt } from './slot.ts'
import { type Manifest, manifestAt, newestManifest, readChunks, readHint } from './snapshots.ts'

/** With the manifest as many keys as etcd reads in one go. */
const BATCH = 31

/** Reads from wherever this replica stands to the end of the log. Throws SEATA_RECORD_CORRUPT and SEATA_SNAPSHOT_CORRUPT. */
export async function catchUp(log: LogContext): Promise<void> {
  if (log.position.index === 0 && log.position.manifest === 0) await startFromHint(log)
  while (await readOn(log)) {
    // more may be there
  }
}

async function startFromHint(log: LogContext): Promise<void> {
  const hint = await readHint(log, log.keys)
  log.position.manifest = Math.max(0, hint.k - 1)
  log.position.trimmed = hint.trimmed
}

/** One look ahead; false when the end is reached. */
export async function readOn(log: LogContext): Promise<boolean> {
  const { position, keys } = log
  const first = position.index + 1
  const names = Array.from({ length: BATCH }, (_, i) => keys.entry(first + i))
  const next = position.manifest + 1
  // The chain is read with the records, and no earlier than they: what was read is genuine only if no snapshot covered it by then,
  // because late retries write trimmed slots anew and some engines bring deleted keys back.
  const values = await attempt(log, () => log.lane.getMany([...names, keys.manifest(next)]))
  const manifest = values.pop()
  const newer = manifest ? await newestManifest(log, keys, next, manifestAt(keys, next, manifest)) : null
  const ghosts = keeps(log, 'snapshot-wins') || !values[0]
  if (newer && newer.index > position.index && ghosts) return jump(log, newer)
  if (newer && newer.index <= position.index) know(log, newer)
  let read = 0
  for (const [i, bytes] of values.entries()) {
    if (!bytes && keeps(log, 'stop-at-hole')) break
    if (!bytes) continue
    take(log, decodeRecord(bytes, first + i, names[i]!))
    read++
  }
  return read === BATCH
}

/** Takes in the record at the next index. One of a lower term than was seen already comes from a deposed leader and counts for nothing. */
export function take(log: LogContext, record: Record): void {
  const { position } = log
  position.index = record.index
  if (record.kind === RecordKind.Lead) position.leads.push(record.index)
  if (record.term < position.term && keeps(log, 'stale-skipped')) return
  position.term = Math.max(position.term, record.term)
  if (record.kind !== RecordKind.Seal) log.machine.apply(record)
}

export function know(log: LogContext, manifest: Manifest): void {
  log.position.manifest = manifest.k
  log.position.snapshot = manifest.index
}

async function jump(log: LogContext, manifest: Manifest): Promise<boolean> {
  const chunks = await readChunks(log, log.keys, manifest)
  if (!chunks) {
    if (await newestManifest(log, log.keys, manifest.k)) return true
    throw new SeataError('SEATA_SNAPSHOT_CORRUPT', [log.keys.chunk(manifest.index, 0), 'chunks are missing'])
  }
  log.machine.load(chunks)
  log.position.index = manifest.index
  log.position.term = manifest.term
  know(log, manifest)
  return true
}
