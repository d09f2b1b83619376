// The other nodes, as this one sees them: a link to each, what each leads by its own word, and whether it lives.
import { DialledLink, type Identity } from '../wire/link-dial.ts'
import * as f from '../wire/link-frames.ts'
import type { Log } from '../wire/log.ts'
import type { Runtime } from '../wire/runtime.ts'

/** A node that was not heard for so long may be frozen or cut off, ms. */
export const SILENT_MS = 450
/** And for so long, it is time to look at its pulse: that takes a while to tell. */
const QUIET_MS = 200

export interface PeersOptions {
  readonly identity: Identity
  readonly logger: Log
  readonly runtime: Runtime
  /** Something about a peer changed that may need a new leader somewhere. */
  changed(): void
  /** The link to a peer is up: it knows nothing yet. */
  up(peer: Peer): void
}

/** What a node says of itself. It may come before this node has heard that there is a new member. */
interface Word {
  /** The link that it dialled last. */
  over: unknown
  /** It has said what it leads since its link is up: before, nothing is known of it. */
  introduced: boolean
  ready: boolean
  leads: ReadonlyMap<number, number>
  follows: ReadonlyMap<number, number>
}

export class Peer {
  readonly name: string
  readonly #link: DialledLink
  readonly #word: Word
  /** Of the process there, by its hello; see Heir. */
  writer = 0n
  /** Its process is gone: its link broke, and nobody listens where it did. */
  dead = false
  /** It was taken for dead and was not: until there is a link again, connections that are refused prove nothing. */
  #refusesOnly = false

  constructor(name: string, address: string, word: Word, options: PeersOptions) {
    this.name = name
    this.#word = word
    const { logger } = options
    this.#link = new DialledLink(address, options.identity, options.runtime, {
      up: (hello) => {
        this.dead = this.#refusesOnly = false
        this.writer = hello.writer
        logger.info({ peer: name, address }, 'the link to a node is up')
        options.up(this)
        options.changed()
      },
      frame: () => {},
      down: (reason) => {
        word.introduced = false
        logger.warn({ peer: name, address, reason }, 'the link to a node is down')
        options.changed()
      },
      refused: () => {
        if (this.dead || this.#refusesOnly) return
        this.dead = true
        word.leads = new Map()
        word.follows = new Map()
        options.changed()
      },
      foreign: (reason) => logger.error({ peer: name, address, reason }, 'the address of a node is not of this cluster')
    })
  }

  /** It has done something since it was taken for dead. */
  lives(): void {
    if (!this.dead) return
    this.dead = false
    this.#refusesOnly = true
  }

  get address(): string {
    return this.#link.address
  }

  get isUp(): boolean {
    return this.#link.isUp
  }

  get introduced(): boolean {
    return this.#word.introduced
  }

  /** The fragments that it leads and serves, with their terms. */
  get leads(): ReadonlyMap<number, number> {
    return this.#word.leads
  }

  /** The fragments that it holds, and how far it has read or written. */
  get follows(): ReadonlyMap<number, number> {
    return this.#word.follows
  }

  /** Heard a moment ago, and known for what it leads. */
  get alive(): boolean {
    return this.introduced && this.#link.silence < SILENT_MS
  }

  /** It is alive, and its store answers it. */
  get ready(): boolean {
    return this.alive && this.#word.ready
  }

  /** Longer without a word than a living node is. */
  get quiet(): boolean {
    return !this.dead && (!this.introduced || this.#link.silence > QUIET_MS)
  }

  /** @param atLeisure nobody waits for it */
  send(frame: f.LinkFrame, atLeisure = false): void {
    this.#link.send(frame, atLeisure)
  }

  close(): void {
    this.#link.close()
  }
}

export class Peers {
  readonly #options: PeersOptions
  readonly #peers = new Map<string, Peer>()
  readonly #words = new Map<string, Word>()

  constructor(options: PeersOptions) {
    this.#options = options
  }

  get all(): Iterable<Peer> {
    return this.#peers.values()
  }

  get(name: string): Peer | undefined {
    return this.#peers.get(name)
  }

  /** The members of the cluster besides this node: dials who is new or has moved, lets go who left. */
  set(members: Iterable<{ readonly name: string; readonly link: string }>): void {
    const names = new Set<string>()
    for (const { name, link } of members) {
      if (name === this.#options.identity.name) continue
      names.add(name)
      const peer = this.#peers.get(name)
      if (peer?.address === link) continue
      peer?.close()
      this.#peers.set(name, new Peer(name, link, this.#word(name), this.#options))
    }
    for (const [name, peer] of this.#peers) {
      if (names.has(name)) continue
      peer.close()
      this.#peers.delete(name)
      this.#words.delete(name)
    }
  }

  tell(frame: f.LinkFrame): void {
    for (const peer of this.#peers.values()) peer.send(frame)
  }

  /** To some of them, at leisure. */
  pass(names: readonly string[], frame: f.LinkFrame): void {
    for (const name of names) this.#peers.get(name)?.send(frame, true)
  }

  /** A peer has dialled. Returns what to call when that link is gone. */
  came(name: string): () => void {
    const word = this.#word(name)
    const over = {}
    word.over = over
    return () => {
      if (word.over !== over) return
      word.introduced = false
      this.#options.changed()
    }
  }

  /** Takes in what a peer says of itself, over the link that it dialled. */
  told(name: string, frame: f.LinkFrame): void {
    const word = this.#word(name)
    const marks = (list: readonly f.FragmentMark[]) => new Map(list.map(({ fragment, mark }) => [fragment, mark]))
    if (frame.type === f.Follows.code) {
      word.ready = frame.ready
      word.follows = marks(frame.list)
    }
    if (frame.type !== f.Leads.code) return
    word.leads = marks(frame.list)
    word.introduced = true
    this.#options.changed()
  }

  /** A peer said that it hands a fragment over: that comes before its next word on what it leads. */
  stoppedLeading(name: string, fragment: number): void {
    const word = this.#word(name)
    word.leads = new Map([...word.leads].filter(([led]) => led !== fragment))
  }

  #word(name: string): Word {
    let word = this.#words.get(name)
    if (!word)
      this.#words.set(
        name,
        (word = { over: null, introduced: false, ready: false, leads: new Map(), follows: new Map() })
      )
    return word
  }

  /** The peer that leads a fragment by its own word, the one of the highest term. */
  leaderOf(fragment: number): { peer: Peer; term: number } | undefined {
    let best: { peer: Peer; term: number } | undefined
    for (const peer of this.#peers.values()) {
      const term = peer.leads.get(fragment)
      if (term !== undefined && peer.isUp && (best === undefined || term > best.term)) best = { peer, term }
    }
    return best
  }

  close(): void {
    for (const peer of this.#peers.values()) peer.close()
  }
}
