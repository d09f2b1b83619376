// The replicas on one node: which it follows, which it leads, when it takes the lead and when it hands it on.
import type { Meta } from '../scheduler/meta.ts'
import type { LinkRequest } from '../wire/link.ts'
import * as f from '../wire/link-frames.ts'
import type { Clock } from '../wire/runtime.ts'
import { type ElectionView, inDoubt, shouldLead } from './election.ts'
import type { FragmentHost } from './fragment-host.ts'
import type { FragmentHealth } from './fragment-options.ts'
import type { Peers } from './peers.ts'
import type { Pulse } from './pulse.ts'

export interface ReplicasOptions {
  readonly name: string
  readonly clock: Clock
  readonly meta: Meta
  readonly peers: Peers
  readonly pulse: Pulse
  /** Ms for which the store has left this node without an answer. */
  storeSilence(): number
  create(fragment: number): FragmentHost
}

/** How often a follower that hears nothing reads the log itself, and a leader looks whether it still leads, ms. */
const POLL_MS = 1_000
/** A leader that cannot serve for so long does not count as one, ms. */
const TROUBLE_MS = 200
/** How long a fragment is left to whom it was handed, ms. */
const PROMISE_MS = 500
const HAND_OVER_MS = 1_000
/** A claim that takes longer hangs, ms. */
const CLAIM_MS = 1_000
/** A replica this close behind has caught up, in records: under load thousands are written in a second, and it tells its place 50 times. */
const NEAR = 512
/** Who is to lead gets the lead back when it has been there and caught up for so long, ms: nothing moves for who comes and goes. */
const SETTLED_MS = 500
/** From one fragment that it gets back to the next, ms: a process that has just begun is slow, and only one fragment's clients wait for it. */
const RETURN_GAP_MS = 150

class Replica {
  readonly host: FragmentHost
  leaderlessSince: number
  /** Until when the lead is left to the node that it was handed to, ms. */
  promisedUntil = 0
  promisedTo = ''
  /** Until when this node should take over what it was handed, ms. */
  heirUntil = 0
  /** The term in which it led when it was looked at last; 0: it did not. */
  ledIn = 0
  /** Since when it leads and cannot serve, ms; 0: it serves. */
  troubledSince = 0
  /** When the log was read, or a record of it came, ms. */
  readAt: number
  /** Since when who is to lead could have it back, ms; 0: it could not. */
  returnableSince = 0
  moving = false
  /** When it began to claim the lead, ms. */
  claimingSince = 0

  constructor(host: FragmentHost, now: number) {
    this.host = host
    this.leaderlessSince = now
    this.readAt = now
  }
}

export class Replicas {
  readonly #options: ReplicasOptions
  readonly #replicas = new Map<number, Replica>()
  #stopping = false

  constructor(options: ReplicasOptions) {
    this.#options = options
  }

  /** Follows what is placed here, and lets go what is not. Resolves when every new one has read its log. */
  async placed(): Promise<void> {
    const { meta, name, clock, create } = this.#options
    const reading: Promise<void>[] = []
    for (let fragment = 0; fragment < meta.fragments && !this.#stopping; fragment++) {
      if (!meta.nodesOf(fragment).includes(name) || this.#replicas.has(fragment)) continue
      const host = create(fragment)
      this.#replicas.set(fragment, new Replica(host, clock.now()))
      reading.push(host.follow())
    }
    await Promise.all(reading)
  }

  async #leave(fragment: number, replica: Replica): Promise<void> {
    if (replica.host.role === 'leader') {
      const { meta } = this.#options
      const heir = meta.candidatesOf(fragment).find((node) => this.#isNear(node, fragment, replica))
      // As long as nobody has caught up it is led from here.
      if (heir === undefined) return
      await this.#handOver(fragment, replica, heir)
    }
    // It may have been placed here again meanwhile.
    if (this.#options.meta.nodesOf(fragment).includes(this.#options.name)) return
    this.#replicas.delete(fragment)
    await replica.host.stop(0)
  }

  request(request: LinkRequest): void {
    const host = this.#replicas.get(request.fragment)?.host
    if (host) host.request(request)
    else request.refuse('unavailable')
  }

  resources(resourceIds: readonly string[]): void {
    for (const { host } of this.#replicas.values()) host.resources(resourceIds)
  }

  host(fragment: number): FragmentHost | undefined {
    return this.#replicas.get(fragment)?.host
  }

  /**
   * The fragments that this node leads and serves. `handing`: and those that it is about to hand over: nobody is to claim them, though
   * requests are to wait for who leads next.
   */
  leads(handing = false): f.FragmentMark[] {
    const now = this.#options.clock.now()
    const list: f.FragmentMark[] = []
    for (const [fragment, replica] of this.#replicas) {
      const { host } = replica
      if (host.role !== 'leader' || host.leading) replica.troubledSince = 0
      else replica.troubledSince ||= now
      if (host.role !== 'leader' || (host.draining && !handing)) continue
      if (replica.troubledSince === 0 || now - replica.troubledSince < TROUBLE_MS) {
        list.push({ fragment, mark: host.term })
      }
    }
    return list
  }

  /** The store answers: who is cut off from it would only be robbed of a lead again. Who stops is waited for all the same, it hands over. */
  get #ready(): boolean {
    const troubled = [...this.#replicas.values()].some(({ troubledSince }) => troubledSince > 0)
    return !troubled && this.#options.storeSilence() < TROUBLE_MS
  }

  /** How far this node has read what it follows, and written what it leads. */
  follows(): f.LinkFrame {
    const list: f.FragmentMark[] = []
    for (const [fragment, { host }] of this.#replicas) {
      // Nothing is handed to a node that stops.
      if (this.#stopping) break
      if (host.role === 'follower' || host.role === 'leader') list.push({ fragment, mark: host.index })
    }
    return { type: f.Follows.code, ready: this.#ready, list }
  }

  /** A leader's record came. */
  appended(fragment: number, bytes: Buffer): void {
    const replica = this.#replicas.get(fragment)
    if (!replica) return
    // One that does not fit tells that others are missing: they are read at the next look.
    replica.readAt = replica.host.appended(bytes) ? this.#options.clock.now() : 0
  }

  /** The leader stopped for `to` to take over. */
  handedOver(fragment: number, index: number, to: string): void {
    const replica = this.#replicas.get(fragment)
    if (!replica) return
    const until = this.#options.clock.now() + PROMISE_MS
    if (to !== this.#options.name) {
      replica.promisedUntil = until
      replica.promisedTo = to
      return
    }
    replica.heirUntil = until
    void this.#takeOver(fragment, replica, index)
  }

  /** Looks at every replica: who should lead, who has fallen behind, what should go back to whom. */
  decide(): void {
    const { peers, pulse } = this.#options
    for (const peer of peers.all) {
      if (!peer.quiet) continue
      pulse.beat()
      pulse.isStill(peer.name)
    }
    const { meta, name } = this.#options
    if (this.#stopping) return
    for (const [fragment, replica] of this.#replicas) {
      const { role } = replica.host
      if (!meta.nodesOf(fragment).includes(name)) {
        if (!replica.moving) void this.#leave(fragment, replica)
      } else if (role === 'follower') this.#followed(fragment, replica)
      else if (role === 'leader') this.#led(fragment, replica)
      else if (role === 'candidate') this.#claiming(fragment, replica)
    }
  }

  #followed(fragment: number, replica: Replica): void {
    const { clock, meta, name, peers, pulse } = this.#options
    const { host } = replica
    const now = clock.now()
    // Who has just taken the lead from this node lives, whatever refuses connections to it: or they would take it by turns.
    if (replica.ledIn > 0 && host.term > replica.ledIn) peers.get(host.lastLeader)?.lives()
    replica.ledIn = 0
    const leader = peers.leaderOf(fragment)
    const led = leader?.peer.alive === true && leader.term >= host.term
    replica.returnableSince = 0
    if (led) replica.leaderlessSince = replica.promisedUntil = 0
    else replica.leaderlessSince ||= now
    const gone = (peer: string) => peers.get(peer)?.dead !== false || pulse.isStill(peer)
    const heir = now < replica.heirUntil && !led
    const view: ElectionView = {
      now,
      me: name,
      placement: meta.candidatesOf(fragment),
      led,
      lastLeader: host.lastLeader,
      leaderlessSince: replica.leaderlessSince,
      // Who died meanwhile is not waited for.
      promisedUntil: peers.get(replica.promisedTo)?.dead ? 0 : replica.promisedUntil,
      alive: (peer) => peers.get(peer)?.alive ?? false,
      ready: (peer) => peers.get(peer)?.ready ?? false,
      known: (peer) => peers.get(peer)?.introduced !== false || peers.get(peer)?.dead === true,
      gone
    }
    if (inDoubt(view)) replica.leaderlessSince = now
    if (heir || shouldLead(view)) void this.#claim(replica)
    else if (now - replica.readAt >= POLL_MS) {
      replica.readAt = now
      // Who leads says where the log ends: it is read when something is missing, or nobody says so.
      const end = led ? leader.peer.follows.get(fragment) : undefined
      if (end === undefined || end > host.index) void host.readOn()
    }
  }

  async #takeOver(fragment: number, replica: Replica, index: number): Promise<void> {
    if (await replica.host.takeOver(index)) replica.heirUntil = 0
    else if (replica.host.role === 'follower') this.#followed(fragment, replica)
  }

  async #claim(replica: Replica): Promise<void> {
    if (replica.moving) return
    replica.moving = true
    replica.claimingSince = this.#options.clock.now()
    try {
      if (await replica.host.lead()) replica.heirUntil = 0
    } finally {
      replica.moving = false
      replica.leaderlessSince = 0
    }
  }

  /** A claim that hangs in the store while another leads would take the lead from it when the store comes back. */
  #claiming(fragment: number, replica: Replica): void {
    const { clock, peers } = this.#options
    if (clock.now() - replica.claimingSince < CLAIM_MS) return
    const leader = peers.leaderOf(fragment)
    if (leader?.peer.alive && leader.term > replica.host.term) void replica.host.follow()
  }

  /** Who is to lead gets its fragment back. */
  #led(fragment: number, replica: Replica): void {
    replica.ledIn = replica.host.term
    if (replica.moving) return
    const { clock, meta, name, peers } = this.#options
    // Nothing to append, nothing to meet another's record by: it has to be looked for.
    if ((peers.leaderOf(fragment)?.term ?? 0) > replica.host.term) return replica.host.verify(true)
    const now = clock.now()
    const nodes = meta.nodesOf(fragment).filter((node) => node !== name)
    // Also when nobody says so: who leads may be one that does not reach this node.
    if (now - replica.readAt >= POLL_MS) {
      replica.readAt = now
      if (!nodes.every((node) => peers.get(node)?.alive)) replica.host.verify()
    }
    const [first] = meta.candidatesOf(fragment)
    if (first === undefined || first === name || !this.#isNear(first, fragment, replica)) {
      replica.returnableSince = 0
      return
    }
    replica.returnableSince ||= now
    const settled = now - replica.returnableSince - SETTLED_MS
    if (settled < 0 || settled < this.#turnOf(fragment, first) * RETURN_GAP_MS) return
    void this.#handOver(fragment, replica, first)
  }

  /** The place of a fragment among those that the same node is to lead: all who lead one now know it. */
  #turnOf(fragment: number, node: string): number {
    let turn = 0
    for (let other = 0; other < fragment; other++) if (this.#options.meta.candidatesOf(other)[0] === node) turn++
    return turn
  }

  /** Another node follows the fragment, and has caught up with this one. */
  #isNear(node: string, fragment: number, replica: Replica): boolean {
    const peer = this.#options.peers.get(node)
    const mark = peer?.ready ? peer.follows.get(fragment) : undefined
    return mark !== undefined && replica.host.index - mark <= NEAR
  }

  /** The one that is next in order, ready and close behind. */
  #heir(fragment: number): string | undefined {
    const { meta, name, peers } = this.#options
    const follows = (node: string) => peers.get(node)?.follows.get(fragment)
    const living = meta.candidatesOf(fragment).filter((node) => node !== name && peers.get(node)?.ready)
    return living.find((node) => follows(node) !== undefined) ?? living[0]
  }

  async #handOver(fragment: number, replica: Replica, to: string | undefined): Promise<void> {
    if (replica.moving) return
    replica.moving = true
    replica.returnableSince = 0
    try {
      const peer = to === undefined ? undefined : this.#options.peers.get(to)
      const heir = peer ? { node: peer.name, writer: peer.writer } : null
      const index = await replica.host.handOver(HAND_OVER_MS, heir, !this.#stopping)
      // That record is this node's own.
      if (index > 0) replica.ledIn = 0
      replica.promisedUntil = this.#options.clock.now() + PROMISE_MS
      replica.promisedTo = to ?? ''
      if (to !== undefined) this.#options.peers.tell({ type: f.HandOver.code, fragment, index, to })
    } finally {
      replica.moving = false
    }
  }

  /** Hands everything on, and lets go. */
  async stop(ms: number): Promise<void> {
    this.#stopping = true
    const leaving = [...this.#replicas].map(async ([fragment, replica]) => {
      const heir = replica.host.role === 'leader' ? this.#heir(fragment) : undefined
      if (heir !== undefined) await this.#handOver(fragment, replica, heir)
      await replica.host.stop(ms)
    })
    await Promise.all(leaving)
  }

  /** Lets go at once: nothing is handed on. */
  abort(): void {
    this.#stopping = true
    for (const { host } of this.#replicas.values()) void host.stop(0)
  }

  /** How many there are. */
  get size(): number {
    return this.#replicas.size
  }

  get health(): FragmentHealth[] {
    return [...this.#replicas.values()].map(({ host }) => host.health)
  }
}
