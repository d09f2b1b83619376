// The leader of the store that bench:failover kills: etcd's own, or that of another store by commands of whoever has it.
import { exec } from 'node:child_process'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { parseRedisUrl, splitNode } from '../../tc-core/storage/redis-url.ts'
import type { EtcdServers } from '../kv/etcd.ts'

export interface StoreSettings {
  /** `etcd` for three members on this machine, or the address of a store. */
  readonly kv: string
  /** Of a store that is not etcd: commands that kill its leader, and that start what is dead. Both end when that is done. */
  readonly kvKill: string
  readonly kvStart: string
}

/** How long one member is waited for, and how long after one round the next begins, ms. */
const PROBE_MS = 200
const AGAIN_MS = 5
/** A store that elects nobody for so long will not, ms. */
const ELECTION_MS = 60_000

/** Kills the leader, and waits until another takes a write from a client that is not ours. Answers what starts it again. */
export async function killStoreLeader(settings: StoreSettings, etcd: EtcdServers | null): Promise<() => unknown> {
  if (etcd) {
    const leader = await etcd.leader(3)
    const other = (leader + 1) % 3
    await etcd.kill(leader)
    await until(() => etcd.ask(other, '/v3/kv/put', { key: 'cHJvYmU=', value: 'MQ==' }))
    return () => etcd.restart(leader)
  }
  const { nodes } = parseRedisUrl(settings.kv)
  await promisify(exec)(settings.kvKill)
  await until(() => Promise.any(nodes.map(takesWrite)))
  return () => promisify(exec)(settings.kvStart)
}

async function until(written: () => Promise<unknown>): Promise<void> {
  const end = performance.now() + ELECTION_MS
  while (!(await written().catch(() => null))) {
    if (performance.now() > end) throw new Error(`no member took a write for ${ELECTION_MS} ms`)
    await sleep(AGAIN_MS)
  }
}

/** Rejects when this member does not. */
function takesWrite(node: string): Promise<true> {
  const { host, port } = splitNode(node)
  return new Promise((resolve, reject) => {
    const socket = connect(port, host, () => socket.write('SET probe 1\r\n'))
    socket.setTimeout(PROBE_MS, () => socket.destroy())
    socket.once('data', (reply) => {
      if (reply.toString().startsWith('+OK')) resolve(true)
      socket.destroy()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error(`${node} takes no write`)))
  })
}
