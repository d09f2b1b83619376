// Looks at the replicas of a cluster as an operator could: the same index, the same state; at rest one leader, nothing left over, and no
// more in the store than its snapshots leave there.
import { Breach } from '../core/judge.ts'
import type { Cluster } from './cluster.ts'
import type { Kv } from './kv.ts'

export class Replicas {
  readonly #cluster: Cluster
  readonly #hashes = new Map<string, { readonly hash: string; readonly node: string }>()

  constructor(cluster: Cluster) {
    this.#cluster = cluster
  }

  get #fragments(): number[] {
    return Array.from({ length: this.#cluster.options.fragments }, (_, fragment) => fragment)
  }

  /** A leader's state runs ahead of its log, a follower's is just what the log says. */
  compare(): void {
    for (const fragment of this.#fragments) {
      for (const { name, process } of this.#cluster.nodes) {
        const host = process?.fragment(fragment)
        if (host?.role !== 'follower' || host.index === 0) continue
        this.#same(`${fragment} at ${host.index}`, host.hash, name)
      }
    }
  }

  #same(what: string, hash: string, node: string): void {
    const before = this.#hashes.get(what)
    if (!before) this.#hashes.set(what, { hash, node })
    else if (before.hash !== hash) throw new Breach(`fragment ${what} is not the same on ${node} and on ${before.node}`)
  }

  /** What is not as it is at rest; empty when all is. Then leaders are compared as well. */
  left(kv: Kv): string[] {
    const left: string[] = []
    for (const fragment of this.#fragments) {
      const hosts = this.#cluster.nodes.map(({ name, process }) => ({ name, host: process?.fragment(fragment) }))
      const leaders = hosts.filter(({ host }) => host?.role === 'leader')
      if (leaders.length !== 1) left.push(`fragment ${fragment} has ${leaders.length} leaders`)
      const indexes = new Set(hosts.map(({ host }) => host?.index))
      if (indexes.size > 1) left.push(`fragment ${fragment} is at ${[...indexes]}`)
      for (const { name, host } of hosts) {
        if (!host) continue
        const { transactions, locks, trouble } = host.health
        if (transactions + locks > 0)
          left.push(`${transactions} transactions and ${locks} rows of ${fragment} at ${name}`)
        if (trouble) left.push(`trouble with ${fragment} at ${name}: ${trouble}`)
      }
      left.push(...this.#stored(kv, fragment))
    }
    if (left.length === 0) {
      for (const fragment of this.#fragments) {
        for (const { name, process } of this.#cluster.nodes) {
          const host = process!.fragment(fragment)!
          this.#same(`${fragment} at ${host.index}`, host.hash, name)
        }
      }
    }
    return left
  }

  /** Records that no snapshot covers, lead records, and what was brought back: no more than a bound. */
  #stored(kv: Kv, fragment: number): string[] {
    const prefix = `{sim:${fragment}}:e:`
    let count = 0
    for (const key of kv.values.keys()) if (key.startsWith(prefix) && !kv.returned.has(key)) count++
    return count > 600 ? [`${count} records of fragment ${fragment} in the store`] : []
  }
}
