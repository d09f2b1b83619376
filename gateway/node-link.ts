// The gateway's link to one node: requests up and answers down, calls down and their outcomes up.
import {
  CALL_FAILURES,
  type CallOutcome,
  type Client,
  type LinkRequest,
  type Place,
  REFUSALS
} from '../tc-core/wire/link.ts'
import { DialledLink, type Identity } from '../tc-core/wire/link-dial.ts'
import * as f from '../tc-core/wire/link-frames.ts'
import type { Runtime } from '../tc-core/wire/runtime.ts'
import { Table } from '../tc-core/wire/table.ts'

export interface NodeLinkOwner {
  readonly identity: Identity
  readonly runtime: Runtime
  /** The link is up: the node knows nothing of this gateway yet. */
  up(link: NodeLink): void
  down(link: NodeLink, reason: string): void
  /** Who listens at the address is none of ours. */
  foreign(link: NodeLink, reason: string): void
  leads(link: NodeLink): void
  viewed(link: NodeLink, json: string): void
  gatewaysChanged(): void
  /** Another node, that may reach one which this gateway does not: `host:port`. */
  through(link: NodeLink): string | undefined
  call(
    link: NodeLink,
    call: Extract<f.LinkFrame, { type: typeof f.Call.code }>,
    done: (outcome: CallOutcome) => void
  ): void
}

const MAX_ID = 0x7fff_ffff
/** Requests on the way to one node; more are parked. */
const MAX_REQUESTS = 100_000

export class NodeLink {
  /** The node's name, once it said hello. */
  node = ''
  /** The gateways that have a link to it, by its word. */
  gateways: readonly Place[] = []
  /** The cluster that it belongs to, by its word: see ClusterView. */
  born = ''
  /** The fragments that it leads and serves, by its own word, and the term of each. */
  terms: ReadonlyMap<number, number> = new Map()
  readonly #owner: NodeLinkOwner
  readonly #link: DialledLink
  #requests = new Table<number, LinkRequest>()
  #lastId = 0
  readonly #clients = new Map<Client, number>()
  #lastClient = 0
  /** How often the link came up. */
  #ups = 0

  constructor(address: string, owner: NodeLinkOwner) {
    this.#owner = owner
    const handler = {
      up: ({ name }: { name: string }) => {
        this.#ups++
        this.node = name
        owner.up(this)
      },
      frame: (frame: f.LinkFrame) => this.#frame(frame),
      down: (reason: string) => this.#down(reason),
      refused: () => {},
      foreign: (reason: string) => owner.foreign(this, reason),
      through: () => owner.through(this)
    }
    this.#link = new DialledLink(address, owner.identity, owner.runtime, handler)
  }

  get address(): string {
    return this.#link.address
  }

  get isUp(): boolean {
    return this.#link.isUp
  }

  /** It is up, and nothing comes. */
  get isQuiet(): boolean {
    return this.#link.isQuiet
  }

  /** The node in between, when this one is not reached itself. */
  get through(): string | undefined {
    return this.#link.through
  }

  #frame(frame: f.LinkFrame): void {
    switch (frame.type) {
      case f.Answer.code:
        return this.#take(frame.id)?.answer(frame.body)
      case f.Refused.code:
        return this.#take(frame.id)?.refuse(REFUSALS[frame.reason] ?? 'lost')
      case f.Leads.code:
        this.terms = new Map(frame.list.map(({ fragment, mark }) => [fragment, mark]))
        return this.#owner.leads(this)
      case f.Gateways.code:
        this.gateways = JSON.parse(frame.json) as Place[]
        return this.#owner.gatewaysChanged()
      case f.View.code:
        return this.#owner.viewed(this, frame.json)
      case f.Call.code:
        return this.#call(frame)
    }
  }

  send(frame: f.LinkFrame): void {
    this.#link.send(frame)
  }

  /** False: it cannot be sent now. */
  request(request: LinkRequest): boolean {
    if (!this.isUp || this.#requests.size >= MAX_REQUESTS) return false
    request.keep()
    request.hop?.(this.node)
    do this.#lastId = this.#lastId === MAX_ID ? 1 : this.#lastId + 1
    while (this.#requests.has(this.#lastId))
    this.#requests.set(this.#lastId, request)
    const { fragment, again, waited, codec, identity, proposed, dialect, trace = '', origin = '' } = request
    this.send({
      type: f.Request.code,
      id: this.#lastId,
      client: this.#clientNumber(request.client),
      fragment,
      again,
      waited,
      version: dialect.version,
      shortMsg: dialect.shortMsg,
      codec,
      identity,
      proposed,
      trace,
      origin,
      body: request.bytes.subarray(request.start, request.end)
    })
    return true
  }

  #clientNumber(client: Client): number {
    let number = this.#clients.get(client)
    if (number !== undefined) return number
    number = ++this.#lastClient
    this.#clients.set(client, number)
    this.send({ type: f.ClientKnown.code, client: number, ...client })
    return number
  }

  clientGone(client: Client): void {
    const number = this.#clients.get(client)
    if (number === undefined) return
    this.#clients.delete(client)
    this.send({ type: f.ClientGone.code, client: number })
  }

  #call(frame: Extract<f.LinkFrame, { type: typeof f.Call.code }>): void {
    const ups = this.#ups
    this.#owner.call(this, frame, (outcome) => {
      // A node that has started anew counts its calls from 1 again: this would be the outcome of another.
      if (ups !== this.#ups) return
      const number = typeof outcome === 'number' ? outcome : -1 - CALL_FAILURES.indexOf(outcome)
      this.send({ type: f.Called.code, id: frame.id, outcome: number })
    })
  }

  #take(id: number): LinkRequest | undefined {
    const request = this.#requests.get(id)
    this.#requests.delete(id)
    return request
  }

  /** Somebody else leads the fragment by now: what this node would still answer does not count, and is asked there. */
  giveUp(fragment: number): void {
    for (const [id, request] of this.#requests) {
      if (request.fragment !== fragment) continue
      this.#requests.delete(id)
      request.refuse('lost')
    }
  }

  #down(reason: string): void {
    this.terms = new Map()
    this.gateways = []
    this.#clients.clear()
    const lost = [...this.#requests.values()]
    this.#requests = new Table()
    this.#owner.down(this, reason)
    for (const request of lost) request.refuse('lost')
  }

  close(): void {
    this.#link.close()
  }
}
