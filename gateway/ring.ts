// Which fragment a key belongs to: a strategy, chosen by name, by default consistent hashing with 256 virtual nodes.
import { createHash } from 'node:crypto'
import HashRing from 'hashring'

export interface ShardingStrategy {
  /** The fragment of a key; the same for the same key and the same groups. */
  determineGroup(key: string): number
  getAllGroups(): readonly number[]
}

const VIRTUAL_NODES = 256

const STRATEGIES: Readonly<Record<string, (groups: readonly number[]) => ShardingStrategy>> = {
  'consistent-hash': (groups) => {
    if (groups.length <= 1) return { determineGroup: () => groups[0] ?? -1, getAllGroups: () => groups }
    const byName = new Map(groups.map((group) => [`fragment-${group}`, group]))
    // Keys are ids that come once: a cache of them would only cost.
    const ring = new HashRing([...byName.keys()], 'md5', { 'vnode count': VIRTUAL_NODES, 'max cache size': 1 })
    return { determineGroup: (key) => byName.get(ring.get(key))!, getAllGroups: () => groups }
  },
  // As even as can be; when the groups change, most keys go elsewhere.
  range: (groups) => {
    const place = (key: string) => (createHash('md5').update(key).digest().readUInt32BE() / 2 ** 32) * groups.length
    return { determineGroup: (key) => groups[Math.floor(place(key))] ?? -1, getAllGroups: () => groups }
  }
}

/** Throws when no strategy has that name. */
export function shardingStrategy(name: string, groups: readonly number[]): ShardingStrategy {
  const create = STRATEGIES[name]
  if (!create) throw new Error(`sharding strategy ${name} is none of ${Object.keys(STRATEGIES).join(', ')}`)
  return create(groups)
}
