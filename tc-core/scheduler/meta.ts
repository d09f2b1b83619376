// The cluster's own data as a state machine: its members, its fragments, and where each fragment is placed.
import { Reader, type Writer } from '../wire/bytes.ts'
import { type Dialect, str16, u8, u16 } from '../wire/fields.ts'
import { type MessageOf, Registry, readFields, table, writeFields } from '../wire/message.ts'

/** A node becomes a member, or comes back under other addresses. */
export const NodeJoined = table(1, 'nodeJoined', { name: str16, link: str16, http: str16 })
export const NodeLeft = table(2, 'nodeLeft', { name: str16 })
/** The fragments that a cluster is born with: 0 to count - 1. */
export const FragmentsCreated = table(3, 'fragmentsCreated', { count: u16 })
/** The replicas of a fragment by name, a comma between two: who comes first is to lead it, the others take over in this order. */
export const Placed = table(4, 'placed', { fragment: u16, nodes: str16 })
/** What a member is for from now on: its place in ROLES. */
export const NodeRole = table(5, 'nodeRole', { name: str16, role: u8 })
/** In how many parts the rows of a table are: see wire/lock-homes.ts. Clusters that were born before there were parts have no such record. */
export const TablesParted = table(6, 'tablesParted', { parts: u16 })

/**
 * `member`: holds replicas and leads. `learner`: follows every fragment and never leads. `draining`: its replicas move to others, and it gets
 * no new ones. The order is the log's.
 */
export const ROLES = ['member', 'learner', 'draining'] as const
export type Role = (typeof ROLES)[number]

const effects = new Registry([NodeJoined, NodeLeft, FragmentsCreated, Placed, NodeRole, TablesParted])
export type MetaEffect = MessageOf<(typeof effects.tables)[number]>

const DIALECT: Dialect = { version: 1, shortMsg: false }

export interface Member {
  readonly name: string
  /** `host:port` for gateways and other nodes. */
  readonly link: string
  /** `host:port` of its HTTP side. */
  readonly http: string
  readonly role: Role
}

export class Meta {
  /** In the order in which they joined. */
  readonly members = new Map<string, Member>()
  fragments = 0
  lockParts = 0
  /** Names, the one that is to lead first. */
  readonly placement = new Map<number, readonly string[]>()

  apply(effect: MetaEffect): void {
    switch (effect.type) {
      case NodeJoined.code: {
        const { name, link, http } = effect
        this.members.set(name, { name, link, http, role: this.members.get(name)?.role ?? 'member' })
        return
      }
      case NodeRole.code: {
        const member = this.members.get(effect.name)
        if (member) this.members.set(effect.name, { ...member, role: ROLES[effect.role] ?? 'member' })
        return
      }
      case NodeLeft.code:
        this.members.delete(effect.name)
        return
      case FragmentsCreated.code:
        this.fragments = effect.count
        return
      case TablesParted.code:
        this.lockParts = effect.parts
        return
      case Placed.code:
        this.placement.set(effect.fragment, effect.nodes === '' ? [] : effect.nodes.split(','))
    }
  }

  /** Who may lead a fragment, the one that is to first. */
  candidatesOf(fragment: number): readonly string[] {
    return this.placement.get(fragment) ?? []
  }

  /** Who follows a fragment: those that may lead it, and every learner. */
  nodesOf(fragment: number): readonly string[] {
    return [...this.candidatesOf(fragment), ...this.named('learner')]
  }

  /** The nodes of one role. */
  named(role: Role): string[] {
    return [...this.members.values()].filter((member) => member.role === role).map(({ name }) => name)
  }
}

export function writeMeta(w: Writer, list: readonly MetaEffect[]): void {
  for (const effect of list) {
    w.u8(effect.type)
    writeFields(effects.find(effect.type)!, w, effect, DIALECT)
  }
}

/** Throws when a newer version wrote what this one does not know. */
export function readMeta(payload: Buffer, take: (effect: MetaEffect) => void): void {
  const r = new Reader(payload)
  while (r.left > 0) {
    const code = r.u8()
    const t = effects.find(code)
    if (!t) throw new Error(`meta effect ${code} is not known to this version`)
    take(readFields(t, r, DIALECT) as MetaEffect)
  }
}
