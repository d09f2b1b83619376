// What a store was born with: how many fragments, and in how many parts a table's rows are. Written once, and from then on the same for whoever
// opens it: rows have their homes by it.
import { Abandoned } from '../replication/slot.ts'
import { born } from '../scheduler/place.ts'
import type { Storage } from '../storage/port.ts'
import { SeataError } from '../wire/errors.ts'
import type { Birth } from '../wire/lock-homes.ts'
import { systemRuntime } from '../wire/runtime.ts'
import { MetaLog } from './meta-log.ts'

/** A store that does not answer for so long at the start is not opened, ms. */
const PATIENCE_MS = 5_000

/** Resolves with what it was born with, `wanted` where there is nothing yet. Rejects with SEATA_STORE_OPEN_FAILED. */
export async function birthOf(storage: Storage, cluster: string, node: string, wanted: Birth): Promise<Birth> {
  const until = systemRuntime.now() + PATIENCE_MS
  let trouble = ''
  const log = new MetaLog({
    lane: storage.lane('meta'),
    cluster,
    node,
    writer: systemRuntime.id(),
    now: systemRuntime.now,
    sleep: systemRuntime.sleep,
    onTrouble: (error) => {
      trouble = error?.message ?? ''
    },
    abandoned: () => systemRuntime.now() > until
  })
  try {
    await log.change((meta) => (meta.fragments === 0 ? born(wanted) : []))
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
    throw new SeataError('SEATA_STORE_OPEN_FAILED', [storage.url, trouble], error)
  }
  const { fragments, lockParts } = log.meta
  return { fragments, lockParts }
}
