// How many fragments a store was born with: written once, and from then on the same for whoever opens it. Rows have their homes by it.
import { Abandoned } from '../replication/slot.ts'
import { FragmentsCreated } from '../scheduler/meta.ts'
import type { Storage } from '../storage/port.ts'
import { SeataError } from '../wire/errors.ts'
import { systemRuntime } from '../wire/runtime.ts'
import { MetaLog } from './meta-log.ts'

/** A store that does not answer for so long at the start is not opened, ms. */
const PATIENCE_MS = 5_000

/** Resolves with the number of fragments, `wanted` where there are none yet. Rejects with SEATA_STORE_OPEN_FAILED. */
export async function fragmentsOf(storage: Storage, cluster: string, node: string, wanted: number): Promise<number> {
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
    await log.change((meta) => (meta.fragments === 0 ? [{ type: FragmentsCreated.code, count: wanted }] : []))
  } catch (error) {
    if (!(error instanceof Abandoned)) throw error
    throw new SeataError('SEATA_STORE_OPEN_FAILED', [storage.url, trouble], error)
  }
  return log.meta.fragments
}
