// The home of a row: the fragment that guards it, by consistent hashing over the fragments that the cluster was born with.
// It must never change while a cluster lives: two transactions that looked in two places could own one row.
import HashRing from 'hashring'
import { ALL_HERE, type Homes } from '../core/homes.ts'

const VIRTUAL_NODES = 256

/** @param fragments that the cluster was born with: 0 to `fragments` - 1 */
export function homesOf(fragments: number): Homes {
  if (fragments <= 1) return ALL_HERE
  const names = Array.from({ length: fragments }, (_, fragment) => `home-${fragment}`)
  const byName = new Map(names.map((name, fragment) => [name, fragment]))
  // Rows are many and come seldom twice: a cache of them would only cost.
  const ring = new HashRing(names, 'md5', { 'vnode count': VIRTUAL_NODES, 'max cache size': 1 })
  return { of: (resourceId, table, pk) => byName.get(ring.get(`${resourceId}^^^${table}^^^${pk}`))! }
}
