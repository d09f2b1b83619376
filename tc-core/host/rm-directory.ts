// Which gateway reaches which RM, as the gateways told it: phase two's way from a leader to a connection somewhere.
import { type BranchCall, CALL_FAILURES, type CallOutcome } from '../wire/link.ts'
import { Call, type LinkFrame } from '../wire/link-frames.ts'

/** A link to a gateway. */
export interface CallTarget {
  send(frame: LinkFrame): void
}

interface Waiting {
  readonly gateway: CallTarget
  readonly done: (outcome: CallOutcome) => void
  readonly until: number
}

const MAX_ID = 0x7fff_ffff

export class RmDirectory {
  readonly #now: () => number
  /** RM connections by client id, `applicationId:ip:port`. */
  readonly #gateways = new Map<string, CallTarget>()
  readonly #byResource = new Map<string, Set<string>>()
  readonly #resources = new Map<string, Set<string>>()
  readonly #waiting = new Map<number, Waiting>()
  #lastId = 0
  #turn = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Calls that wait for their RM. */
  get size(): number {
    return this.#waiting.size
  }

  serves(gateway: CallTarget, clientId: string, resourceIds: readonly string[]): void {
    // What it registered over another gateway counts no longer.
    const before = this.#gateways.get(clientId)
    if (before && before !== gateway) this.gone(before, clientId)
    this.#gateways.set(clientId, gateway)
    let resources = this.#resources.get(clientId)
    if (!resources) this.#resources.set(clientId, (resources = new Set()))
    for (const resourceId of resourceIds) {
      resources.add(resourceId)
      let clients = this.#byResource.get(resourceId)
      if (!clients) this.#byResource.set(resourceId, (clients = new Set()))
      clients.add(clientId)
    }
  }

  drops(gateway: CallTarget, clientId: string, resourceIds: Iterable<string>): void {
    if (this.#gateways.get(clientId) !== gateway) return
    for (const resourceId of [...resourceIds]) {
      this.#resources.get(clientId)?.delete(resourceId)
      const clients = this.#byResource.get(resourceId)
      if (clients?.delete(clientId) && clients.size === 0) this.#byResource.delete(resourceId)
    }
  }

  gone(gateway: CallTarget, clientId: string): void {
    // The client may be back already, over another gateway.
    if (this.#gateways.get(clientId) !== gateway) return
    this.drops(gateway, clientId, this.#resources.get(clientId) ?? [])
    this.#resources.delete(clientId)
    this.#gateways.delete(clientId)
  }

  /** The link to a gateway is down: nobody can say what became of its calls. */
  gatewayGone(gateway: CallTarget): void {
    for (const [clientId, at] of [...this.#gateways]) if (at === gateway) this.gone(gateway, clientId)
    for (const [id, waiting] of [...this.#waiting]) if (waiting.gateway === gateway) this.#take(id)?.done('no-answer')
  }

  call(call: BranchCall, done: (outcome: CallOutcome) => void): void {
    const gateway = this.#gatewayFor(call)
    if (!gateway) return done('not-connected')
    do this.#lastId = this.#lastId === MAX_ID ? 1 : this.#lastId + 1
    while (this.#waiting.has(this.#lastId))
    const id = this.#lastId
    this.#waiting.set(id, { gateway, done, until: this.#now() + call.timeout })
    gateway.send({ type: Call.code, trace: '', ...call, id, kind: call.kind === 'commit' ? 0 : 1 })
  }

  /** Java's order, as in the gateway: the very connection, the same application near, anywhere, and where that will do, any. */
  #gatewayFor(call: BranchCall): CallTarget | undefined {
    const exact = this.#gateways.get(call.clientId)
    if (exact) return exact
    const clients = [...(this.#byResource.get(call.resourceId) ?? [])]
    const application = call.clientId.slice(0, call.clientId.indexOf(':') + 1)
    const host = call.clientId.slice(0, call.clientId.lastIndexOf(':') + 1)
    const same = clients.filter((clientId) => clientId.startsWith(application))
    const near = same.filter((clientId) => clientId.startsWith(host))
    const fitting = near.length > 0 ? near : same.length > 0 || !call.anyApplication ? same : clients
    const clientId = fitting[this.#turn++ % fitting.length]
    return clientId === undefined ? undefined : this.#gateways.get(clientId)
  }

  /** `outcome` as in the frame `called`. */
  called(gateway: CallTarget, id: number, outcome: number): void {
    if (this.#waiting.get(id)?.gateway !== gateway) return
    this.#take(id)?.done(outcome >= 0 ? outcome : (CALL_FAILURES[-1 - outcome] ?? 'no-answer'))
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    return waiting
  }

  /** Forgets calls for which nobody waits any more. */
  sweep(): void {
    const now = this.#now()
    for (const [id, waiting] of this.#waiting) if (waiting.until <= now) this.#waiting.delete(id)
  }
}
