// What an operator asks of the cluster: to empty a node, to remove it for good, to let a learner lead. Any node can carry it out.
import type { Meta, MetaEffect, Role } from '../scheduler/meta.ts'
import { become, leave, type PlacementRules } from '../scheduler/place.ts'
import type { Clock } from '../wire/runtime.ts'
import type { MetaLog } from './meta-log.ts'
import type { Peers } from './peers.ts'
import type { Pulse } from './pulse.ts'

export interface MembershipOptions {
  /** Of the node that is asked. */
  readonly name: string
  readonly rules: PlacementRules
  readonly metaLog: MetaLog
  readonly peers: Peers
  readonly pulse: Pulse
  readonly clock: Clock
  /** Replicas on the node that is asked, and the fragments that it leads. */
  holds(): { readonly replicas: number; readonly leads: readonly number[] }
  /** The cluster's log has changed. */
  changed(): Promise<void>
}

/** What became of the member. Refused: why, in words. */
export type MemberAnswer =
  | { readonly node: string; readonly role: Role | 'gone'; readonly replicas: number }
  | { readonly refused: 'unknown' | 'not now'; readonly reason: string }

type Refused = Extract<MemberAnswer, { refused: unknown }>

/** How long a node that is not heard is watched in the store before it is clear whether it lives, ms. */
const LOOK_MS = 1_500
const LOOK_POLL_MS = 50

export class Membership {
  readonly #options: MembershipOptions

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  /** Moves everything from a node to the others. It is done when the answer says that it has no replicas: ask until then. */
  drain(name: string): Promise<MemberAnswer> {
    return this.#become(name, 'draining', (meta) => {
      if (meta.members.get(name)!.role === 'learner')
        return notNow(`${name} is a learner and leads nothing: remove it as it is`)
      return meta.named('member').every((other) => other === name) ? onlyOne(name) : null
    })
  }

  /** Lets a learner lead, or a node that was drained take its share again. */
  promote(name: string): Promise<MemberAnswer> {
    return this.#become(name, 'member', () => null)
  }

  /** Removes a node for good: one that is dead, that was drained, or a learner. */
  async leave(name: string): Promise<MemberAnswer> {
    const { rules } = this.#options
    const lives = await this.#lives(name)
    const refused = await this.#change(
      name,
      (meta) => {
        const { role } = meta.members.get(name)!
        const others = meta.named('member').filter((other) => other !== name)
        if (role === 'member' && others.length === 0) return onlyOne(name)
        if (!lives || role === 'learner') return null
        const replicas = this.#replicasOf(name)
        const placed = [...meta.placement.values()].some((nodes) => nodes.includes(name))
        if (!placed && replicas === 0) return null
        return notNow(`${name} lives and holds ${replicas} replicas: drain it first, or stop it`)
      },
      (meta) => leave(meta, name, rules)
    )
    return refused ?? { node: name, role: 'gone', replicas: 0 }
  }

  async #become(name: string, role: Role, check: (meta: Meta) => Refused | null): Promise<MemberAnswer> {
    const refused = await this.#change(name, check, (meta) => become(meta, name, role, this.#options.rules))
    return refused ?? { node: name, role, replicas: this.#replicasOf(name) }
  }

  /** Decided on the newest state, as often as others are faster. Resolves with why not, if not. */
  async #change(
    name: string,
    check: (meta: Meta) => Refused | null,
    effects: (meta: Meta) => MetaEffect[]
  ): Promise<Refused | null> {
    const { metaLog, changed } = this.#options
    let refused: Refused | null = null
    await metaLog.change((meta) => {
      refused = meta.members.has(name) ? check(meta) : unknown(name)
      return refused ? [] : effects(meta)
    })
    if (!refused) await changed()
    return refused
  }

  /** By its own word, and with it what it has just let go and nobody else leads yet. */
  #replicasOf(name: string): number {
    const { name: me, metaLog, peers, holds } = this.#options
    const here = holds()
    const peer = peers.get(name)
    const told = name === me ? here.replicas : peer ? peer.follows.size : 0
    let leaderless = 0
    for (let fragment = 0; fragment < metaLog.meta.fragments; fragment++) {
      const elsewhere = name !== me && here.leads.includes(fragment)
      const leader = peers.leaderOf(fragment)
      if (!elsewhere && (leader === undefined || leader.peer.name === name)) leaderless++
    }
    return Math.max(told, leaderless)
  }

  async #lives(name: string): Promise<boolean> {
    const { name: me, peers, pulse, clock } = this.#options
    if (name === me) return true
    for (const until = clock.now() + LOOK_MS; clock.now() < until; await clock.sleep(LOOK_POLL_MS)) {
      const peer = peers.get(name)
      if (peer?.alive) return true
      if (!peer || peer.dead || pulse.isStill(name)) return false
    }
    return true
  }
}

function unknown(name: string): Refused {
  return { refused: 'unknown', reason: `there is no node ${name} in the cluster` }
}

function notNow(reason: string): Refused {
  return { refused: 'not now', reason }
}

function onlyOne(name: string): Refused {
  return notNow(`${name} is the only node that can lead: nobody is there to take its fragments`)
}
