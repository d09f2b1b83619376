// The sides of a bench by their names on its command line.
import { ourCluster } from './cluster-side.ts'
import type { Options, SideName } from './options.ts'
import { ours, peer, running, type Side, stub, traced } from './servers.ts'

/** None by chance: as far away as can be said. */
const NEVER = ['--snapshot-interval', '86400', '--snapshot-records', '1000000000', '--snapshot-bytes', '100000000000']

export function sideOf(name: SideName, o: Options): Side {
  const { dir, kv, running: address, runningHttpPort } = o
  switch (name) {
    case 'ours':
      return address === undefined ? ours(dir, { kv }) : running(address, runningHttpPort)
    case 'etcd':
    case 'redis':
      return ourCluster(name, 3)
    case 'calm':
      return ours(dir, { kv, name: 'no snapshots', options: NEVER })
    case 'snapshots':
      return ours(dir, { kv, name: 'snapshots', options: ['--snapshot-interval', '2'] })
    case 'peer':
      return peer(dir, { ...o.peer, logLevel: 'WARN' }, 'peer')
    case 'peer-info':
      return peer(dir, { ...o.peer, logLevel: 'INFO' }, 'peer INFO')
    case 'stub':
      return stub()
  }
}

/** @param collector where spans go */
export function sidesOf(o: Options, collector: string | null): Side[] {
  const withTraces = o.traced.map((share) => traced(o.dir, o.kv, share, collector!, o.traceLimit))
  return [...o.sides.map((name) => sideOf(name, o)), ...withTraces]
}
