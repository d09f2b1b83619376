// The dialling end of a link: connects, says who it is, and dials again when the link is down.
import { parseAddress } from './address.ts'
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
  /** A node that the other side may be reached through, `host:port`; undefined: there is none. Asked when it cannot be reached itself. */
  through?(): string | undefined
}

const CONNECT_MS = 1_000
const REDIAL_MIN_MS = 20
const REDIAL_MAX_MS = 500
/** A link that ended after such a silence is dialled through another node first, ms: the way itself may be broken. */
const LONG_SILENCE_MS = 1_000
/** How often it is tried whether a node can be reached without another in between, ms. */
const DIRECT_MS = 10_000

export class DialledLink {
  readonly address: string
  readonly #identity: Identity
  readonly #runtime: Runtime
  readonly #handler: DialHandler
  #connection: LinkConnection | null = null
  #up = false
  #closing = false
  #pause = REDIAL_MIN_MS
  #foreign = ''
  #timer: (() => void) | null = null
  #throughNext = false
  /** The node in between, if there is one. */
  #through: string | undefined
  #key!: LinkKey
  #hello: MessageOf<typeof Hello> | null = null

  /** @param address `host:port` */
  constructor(address: string, identity: Identity, runtime: Runtime, handler: DialHandler) {
    this.address = address
    this.#identity = identity
    this.#runtime = runtime
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

  /** The node in between; undefined: there is none. */
  get through(): string | undefined {
    return this.#up ? this.#through : undefined
  }

  #dial(): void {
    this.#through = this.#throughNext ? this.#handler.through?.() : undefined
    const through = this.#through
    const address = parseAddress(through ?? this.address)
    if (!address) return this.#handler.foreign('that is no HOST:PORT')
    const stream = this.#runtime.connect(address)
    const late = () => stream.destroy(new Error(`no connection within ${CONNECT_MS} ms`))
    const stop = this.#runtime.timer(CONNECT_MS, late)
    stream.on('connect', stop)
    stream.on('error', (error) => {
      if (error.code === 'ECONNREFUSED' && through === undefined) this.#handler.refused()
    })
    // The node in between says hello before it hears that it is not meant.
    let foreignHellos = through === undefined ? 0 : 1
    this.#hello = null
    this.#key = new LinkKey(this.#identity.key ?? '', 'dialler')
    this.#connection = new LinkConnection(stream, this.#runtime, {
      frame: (frame) => {
        if (this.#up) return this.#handler.frame(frame)
        if (frame.type === Hello.code && foreignHellos-- <= 0) this.#helloCame(frame)
        else if (frame.type === Proof.code) this.#proven(frame.mac)
      },
      closed: (reason) => {
        stop()
        this.#closed(reason)
      }
    })
    if (through !== undefined) this.#connection.send({ type: Through.code, link: this.address })
    const { challenge } = this.#key
    this.#connection.send({ type: Hello.code, protocol: LINK_PROTOCOL, ...this.#identity, challenge })
  }

  #helloCame(hello: MessageOf<typeof Hello>): void {
    if (hello.protocol !== LINK_PROTOCOL) return this.#turnAway(`it speaks link protocol ${hello.protocol}`)
    if (hello.cluster !== this.#identity.cluster) return this.#turnAway(`it belongs to cluster ${hello.cluster}`)
    const trouble = this.#key.meet(hello.challenge)
    if (trouble !== null) return this.#turnAway(trouble)
    this.#hello = hello
    if (this.#key.isOpen) this.#isUp()
    else this.#connection!.send({ type: Proof.code, mac: this.#key.proof })
  }

  #proven(mac: Buffer): void {
    if (!this.#hello || !this.#key.proves(mac)) return this.#turnAway(WRONG_KEY)
    this.#isUp()
  }

  #isUp(): void {
    this.#foreign = ''
    this.#up = true
    this.#pause = REDIAL_MIN_MS
    if (this.#through !== undefined) this.#timer = this.#runtime.timer(DIRECT_MS, () => this.#tryDirect())
    this.#handler.up(this.#hello!)
  }

  /** Ends a link through another node as soon as the other side can be reached again: it is dialled itself then. */
  #tryDirect(): void {
    const address = parseAddress(this.address)!
    const connection = this.#connection
    const stream = this.#runtime.connect(address)
    const stop = this.#runtime.timer(CONNECT_MS, () => stream.destroy())
    stream.on('error', () => {})
    stream.on('close', stop)
    stream.on('connect', () => {
      if (this.#connection === connection) connection?.close('it can be reached itself')
      stream.destroy()
    })
    this.#timer = this.#runtime.timer(DIRECT_MS, () => this.#tryDirect())
  }

  #turnAway(reason: string): void {
    this.#hello = null
    this.#connection!.close(reason)
    this.#isForeign(reason)
  }

  #isForeign(reason: string): void {
    if (reason === this.#foreign) return
    this.#foreign = reason
    this.#handler.foreign(reason)
  }

  /** @param atLeisure nobody waits for it */
  send(frame: LinkFrame, atLeisure = false): void {
    if (this.#up) this.#connection!.send(frame, atLeisure)
  }

  #closed(reason: string): void {
    const wasUp = this.#up
    this.#throughNext = wasUp ? this.silence > LONG_SILENCE_MS : !this.#throughNext
    this.#up = false
    this.#timer?.()
    this.#connection = null
    if (!this.#closing) {
      this.#timer = this.#runtime.timer(wasUp ? 0 : this.#pause, () => this.#dial())
      if (!wasUp) this.#pause = Math.min(this.#pause * 2, REDIAL_MAX_MS)
    }
    if (wasUp) this.#handler.down(reason)
    // It looked at our proof and hung up before its own was here.
    else if (this.#hello && !this.#closing) this.#isForeign(WRONG_KEY)
  }

  close(): void {
    this.#closing = true
    this.#timer?.()
    this.#connection?.close('this side stops')
  }
}
