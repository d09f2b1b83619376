// The cluster's own data as a state machine: its members, its fragments, and where each fragment is placed.
import { Reader, type Writer } from '../wire/bytes.ts'
import { type Dialect, str16, u16 } from '../wire/fields.ts'
import { type MessageOf, Registry, readFields, table, writeFields } from '../wire/message.ts'

/** A node becomes a member, or comes back under other addresses. */
export const NodeJoined = table(1, 'nodeJoined', { name: str16, link: str16, http: str16 })
export const NodeLeft = table(2, 'nodeLeft', { name: str16 })
/** The fragments that a cluster is born with: 0 to count - 1. */
export const FragmentsCreated = table(3, 'fragmentsCreated', { count: u16 })
/** The replicas of a fragment by name, a comma between two: who comes first is to lead it, the others take over in this order. */
export const Placed = table(4, 'placed', { fragment: u16, nodes: str16 })

const effects = new Registry([NodeJoined, NodeLeft, FragmentsCreated, Placed])
export type MetaEffect = MessageOf<(typeof effects.tables)[number]>

const DIALECT: Dialect = { version: 1, shortMsg: false }

export interface Member {
  readonly name: string
  /** `host:port` for gateways and other nodes. */
  readonly link: string
  /** `host:port` of its HTTP side. */
  readonly http: string
}

export class Meta {
  /** In the order in which they joined. */
  readonly members = new Map<string, Member>()
  fragments = 0
  /** Names, the one that is to lead first. */
  readonly placement = new Map<number, readonly string[]>()

  apply(effect: MetaEffect): void {
    switch (effect.type) {
      case NodeJoined.code: {
        const { name, link, http } = effect
        this.members.set(name, { name, link, http })
        return
      }
      case NodeLeft.code:
        this.members.delete(effect.name)
        return
      case FragmentsCreated.code:
        this.fragments = effect.count
        return
      case Placed.code:
        this.placement.set(effect.fragment, effect.nodes === '' ? [] : effect.nodes.split(','))
    }
  }

  nodesOf(fragment: number): readonly string[] {
    return this.placement.get(fragment) ?? []
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
