// The home of a row: the fragment that guards it, by consistent hashing over the fragments that the cluster was born with.
// It must never change while a cluster lives: two transactions that looked in two places could own one row.
import { crc32 } from 'node:zlib'
import HashRing from 'hashring'

/** The fragment that guards a row. */
export interface LockHomes {
  of(resourceId: string, table: string, pk: string): number
}

/** What a cluster was born with, and keeps. */
export interface Birth {
  /** They are numbered from 0. */
  readonly fragments: number
  /** The rows of a table are in so many parts, and those of one part have one home; 0: every row is placed by itself. */
  readonly lockParts: number
}

/** Whether one looks for the home of a table: where there is one fragment all is there, and in several parts a table has several. */
export function tablesHaveHomes({ fragments, lockParts }: Birth): boolean {
  return fragments > 1 && lockParts === 1
}

/** So many are spread evenly over as many fragments as there can be. */
export const MAX_LOCK_PARTS = 1024

const VIRTUAL_NODES = 256
/** Parts of tables whose homes are remembered, and characters of their names: to find one on the ring takes an MD5. */
const MAX_REMEMBERED = 4096
const MAX_NAME = 512

/**
 * One part a table: what a transaction locks in a table has one home, which is asked once, and what many lock at the same time is one record of
 * its log. The guard of a table does little for each row; a table that is too much even so is made of more parts.
 */
export function lockHomes({ fragments, lockParts }: Birth): LockHomes {
  const names = Array.from({ length: fragments }, (_, fragment) => `home-${fragment}`)
  const byName = new Map(names.map((name, fragment) => [name, fragment]))
  const ring = new HashRing(names, 'md5', { 'vnode count': VIRTUAL_NODES, 'max cache size': 1 })
  const find = (key: string) => byName.get(ring.get(key))!
  // Rows are many and come seldom twice: remembering them would only cost.
  if (lockParts === 0) return { of: (resourceId, table, pk) => find(`${resourceId}^^^${table}^^^${pk}`) }
  const known = new Map<string, number>()
  return {
    of(resourceId, table, pk) {
      const key = `${resourceId}^^^${table}^^^${lockParts === 1 ? 0 : crc32(pk) % lockParts}`
      let home = known.get(key)
      if (home !== undefined) return home
      home = find(key)
      if (key.length > MAX_NAME) return home
      if (known.size >= MAX_REMEMBERED) known.clear()
      known.set(key, home)
      return home
    }
  }
}
