// The dialling end of a link: connects, says who it is, and dials again when the link is down.
import { connect } from 'node:net'
import { parseAddress } from './address.ts'
import { LinkConnection } from './link-connection.ts'
import { Hello, LINK_PROTOCOL, type LinkFrame, type LinkRole } from './link-frames.ts'
import type { MessageOf } from './message.ts'

/** Who says hello. */
export interface Identity {
  readonly role: (typeof LinkRole)[keyof typeof LinkRole]
  readonly cluster: string
  readonly name: string
  /** Drawn anew with every start of the process. */
  readonly writer: bigint
}

export interface DialHandler {
  /** The other side said hello, and belongs to the same cluster. */
  up(hello: MessageOf<typeof Hello>): void
  frame(frame: LinkFrame): void
  /** The link was up, and is no longer. */
  down(reason: string): void
  /** Nobody listens there: the process that did is gone. */
  refused(): void
  /** Who listens there is none of ours. Dialled again all the same, and said once for each reason. */
  foreign(reason: string): void
}

const CONNECT_MS = 1_000
const REDIAL_MIN_MS = 20
const REDIAL_MAX_MS = 500

export class DialledLink {
  readonly address: string
  readonly #identity: Identity
  readonly #now: () => number
  readonly #handler: DialHandler
  #connection: LinkConnection | null = null
  #up = false
  #closing = false
  #pause = REDIAL_MIN_MS
  #foreign = ''
  #timer: NodeJS.Timeout | null = null

  /** @param address `host:port` */
  constructor(address: string, identity: Identity, now: () => number, handler: DialHandler) {
    this.address = address
    this.#identity = identity
    this.#now = now
    this.#handler = handler
    this.#dial()
  }

  get isUp(): boolean {
    return this.#up
  }

  /** Ms since the other side was heard; Infinity while the link is down. */
  get silence(): number {
    return this.#up ? this.#connection!.silence : Number.POSITIVE_INFINITY
  }

  #dial(): void {
    const address = parseAddress(this.address)
    if (!address) return this.#handler.foreign('that is no HOST:PORT')
    const socket = connect({ ...address, noDelay: true })
    socket.setTimeout(CONNECT_MS, () => socket.destroy(new Error(`no connection within ${CONNECT_MS} ms`)))
    socket.once('connect', () => socket.setTimeout(0))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') this.#handler.refused()
    })
    this.#connection = new LinkConnection(socket, this.#now, {
      frame: (frame) => (frame.type === Hello.code ? this.#hello(frame) : this.#handler.frame(frame)),
      closed: (reason) => this.#closed(reason)
    })
    this.#connection.send({ type: Hello.code, protocol: LINK_PROTOCOL, ...this.#identity })
  }

  #hello(hello: MessageOf<typeof Hello>): void {
    if (hello.protocol !== LINK_PROTOCOL) return this.#turnAway(`it speaks link protocol ${hello.protocol}`)
    if (hello.cluster !== this.#identity.cluster) return this.#turnAway(`it belongs to cluster ${hello.cluster}`)
    this.#foreign = ''
    this.#up = true
    this.#pause = REDIAL_MIN_MS
    this.#handler.up(hello)
  }

  #turnAway(reason: string): void {
    this.#connection!.close(reason)
    if (reason === this.#foreign) return
    this.#foreign = reason
    this.#handler.foreign(reason)
  }

  send(frame: LinkFrame): void {
    if (this.#up) this.#connection!.send(frame)
  }

  #closed(reason: string): void {
    const wasUp = this.#up
    this.#up = false
    this.#connection = null
    if (!this.#closing) {
      this.#timer = setTimeout(() => this.#dial(), wasUp ? 0 : this.#pause)
      if (!wasUp) this.#pause = Math.min(this.#pause * 2, REDIAL_MAX_MS)
    }
    if (wasUp) this.#handler.down(reason)
  }

  close(): void {
    this.#closing = true
    if (this.#timer) clearTimeout(this.#timer)
    this.#connection?.close('this side stops')
  }
}
