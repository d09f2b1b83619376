// The cluster's own log: members, fragments, placement. Every node reads it, and any node may write its next record.
// A record is decided on the state just before it and written only if its index is free, so nobody need lead it: who is too late reads on
// and decides again. Records are few (one a change of the cluster) and never trimmed.
import { Keys } from '../replication/keys.ts'
import { decodeRecord, encodeRecord, RecordKind } from '../replication/record.ts'
import { attempt, type SlotOptions, writeSlot } from '../replication/slot.ts'
import { Meta, type MetaEffect, readMeta, writeMeta } from '../scheduler/meta.ts'
import { Writer } from '../wire/bytes.ts'

const BATCH = 32

export interface MetaLogOptions extends SlotOptions {
  now(): number
  readonly cluster: string
  readonly node: string
  readonly writer: bigint
}

export class MetaLog {
  readonly meta = new Meta()
  readonly #options: MetaLogOptions
  readonly #keys: Keys
  #index = 0
  #born = ''
  #reading: Promise<boolean> | null = null
  #readingSince = 0

  constructor(options: MetaLogOptions) {
    this.#options = options
    this.#keys = new Keys(options.cluster, 'meta')
  }

  /** Index of the newest record that is known. */
  get version(): number {
    return this.#index
  }

  /** Tells this cluster from one that was made anew on an emptied store; empty before its first record is read. */
  get born(): string {
    return this.#born
  }

  /** Reads to the end; resolves with whether there was anything new. */
  readOn(): Promise<boolean> {
    if (!this.#reading) {
      this.#readingSince = this.#options.now()
      this.#reading = this.#read().finally(() => {
        this.#reading = null
      })
    }
    return this.#reading
  }

  /** Ms for which a reading has had no answer. */
  get silence(): number {
    return this.#reading ? this.#options.now() - this.#readingSince : 0
  }

  async #read(): Promise<boolean> {
    const before = this.#index
    for (let more = true; more; ) {
      const first = this.#index + 1
      const names = Array.from({ length: BATCH }, (_, i) => this.#keys.entry(first + i))
      const values = await attempt(this.#options, () => this.#options.lane.getMany(names))
      const end = values.indexOf(null)
      const found = end < 0 ? values : values.slice(0, end)
      for (const bytes of found) this.#take(bytes!)
      more = found.length === BATCH
    }
    return this.#index > before
  }

  #take(bytes: Buffer): void {
    const index = this.#index + 1
    const record = decodeRecord(bytes, index, this.#keys.entry(index))
    readMeta(record.payload, (effect) => this.meta.apply(effect))
    if (index === 1) this.#born = record.writer.toString(16)
    this.#index = index
  }

  /** Writes what `decide` makes of the newest state; nothing, when it decides nothing. */
  async change(decide: (meta: Meta) => readonly MetaEffect[]): Promise<void> {
    for (;;) {
      await this.readOn()
      const effects = decide(this.meta)
      if (effects.length === 0) return
      const w = new Writer(256)
      writeMeta(w, effects)
      const { writer, node } = this.#options
      const index = this.#index + 1
      const bytes = encodeRecord({ kind: RecordKind.Data, index, term: 0, writer, node, payload: w.written })
      const outcome = await writeSlot(this.#options, this.#keys.entry(index), bytes)
      // Read back in either case: what another wrote there comes first. A reading that is under way may have begun before.
      if (outcome.kind === 'written') {
        while (this.#index < index) await this.readOn()
        return
      }
    }
  }
}
