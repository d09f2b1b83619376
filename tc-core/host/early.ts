// Records that came over a link during a reading: the reading may have looked for them just before they were there.

/** Bytes that may wait; what comes on top is read later. */
const MAX_BYTES = 16 * 1024 * 1024
/** What a record that waits takes besides its bytes. */
const RECORD_BYTES = 256

export class Early {
  #records: Buffer[] = []
  #bytes = 0

  /** Keeps a record, which is valid during the call only. */
  add(record: Buffer): void {
    this.#bytes += record.length + RECORD_BYTES
    if (this.#bytes < MAX_BYTES) this.#records.push(Buffer.from(record))
  }

  /** Takes out all of them, in the order in which they came. */
  take(): Buffer[] {
    const records = this.#records
    this.#records = []
    this.#bytes = 0
    return records
  }
}
