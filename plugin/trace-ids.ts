// The ids of spans, of which a transaction's own can be chosen: for whoever makes the SDK, the command or the host app.
import { randomBytes } from 'node:crypto'
import type { RootIds } from '../tc-core/wire/tracing.ts'

const POOL_BYTES = 8192

/**
 * An id generator in the form of OpenTelemetry's SDKs. With it a transaction is a span of its own, and its ids follow from the XID:
 * `new NodeSDK({ idGenerator: transactionIds })`.
 */
export class TransactionIds implements RootIds {
  next: RootIds['next'] = null
  #pool = Buffer.alloc(0)
  #used = 0

  generateTraceId = (): string => this.next?.traceId ?? this.#random(16)

  generateSpanId = (): string => this.next?.spanId ?? this.#random(8)

  #random(bytes: number): string {
    if (this.#used + bytes > this.#pool.length) {
      this.#pool = randomBytes(POOL_BYTES)
      this.#used = 0
    }
    const id = this.#pool.toString('hex', this.#used, (this.#used += bytes))
    // All zeros would be no id.
    return /[^0]/.test(id) ? id : this.#random(bytes)
  }
}

export const transactionIds = new TransactionIds()
