// A leader's snapshots: when one is due, how it is taken beside the work, and what is tidied up after it or after an earlier leader.
import { Snapshot } from '../core/snapshot.ts'
import type { State } from '../core/state.ts'
import { findLeads, saveSnapshot, trim } from '../replication/barrier.ts'
import type { LogContext } from '../replication/context.ts'
import type { Log } from '../wire/log.ts'
import type { Clock } from '../wire/runtime.ts'

export interface SnapshotPolicy {
  /** A snapshot is due after so many records, so many bytes of effects, or so many ms, whichever comes first. */
  readonly records: number
  readonly bytes: number
  readonly ms: number
}

/** A new leader tidies up after its predecessor when it has led for so long, ms: those who waited for a leader come first. */
const TIDY_MS = 2_000

export interface SnapshotsOptions {
  readonly log: LogContext
  readonly clock: Clock
  readonly logger: Log
  readonly policy: SnapshotPolicy
  onFailure(error: unknown): void
}

export class Snapshots {
  readonly #options: SnapshotsOptions
  #busy = false
  #tidied = false
  #since: { records: number; bytes: number; at: number }

  constructor(options: SnapshotsOptions) {
    this.#options = options
    this.#since = { records: 0, bytes: 0, at: options.clock.now() }
  }

  /** Counts the next record, of so many bytes. */
  isDue(recordBytes: number): boolean {
    const { clock, policy } = this.#options
    const since = this.#since
    const due = since.records >= policy.records || since.bytes >= policy.bytes || clock.now() - since.at >= policy.ms
    since.records++
    since.bytes += recordBytes
    return due && !this.#busy
  }

  /** Called with the state exactly as it is after record `index`. */
  async take(state: State, index: number, confirmed: Promise<void>): Promise<void> {
    const { log, clock, logger, onFailure } = this.#options
    this.#busy = true
    this.#since = { records: 0, bytes: 0, at: clock.now() }
    const snapshot = new Snapshot(state)
    // Of now: when this leader passes the lead on, the record that does so is of the next term, and the snapshot is not.
    const { term } = log.position
    try {
      await confirmed
      if (await saveSnapshot(log, index, term, snapshot)) await this.#trim()
      logger.info({ fragment: state.fragment, index }, 'snapshot saved, log trimmed')
    } catch (error) {
      onFailure(error)
    } finally {
      snapshot.stop()
      this.#busy = false
    }
  }

  /** Finishes a trimming that an earlier process did not. */
  async tidy(stopped: () => boolean): Promise<void> {
    const { clock, onFailure } = this.#options
    await clock.sleep(TIDY_MS)
    if (stopped() || this.#busy || this.#tidied) return
    this.#busy = true
    try {
      await this.#trim()
    } catch (error) {
      onFailure(error)
    } finally {
      this.#busy = false
    }
  }

  /** The first time it looks for what was left by those who led before. */
  async #trim(): Promise<void> {
    const { log } = this.#options
    if (!this.#tidied) await findLeads(log)
    this.#tidied = true
    await trim(log)
  }
}
