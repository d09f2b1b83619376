// Which gateway reaches which RM, as the gateways told it: phase two's way from a leader to a connection somewhere.
import { type BranchCall, CALL_FAILURES, type CallOutcome } from '../wire/link.ts'
import { Call, type LinkFrame } from '../wire/link-frames.ts'
import { Table } from '../wire/table.ts'

/** A link to a gateway. */
export interface CallTarget {
  send(frame: LinkFrame): void
}

interface Waiting {
  readonly gateway: CallTarget
  readonly call: BranchCall
  /** Another gateway did not reach the RM. */
  readonly again: boolean
  readonly done: (outcome: CallOutcome) => void
  readonly until: number
}

/** What a gateway says of an RM connection. */
interface Word {
  readonly gateway: CallTarget
  readonly resources: Set<string>
}

const MAX_ID = 0x7fff_ffff

export class RmDirectory {
  readonly #now: () => number
  /** RM connections by client id, `applicationId:ip:port`: what is said of each over which link, the latest word last. */
  readonly #words = new Map<string, Word[]>()
  readonly #byResource = new Map<string, Set<string>>()
  readonly #waiting = new Table<number, Waiting>()
  #lastId = 0
  #turn = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Calls that wait for their RM. */
  get size(): number {
    return this.#waiting.size
  }

  /** Who says so last is believed: a client that moved counts over its new gateway. */
  serves(gateway: CallTarget, clientId: string, resourceIds: readonly string[]): void {
    const words = this.#words.get(clientId) ?? []
    const word = words.find((one) => one.gateway === gateway) ?? { gateway, resources: new Set() }
    this.#words.set(clientId, [...words.filter((one) => one !== word), word])
    for (const resourceId of resourceIds) {
      word.resources.add(resourceId)
      let clients = this.#byResource.get(resourceId)
      if (!clients) this.#byResource.set(resourceId, (clients = new Set()))
      clients.add(clientId)
    }
  }

  drops(gateway: CallTarget, clientId: string, resourceIds: Iterable<string>): void {
    const words = this.#words.get(clientId) ?? []
    const word = words.find((one) => one.gateway === gateway)
    if (!word) return
    for (const resourceId of [...resourceIds]) {
      word.resources.delete(resourceId)
      if (words.some(({ resources }) => resources.has(resourceId))) continue
      const clients = this.#byResource.get(resourceId)
      if (clients?.delete(clientId) && clients.size === 0) this.#byResource.delete(resourceId)
    }
  }

  /** What was said over other links stays: a gateway may have a new one while words of the old one still come. */
  gone(gateway: CallTarget, clientId: string): void {
    const words = this.#words.get(clientId) ?? []
    const word = words.find((one) => one.gateway === gateway)
    if (!word) return
    this.drops(gateway, clientId, word.resources)
    if (words.length > 1)
      this.#words.set(
        clientId,
        words.filter((one) => one !== word)
      )
    else this.#words.delete(clientId)
  }

  /** The link to a gateway is down: nobody can say what became of its calls. */
  gatewayGone(gateway: CallTarget): void {
    for (const clientId of [...this.#words.keys()]) this.gone(gateway, clientId)
    for (const [id, waiting] of [...this.#waiting]) if (waiting.gateway === gateway) this.#take(id)?.done('no-answer')
  }

  call(call: BranchCall, done: (outcome: CallOutcome) => void): void {
    const gateway = this.#gatewayFor(call)
    if (!gateway) return done('not-connected')
    this.#send({ gateway, call, again: false, done, until: this.#now() + call.timeout })
  }

  #send(waiting: Waiting): void {
    const { gateway, call } = waiting
    do this.#lastId = this.#lastId === MAX_ID ? 1 : this.#lastId + 1
    while (this.#waiting.has(this.#lastId))
    const id = this.#lastId
    this.#waiting.set(id, waiting)
    gateway.send({ type: Call.code, trace: '', ...call, id, kind: call.kind === 'commit' ? 0 : 1 })
  }

  /** Java's order, as in the gateway: the very connection, the same application near, anywhere, and where that will do, any. */
  #gatewayFor(call: BranchCall): CallTarget | undefined {
    const exact = this.#words.get(call.clientId)?.at(-1)
    // One that is about to end serves nothing any more.
    if (exact && exact.resources.size > 0) return exact.gateway
    const all = [...(this.#byResource.get(call.resourceId) ?? [])]
    const clients = all.filter((clientId) => this.#words.get(clientId)!.at(-1)!.resources.has(call.resourceId))
    const application = call.clientId.slice(0, call.clientId.indexOf(':') + 1)
    const host = call.clientId.slice(0, call.clientId.lastIndexOf(':') + 1)
    const same = clients.filter((clientId) => clientId.startsWith(application))
    const near = same.filter((clientId) => clientId.startsWith(host))
    const fitting = near.length > 0 ? near : same.length > 0 || !call.anyApplication ? same : clients
    const clientId = fitting[this.#turn++ % fitting.length]
    return clientId === undefined ? undefined : this.#words.get(clientId)!.at(-1)!.gateway
  }

  /**
   * `outcome` as in the frame `called`. A gateway that is about to end says that the RM is not connected any more, and may not have said so before
   * the call was on its way: nobody has heard it, so it goes to another gateway that reaches the RM.
   */
  called(gateway: CallTarget, id: number, outcome: number): void {
    if (this.#waiting.get(id)?.gateway !== gateway) return
    const waiting = this.#take(id)!
    const known = outcome >= 0 ? outcome : (CALL_FAILURES[-1 - outcome] ?? 'no-answer')
    const other = known === 'not-connected' && !waiting.again ? this.#gatewayFor(waiting.call) : undefined
    if (other && other !== gateway) this.#send({ ...waiting, gateway: other, again: true })
    else waiting.done(known)
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
