// The dialling end of a link: keeps one up, dials again when it is down, and goes another way when nothing comes on this one.
import { parseAddress } from './address.ts'
import { Attempt, type Identity } from './link-attempt.ts'
import type { Hello, LinkFrame } from './link-frames.ts'
import type { MessageOf } from './message.ts'
import type { Runtime } from './runtime.ts'

export type { Identity } from './link-attempt.ts'

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

const REDIAL_MIN_MS = 20
const REDIAL_MAX_MS = 500
/** How often it is tried whether a node can be reached without another in between, ms. */
const DIRECT_MS = 10_000

export class DialledLink {
  readonly address: string
  readonly #identity: Identity
  readonly #runtime: Runtime
  readonly #handler: DialHandler
  /** The link, or the attempt at it. */
  #attempt: Attempt | null = null
  /**
   * Another way to the same node: through another node when nothing comes on this one, and the straight one when this one leads through
   * another node. It becomes the link when it is up; until then all stays as it is.
   */
  #other: Attempt | null = null
  #up = false
  #closing = false
  #pause = REDIAL_MIN_MS
  #foreign = ''
  #timer: (() => void) | null = null
  #throughNext = false

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
    return this.#up ? this.#attempt!.silence : Number.POSITIVE_INFINITY
  }

  /** It is up, and nothing comes. */
  get isQuiet(): boolean {
    return this.#up && this.#attempt!.isQuiet
  }

  /** The node in between; undefined: there is none. */
  get through(): string | undefined {
    return this.#up ? this.#attempt!.through : undefined
  }

  #dial(): void {
    this.#attempt = this.#try(this.#throughNext ? this.#handler.through?.() : undefined)
  }

  #try(through: string | undefined): Attempt | null {
    const address = parseAddress(through ?? this.address)
    if (!address) {
      this.#isForeign('that is no HOST:PORT')
      return null
    }
    const options = { identity: this.#identity, runtime: this.#runtime, address, link: this.address, through }
    const attempt: Attempt = new Attempt(options, {
      up: (hello) => this.#isUp(attempt, hello),
      frame: (frame) => attempt === this.#attempt && this.#handler.frame(frame),
      quiet: () => this.#goRound(),
      refused: () => attempt === this.#attempt && this.#handler.refused(),
      foreign: (reason) => this.#closing || this.#isForeign(reason),
      closed: (reason) => this.#closed(attempt, reason)
    })
    return attempt
  }

  /** Nothing comes. The node may be frozen, and then others lead soon; or only the way to it is cut, and then there is another. */
  #goRound(): void {
    const through = this.#handler.through?.()
    if (through !== undefined && this.through === undefined) this.#other ??= this.#try(through)
  }

  #isUp(attempt: Attempt, hello: MessageOf<typeof Hello>): void {
    if (attempt === this.#other && !this.#takesOver(attempt)) return
    this.#foreign = ''
    this.#up = true
    this.#pause = REDIAL_MIN_MS
    this.#timer?.()
    if (attempt.through !== undefined) this.#goStraight()
    this.#handler.up(hello)
  }

  /** Another way to the node is open. False: the one in use is well by now, and stays. */
  #takesOver(other: Attempt): boolean {
    const former = this.#attempt!
    this.#other = null
    if (other.through !== undefined && !former.isQuiet) {
      other.close('the straight way is open again')
      return false
    }
    this.#attempt = other
    const reason = other.through === undefined ? 'it can be reached itself' : 'nothing comes, and another way is open'
    former.close(reason)
    this.#isDown(reason)
    return true
  }

  /** The other side is tried itself, at once, for it may only have started, and then now and then. */
  #goStraight(): void {
    this.#other ??= this.#try(undefined)
    this.#timer = this.#runtime.timer(DIRECT_MS, () => this.#goStraight())
  }

  #isForeign(reason: string): void {
    if (reason === this.#foreign) return
    this.#foreign = reason
    this.#handler.foreign(reason)
  }

  /** @param atLeisure nobody waits for it */
  send(frame: LinkFrame, atLeisure = false): void {
    if (this.#up) this.#attempt!.send(frame, atLeisure)
  }

  #closed(attempt: Attempt, reason: string): void {
    if (attempt === this.#other) this.#other = null
    if (attempt !== this.#attempt) return
    const wasUp = this.#up
    this.#throughNext = wasUp ? attempt.isQuiet : !this.#throughNext
    this.#timer?.()
    // Another way may be open in a moment.
    this.#attempt = this.#other
    this.#other = null
    if (!this.#closing && !this.#attempt) {
      this.#timer = this.#runtime.timer(wasUp ? 0 : this.#pause, () => this.#dial())
      if (!wasUp) this.#pause = Math.min(this.#pause * 2, REDIAL_MAX_MS)
    }
    if (wasUp) this.#isDown(reason)
  }

  #isDown(reason: string): void {
    this.#up = false
    this.#handler.down(reason)
  }

  close(): void {
    this.#closing = true
    this.#timer?.()
    this.#other?.close('this side stops')
    this.#attempt?.close('this side stops')
  }
}
