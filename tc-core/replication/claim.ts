// Taking the lead: claim the next index, check the claim, seal the old leader's window. And passing it on.
import type { LogContext } from './context.ts'
import { know, take } from './follow.ts'
import { decodeRecord, encodeRecord, type Record, RecordKind } from './record.ts'
import { keeps } from './rules.ts'
import { writeSlot } from './slot.ts'
import { newestManifest } from './snapshots.ts'

const NOTHING = Buffer.alloc(0)

/** Call it at the end of the log. True: this replica leads, with `position.term`. False: read on, and decide again. */
export async function claim(log: LogContext): Promise<boolean> {
  const { position, keys } = log
  const record = own(log, RecordKind.Lead, position.index + 1, position.term + 1)
  const bytes = encodeRecord(record)
  const outcome = await writeSlot(log, keys.entry(record.index), bytes)
  if (outcome.kind !== 'written') return false
  // While we slept between reading and claiming, others may have written and trimmed this index: the claim is void then.
  const newer = await newestManifest(log, keys, position.manifest)
  if (newer && newer.index >= record.index && keeps(log, 'claim-checks')) return false
  if (newer) know(log, newer)
  take(log, record)
  log.confirmed?.(bytes)
  return keeps(log, 'seal') ? seal(log) : true
}

/**
 * The old leader may have had `window` appends on the way; those behind the claim may still land. Filling their indexes at once, before
 * our first append, we meet nobody else's bytes from then on.
 */
async function seal(log: LogContext): Promise<boolean> {
  const { position, keys, window } = log
  const records = Array.from({ length: window - 1 }, (_, i) =>
    own(log, RecordKind.Seal, position.index + 1 + i, position.term)
  )
  const outcomes = await Promise.all(records.map((r) => writeSlot(log, keys.entry(r.index), encodeRecord(r))))
  for (const [i, outcome] of outcomes.entries()) {
    const record = records[i]!
    if (outcome.kind === 'gone') return false
    if (outcome.kind === 'written') {
      take(log, record)
      log.confirmed?.(encodeRecord(record))
    } else {
      const theirs = decodeRecord(outcome.bytes, record.index, keys.entry(record.index))
      if (theirs.term > record.term) return false
      take(log, theirs)
      log.confirmed?.(outcome.bytes)
    }
  }
  return true
}

/**
 * A leader's last record: it names the process that leads from here on, which need not claim, read or seal anything then. Call it when
 * nothing of this leader is on the way; it may append nothing more (the rule `last-word`). False: another took the lead.
 */
export async function passOn(
  log: LogContext,
  heir: { readonly node: string; readonly writer: bigint }
): Promise<boolean> {
  const { position, keys } = log
  const record = { ...own(log, RecordKind.Lead, position.index + 1, position.term + 1), ...heir }
  const bytes = encodeRecord(record)
  const outcome = await writeSlot(log, keys.entry(record.index), bytes)
  if (outcome.kind !== 'written') return false
  take(log, record)
  log.confirmed?.(bytes)
  return true
}

function own(log: LogContext, kind: number, index: number, term: number): Record {
  return { kind, index, term, writer: log.writer, node: log.node, payload: NOTHING }
}
