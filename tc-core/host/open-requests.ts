// The requests that a leader has not answered, wherever they wait: for the log, for RMs, for other fragments. And for how long.
import type { Request } from '../core/outputs.ts'
import type { Client, LinkRequest } from '../wire/link.ts'
import type { AnyMessage } from '../wire/message.ts'
import { Bag } from '../wire/table.ts'

/** How long an answer waits for the log before the client is told that the store does not answer, ms: as long as a gateway parks. */
const ANSWER_TIMEOUT_MS = 5_000
/** Who has waited as long as that elsewhere waits so long here, ms: a log that moves has confirmed it by then. */
const LAST_CHANCE_MS = 50

/** A request as the core sees it, over the link that it came by. */
export class HostRequest implements Request {
  readonly link: LinkRequest
  readonly message: AnyMessage
  /** When it came, ms. */
  readonly since: number
  /** How long it waits for a log that stands still, ms. */
  readonly patience: number
  place = 0

  constructor(link: LinkRequest, message: AnyMessage, since: number) {
    this.link = link
    this.message = message
    this.since = since
    this.patience = Math.max(LAST_CHANCE_MS, ANSWER_TIMEOUT_MS - link.waited)
  }

  get client(): Client {
    return this.link.client
  }

  get proposed(): string {
    return this.link.proposed
  }

  get identity(): bigint {
    return this.link.identity
  }

  get again(): boolean {
    return this.link.again
  }

  get origin(): string {
    return this.link.origin ?? ''
  }
}

export class OpenRequests {
  readonly #all = new Bag<HostRequest>()
  /** Before that nobody's patience is over, ms. */
  impatientAt = Number.POSITIVE_INFINITY

  add(link: LinkRequest, message: AnyMessage, since: number): HostRequest {
    const request = new HostRequest(link, message, since)
    this.#all.add(request)
    this.impatientAt = Math.min(this.impatientAt, since + request.patience)
    return request
  }

  /** It is answered. False: it was. */
  delete(request: HostRequest): boolean {
    return this.#all.delete(request)
  }

  all(): HostRequest[] {
    return this.#all.all()
  }

  /**
   * Those that have waited for longer than their patience while the log stood still all that time.
   * @param waitingSince since when the log owes somebody a confirmation, ms
   */
  impatient(now: number, waitingSince: number): HostRequest[] {
    // It may stand still from now on.
    const still = Math.min(waitingSince, now)
    const impatient: HostRequest[] = []
    this.impatientAt = Number.POSITIVE_INFINITY
    for (const request of this.#all.all()) {
      const until = Math.max(still, request.since) + request.patience
      if (until <= now) impatient.push(request)
      else this.impatientAt = Math.min(this.impatientAt, until)
    }
    return impatient
  }
}
