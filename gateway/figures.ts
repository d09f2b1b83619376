// What a gateway counts: requests by type and outcome, what was parked and sent again, bytes and frames.
import { Counts, counter, Distribution, type Family, gauge, histogram, SECONDS } from '../tc-core/wire/figures.ts'
import { REFUSALS, type Refusal } from '../tc-core/wire/link.ts'
import { messages } from '../tc-core/wire/messages/index.ts'
import type { Failure } from './pending.ts'

/** What went over the connections of clients. */
export interface Traffic {
  bytesIn: number
  bytesOut: number
  framesIn: number
}

/** Requests of one type. */
class Requests {
  readonly name: string
  ok = 0
  failed = 0
  readonly seconds = new Distribution(SECONDS)

  constructor(name: string) {
    this.name = name
  }
}

export class GatewayFigures {
  readonly traffic: Traffic = { bytesIn: 0, bytesOut: 0, framesIn: 0 }
  /** By type code. */
  readonly #requests: (Requests | undefined)[] = []
  readonly #again = new Counts()
  /** Calls of RMs by kind and outcome. */
  readonly #calls = new Counts()
  /** By Seata's name of the exception. */
  readonly exceptions = new Counts()
  parked = 0
  overloaded = 0

  answered(type: number, failure: Failure | null, seconds: number, traceId: string | undefined): void {
    const requests = (this.#requests[type] ??= new Requests(messages.find(type)?.name ?? 'unknown'))
    requests.seconds.add(seconds, traceId)
    if (failure === null) {
      requests.ok++
      return
    }
    requests.failed++
    this.exceptions.add(failure.exception)
  }

  refused(reason: Refusal): void {
    this.#again.add(reason)
  }

  called(kind: string, outcome: string): void {
    this.#calls.add(`${kind} ${outcome}`)
  }

  families(now: {
    connections: () => number
    waiting: () => number
    parked: () => number
    calls: () => number
  }): Family[] {
    const { traffic } = this
    const one = (value: () => number) => () => [{ labels: {}, value: value() }]
    return [
      gauge('seata_exception', 'Failures that clients were told of, in the words of Seata, since the start.', () =>
        this.exceptions.entries.flatMap(([applicationId, value]) =>
          ['count', 'total'].map((statistic) => ({
            labels: { role: 'tc', meter: 'summary', applicationId, statistic },
            value
          }))
        )
      ),
      counter('seata_gateway_requests_total', 'Requests of clients that were answered.', () =>
        (['ok', 'failed'] as const).flatMap((outcome) =>
          this.#requests.flatMap((of) =>
            of && of[outcome] > 0 ? { labels: { type: of.name, outcome }, value: of[outcome] } : []
          )
        )
      ),
      histogram('seata_gateway_request_duration_seconds', 'From a request to its answer.', () =>
        this.#requests.flatMap((of) => of?.seconds.samples({ type: of.name }) ?? [])
      ),
      counter('seata_gateway_retries_total', 'Requests that came back from a node and were sent again or parked.', () =>
        // All of them from the start: what has not happened yet is none, not unknown.
        REFUSALS.map((reason) => ({ labels: { reason }, value: this.#again.of(reason) }))
      ),
      counter(
        'seata_gateway_parked_total',
        'Requests that had to wait for a leader.',
        one(() => this.parked)
      ),
      counter(
        'seata_gateway_overloaded_total',
        'Begins that were refused because too many requests waited for their answers.',
        one(() => this.overloaded)
      ),
      gauge('seata_gateway_waiting_requests', 'Requests of clients that wait for their answers now.', one(now.waiting)),
      gauge('seata_gateway_parked_requests', 'Requests that wait for a leader now.', one(now.parked)),
      gauge('seata_gateway_connections', 'Connections of clients.', one(now.connections)),
      counter('seata_gateway_rm_calls_total', 'Phase-two calls of RMs.', () =>
        this.#calls.entries.map(([name, value]) => {
          const [kind = '', outcome = ''] = name.split(' ')
          return { labels: { kind, outcome }, value }
        })
      ),
      gauge('seata_gateway_rm_calls_inflight', 'Phase-two calls that wait for their RM.', one(now.calls)),
      counter(
        'seata_gateway_frames_received_total',
        'Frames of clients.',
        one(() => traffic.framesIn)
      ),
      counter(
        'seata_gateway_received_bytes_total',
        'Bytes of clients.',
        one(() => traffic.bytesIn)
      ),
      counter(
        'seata_gateway_sent_bytes_total',
        'Bytes to clients.',
        one(() => traffic.bytesOut)
      )
    ]
  }
}
