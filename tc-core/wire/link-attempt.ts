// One attempt at a link: connects to a node, itself or through another, and says who this is. It is up when the node has done the same.
import type { Address } from './address.ts'
import { LinkConnection } from './link-connection.ts'
import { Hello, LINK_PROTOCOL, type LinkFrame, type LinkRole, Proof, Through } from './link-frames.ts'
import { LinkKey, WRONG_KEY } from './link-key.ts'
import type { MessageOf } from './message.ts'
import type { Runtime } from './runtime.ts'

/** Who says hello. */
export interface Identity {
  readonly role: (typeof LinkRole)[keyof typeof LinkRole]
  readonly cluster: string
  readonly name: string
  /** Drawn anew with every start of the process. */
  readonly writer: bigint
  /** The cluster's key; empty or not given: there is none. */
  readonly key?: string
}

export interface AttemptOptions {
  readonly identity: Identity
  readonly runtime: Runtime
  /** Where to connect. */
  readonly address: Address
  /** `host:port` of the node. */
  readonly link: string
  /** `host:port` of the node in between, which listens at `address` then; undefined: there is none. */
  readonly through: string | undefined
}

export interface AttemptHandler {
  /** The other side said hello, and belongs to the same cluster. */
  up(hello: MessageOf<typeof Hello>): void
  /** Only once it is up. */
  frame(frame: LinkFrame): void
  /** It is up, and nothing comes: said again and again. */
  quiet(): void
  /** Nobody listens there. */
  refused(): void
  /** Who listens there is none of ours. */
  foreign(reason: string): void
  /** Once, whether it was up or not. */
  closed(reason: string): void
}

/** How long it may take to connect, ms. */
const CONNECT_MS = 1_000
/** And until it is up, ms: who is frozen, or cut off, is connected to all the same. */
const UP_MS = 1_500

export class Attempt {
  readonly through: string | undefined
  isUp = false
  readonly #identity: Identity
  readonly #handler: AttemptHandler
  readonly #key: LinkKey
  readonly #connection: LinkConnection
  #hello: MessageOf<typeof Hello> | null = null

  constructor({ identity, runtime, address, link, through }: AttemptOptions, handler: AttemptHandler) {
    this.through = through
    this.#identity = identity
    this.#handler = handler
    const stream = runtime.connect(address)
    const late = (ms: number) =>
      runtime.timer(ms, () => this.isUp || stream.destroy(new Error(`no connection within ${ms} ms`)))
    const stopConnecting = late(CONNECT_MS)
    const stopWaiting = late(UP_MS)
    stream.on('connect', stopConnecting)
    stream.on('error', (error) => {
      if (error.code === 'ECONNREFUSED' && through === undefined) handler.refused()
    })
    // The node in between says hello before it hears that it is not meant.
    let foreignHellos = through === undefined ? 0 : 1
    this.#key = new LinkKey(identity.key ?? '', 'dialler')
    this.#connection = new LinkConnection(stream, runtime, {
      frame: (frame) => {
        if (this.isUp) return handler.frame(frame)
        if (frame.type === Hello.code && foreignHellos-- <= 0) this.#helloCame(frame)
        else if (frame.type === Proof.code) this.#proven(frame.mac)
      },
      quiet: () => this.isUp && handler.quiet(),
      closed: (reason) => {
        stopConnecting()
        stopWaiting()
        // It looked at our proof and hung up before its own was here.
        if (this.#hello && !this.isUp) handler.foreign(WRONG_KEY)
        handler.closed(reason)
      }
    })
    if (through !== undefined) this.#connection.send({ type: Through.code, link })
    this.#connection.send({ type: Hello.code, protocol: LINK_PROTOCOL, ...identity, challenge: this.#key.challenge })
  }

  #helloCame(hello: MessageOf<typeof Hello>): void {
    if (hello.protocol !== LINK_PROTOCOL) return this.#turnAway(`it speaks link protocol ${hello.protocol}`)
    if (hello.cluster !== this.#identity.cluster) return this.#turnAway(`it belongs to cluster ${hello.cluster}`)
    const trouble = this.#key.meet(hello.challenge)
    if (trouble !== null) return this.#turnAway(trouble)
    this.#hello = hello
    if (this.#key.isOpen) this.#isUp(hello)
    else this.#connection.send({ type: Proof.code, mac: this.#key.proof })
  }

  #proven(mac: Buffer): void {
    if (!this.#hello || !this.#key.proves(mac)) return this.#turnAway(WRONG_KEY)
    this.#isUp(this.#hello)
  }

  #isUp(hello: MessageOf<typeof Hello>): void {
    this.isUp = true
    this.#handler.up(hello)
  }

  #turnAway(reason: string): void {
    this.#hello = null
    this.#connection.close(reason)
    this.#handler.foreign(reason)
  }

  /** Nothing has come for longer than a living node keeps quiet. */
  get isQuiet(): boolean {
    return this.#connection.isQuiet
  }

  /** Ms since the other side was heard. */
  get silence(): number {
    return this.#connection.silence
  }

  /** @param atLeisure nobody waits for it */
  send(frame: LinkFrame, atLeisure = false): void {
    this.#connection.send(frame, atLeisure)
  }

  close(reason: string): void {
    this.#connection.close(reason)
  }
}
