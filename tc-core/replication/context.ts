// What the parts of a fragment's log share: where it stands, its store, and the machine that its records drive.
import type { Keys } from './keys.ts'
import type { Record } from './record.ts'
import type { Rule } from './rules.ts'
import type { SlotOptions } from './slot.ts'

/** The state that the log is a log of. */
export interface Machine {
  /** Takes a record in: Lead, Data and Barrier. Called once a record, in order, for what others wrote and for replay. */
  apply(record: Record): void
  /** Replaces everything by a snapshot. */
  load(chunks: readonly Buffer[]): void
}

export interface Position {
  /** Every record up to here is applied, or covered by the snapshot that was loaded. */
  index: number
  /** Highest term seen. */
  term: number
  /** Manifests known: the last one's place in the chain. */
  manifest: number
  /** Index of the newest snapshot known. */
  snapshot: number
  /** Records up to here that may go are gone. */
  trimmed: number
  /** Indexes of lead records above `trimmed`: they stay for ever, so that an old leader on its way forward runs into the next one. */
  leads: number[]
}

export interface LogContext extends SlotOptions {
  readonly keys: Keys
  readonly node: string
  /** Random for every start of the process. */
  readonly writer: bigint
  /** Appends that any leader may ever have in flight; a new leader seals so many indexes less one. */
  readonly window: number
  /** Appends that this leader has in flight: at most the window. */
  readonly inflight: number
  readonly machine: Machine
  readonly position: Position
  /** Bytes of the lead records that this node writes: where it can be reached. */
  readonly leadPayload?: Buffer
  /** Told of every record of ours that is in the log, in order: followers need not read it. */
  confirmed?(bytes: Buffer): void
  /** Only in tests: the rule that is not kept. */
  readonly without?: Rule | undefined
}

/** The beginning of a log. */
export function startPosition(): Position {
  return { index: 0, term: 0, manifest: 0, snapshot: 0, trimmed: 0, leads: [] }
}
