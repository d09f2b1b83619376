// New XIDs: the fragment that is to hold the transaction, the time, and chance where two gateways might meet.
import type { Runtime } from '../tc-core/wire/runtime.ts'
import { transactionId } from '../tc-core/wire/xid.ts'

/** Per ms, for each decision on tracing: see isTraced. */
const SEQUENCES = 2048

/**
 * Ids never repeat here: within a ms the sequence goes on from a random start, and a ms that is used up borrows from the next.
 * Two gateways may still propose the same; the fragment refuses the second.
 */
export class XidSource {
  readonly #prefix: string
  readonly #chance: Pick<Runtime, 'below'>
  #ms = 0
  #start = 0
  #used = 0

  /** @param advertise `host:port` as clients dial it: Java's load balancer looks for it in the XID */
  constructor(advertise: string, chance: Pick<Runtime, 'below'>) {
    this.#chance = chance
    this.#prefix = `${advertise}:`
  }

  next(fragment: number, now: number, traced = false): string {
    if (now > this.#ms) this.#begin(now)
    else if (this.#used === SEQUENCES) this.#begin(this.#ms + 1)
    const sequence = (this.#start + this.#used++) % SEQUENCES
    return this.#prefix + transactionId(fragment, this.#ms, sequence * 2 + (traced ? 1 : 0))
  }

  #begin(ms: number): void {
    this.#ms = ms
    this.#start = this.#chance.below(SEQUENCES)
    this.#used = 0
  }
}
