// The ids of spans, of which a transaction's own can be chosen: for whoever makes the SDK, the command or the host app.
import { randomBytes } from 'node:crypto'
import type { RootIds } from '../tc-core/wire/tracing.ts'

const POOL_BYTES = 4096

/**
 * An id generator in the form of OpenTelemetry's SDKs. With it a transaction is a span of its own, and its ids follow from the XID:
 * `new NodeSDK({ idGenerator: transactionIds })`.
 */
export class TransactionIds implements RootIds {
  next: RootIds['next'] = null
  /** Hex digits, made many at once. */
  #pool = ''
  #used = 0

  generateTraceId = (): string => this.next?.traceId ?? this.#random(32)

  generateSpanId = (): string => this.next?.spanId ?? this.#random(16)

  #random(digits: number): string {
    if (this.#used + digits > this.#pool.length) {
      this.#pool = randomBytes(POOL_BYTES).toString('hex')
      this.#used = 0
    }
    const id = this.#pool.slice(this.#used, (this.#used += digits))
    // All zeros would be no id.
    return id.startsWith('00000000') ? this.#random(digits) : id
  }
}

export const transactionIds = new TransactionIds()
