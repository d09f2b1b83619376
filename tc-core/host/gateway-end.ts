// The node's end of a link from a gateway: requests in, answers out, and what the gateway's RMs serve.
import type { Dialect } from '../wire/fields.ts'
import { type Client, type LinkRequest, type Place, REFUSALS, type Refusal } from '../wire/link.ts'
import type { Identity } from '../wire/link-attempt.ts'
import type { LinkConnection } from '../wire/link-connection.ts'
import * as f from '../wire/link-frames.ts'
import type { MessageOf } from '../wire/message.ts'
import type { RmDirectory } from './rm-directory.ts'

export interface GatewayEndOwner {
  readonly directory: RmDirectory
  request(request: LinkRequest): void
  /** An RM serves these resources from now on: who waits for one of them need wait no longer. */
  resources(resourceIds: readonly string[]): void
  /** It said where clients reach it. */
  placed(): void
  /** It says something for the first time: it does not only try whether there is a way, it goes by this one. */
  used(gateway: GatewayEnd): void
}

export class GatewayEnd {
  readonly name: string
  /** Of its process, by its hello. */
  readonly writer: bigint
  place: Place | null = null
  readonly #connection: LinkConnection
  readonly #owner: GatewayEndOwner
  readonly #clients = new Map<number, Client>()
  #isUsed = false

  constructor({ name, writer }: Pick<Identity, 'name' | 'writer'>, connection: LinkConnection, owner: GatewayEndOwner) {
    this.name = name
    this.writer = writer
    this.#connection = connection
    this.#owner = owner
  }

  send(frame: f.LinkFrame): void {
    this.#connection.send(frame)
  }

  frame(frame: f.LinkFrame): void {
    const { directory } = this.#owner
    if (!this.#isUsed) this.#owner.used(this)
    this.#isUsed = true
    switch (frame.type) {
      case f.Request.code:
        return this.#request(frame)
      case f.ClientKnown.code:
        this.#clients.set(frame.client, frame)
        return
      case f.ClientGone.code:
        this.#clients.delete(frame.client)
        return
      case f.Called.code:
        return directory.called(this, frame.id, frame.outcome)
      case f.RmServes.code: {
        const resourceIds = split(frame.resourceIds)
        directory.serves(this, frame.clientId, resourceIds)
        return this.#owner.resources(resourceIds)
      }
      case f.GatewayAt.code:
        this.place =
          frame.transaction === '' ? null : { name: this.name, transaction: frame.transaction, control: frame.control }
        return this.#owner.placed()
      case f.RmDrops.code:
        return directory.drops(this, frame.clientId, split(frame.resourceIds))
      case f.RmGone.code:
        return directory.gone(this, frame.clientId)
    }
  }

  #request(frame: MessageOf<typeof f.Request>): void {
    const client = this.#clients.get(frame.client)
    if (!client) return this.refuse(frame.id, 'unavailable')
    this.#owner.request(new RemoteRequest(this, client, frame))
  }

  refuse(id: number, reason: Refusal): void {
    this.send({ type: f.Refused.code, id, reason: REFUSALS.indexOf(reason) })
  }

  /** The gateway has come by another way: what is on this one is asked again there. */
  replaced(): void {
    this.#connection.close('it came by another way')
  }

  closed(): void {
    this.#owner.directory.gatewayGone(this)
  }
}

function split(resourceIds: string): string[] {
  return resourceIds === '' ? [] : resourceIds.split(',')
}

class RemoteRequest implements LinkRequest {
  readonly client: Client
  readonly fragment: number
  readonly dialect: Dialect
  readonly codec: number
  bytes: Buffer
  readonly start = 0
  readonly end: number
  readonly proposed: string
  readonly identity: bigint
  readonly again: boolean
  readonly waited: number
  readonly trace: string
  readonly origin: string
  readonly #id: number
  readonly #gateway: GatewayEnd

  constructor(gateway: GatewayEnd, client: Client, frame: MessageOf<typeof f.Request>) {
    const { id, fragment, version, shortMsg, codec, body, proposed, identity, again, waited, trace, origin } = frame
    this.#id = id
    this.#gateway = gateway
    this.client = client
    this.fragment = fragment
    this.dialect = { version: version as Dialect['version'], shortMsg }
    this.codec = codec
    this.bytes = body
    this.end = body.length
    this.proposed = proposed
    this.identity = identity
    this.again = again
    this.waited = waited
    this.trace = trace
    this.origin = origin
  }

  keep(): void {
    this.bytes = Buffer.from(this.bytes)
  }

  answer(body: Buffer): void {
    this.#gateway.send({ type: f.Answer.code, id: this.#id, body })
  }

  refuse(reason: Refusal): void {
    this.#gateway.refuse(this.#id, reason)
  }
}
