// A leader's appends: pipelined up to the window, confirmed in order, ended for good by the first index that another writer has.
import type { LogContext } from './context.ts'
import { encodeRecord, type Record, type RecordKind } from './record.ts'
import { keeps } from './rules.ts'
import { Abandoned, type SlotOutcome, writeSlot } from './slot.ts'

export class Appender {
  readonly #log: LogContext
  readonly #onDeposed: () => void
  #next: number
  #last: Promise<void> = Promise.resolve()
  #deposed = false
  /** Appends that are not confirmed. */
  inflight = 0
  /** Appends ever begun. */
  appends = 0

  /** @param onDeposed called once, when another writer is found at an index of ours. */
  constructor(log: LogContext, onDeposed: () => void) {
    this.#log = log
    this.#onDeposed = onDeposed
    this.#next = log.position.index + 1
  }

  get full(): boolean {
    return this.inflight >= this.#log.inflight
  }

  /** The index that the next append takes. */
  get next(): number {
    return this.#next
  }

  /** Appends effects. Resolves when this record and every earlier one is in the log; rejects with Abandoned when we were deposed. */
  append(kind: typeof RecordKind.Data | typeof RecordKind.Barrier, payload: Buffer): Promise<void> {
    const log = this.#log
    const index = this.#next++
    const term = log.position.term
    this.inflight++
    this.appends++
    const record = { kind, index, term, writer: log.writer, node: log.node, payload }
    const bytes = encodeRecord(record)
    const written = this.#write(
      keeps(log, 'same-index') ? writeSlot(log, log.keys.entry(index), bytes) : this.#anywhere(record)
    )
    const before = this.#last
    written.catch(() => {})
    const confirmed = before
      .then(() => written)
      .then(() => {
        // In order: an append that overtook its neighbour still counts, so that no index is ever more than the window ahead of the
        // first one that is open. A new leader seals just that many.
        this.inflight--
        log.position.index = index
        log.confirmed?.(bytes)
      })
    confirmed.catch(() => {})
    this.#last = confirmed
    return keeps(log, 'ack-in-order') ? confirmed : written
  }

  /** Only in tests: an append that fails goes to another index. */
  async #anywhere(record: Record): Promise<SlotOutcome> {
    const { lane, keys } = this.#log
    try {
      await lane.setIfAbsent(keys.entry(record.index), encodeRecord(record))
      return { kind: 'written' }
    } catch {
      return this.#anywhere({ ...record, index: this.#next++ })
    }
  }

  async #write(writing: Promise<SlotOutcome>): Promise<void> {
    const outcome = await writing
    const ours = outcome.kind === 'written' || !keeps(this.#log, 'same-bytes')
    if (ours && !this.#deposed) return
    if (!this.#deposed) {
      this.#deposed = true
      this.#onDeposed()
    }
    throw new Abandoned()
  }
}
