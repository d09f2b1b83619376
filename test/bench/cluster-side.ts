// Our cluster as a side of the bench: nodes and one gateway as processes, over a store that is started for it and counted with it.
import { EtcdServers } from '../kv/etcd.ts'
import { RedisServer } from '../kv/redis-server.ts'
import type { Server, Side } from './servers.ts'
import { startNode } from './servers.ts'

interface Store {
  readonly url: string
  readonly pids: readonly number[]
  end(): Promise<void>
}

const STORES: Readonly<Record<string, { readonly what: string; start(): Promise<Store> }>> = {
  etcd: {
    what: 'etcd of three members',
    async start() {
      const servers = await EtcdServers.start()
      return { url: servers.url, pids: servers.pids, end: () => servers.stop() }
    }
  },
  redis: {
    what: 'one redis-server with appendfsync always',
    async start() {
      const server = await RedisServer.start()
      const url = `redis://127.0.0.1:${server.port}?reads=linearizable`
      return { url, pids: [server.pid!], end: () => server.end() }
    }
  }
}

export const STORE_NAMES = Object.keys(STORES)

const NODE = ['plugin/cli.ts', 'node', '--link', '127.0.0.1:0', '--http-port', '0']

/** @param store one of {@link STORE_NAMES}
 * @param options further ones of every node */
export function ourCluster(store: string, nodes: number, options: readonly string[] = []): Side {
  const { what, start } = STORES[store]!
  return {
    name: `ours ${store}`,
    what: `fastify-seata, ${nodes} nodes and a gateway over ${what}`,
    async start() {
      const kv = await start()
      const killStore = () => kv.pids.forEach(kill)
      process.once('exit', killStore)
      const started: Server[] = []
      for (let i = 1; i <= nodes; i++) {
        started.push(await startNode(`n${i}`, [...NODE, ...options, '--name', `n${i}`, '--kv', kv.url], null))
      }
      const links = started.map(({ host, port }) => `${host}:${port}`).join(',')
      const gateway = ['plugin/cli.ts', 'gateway', '--nodes', links, '--port', '0', '--http-port', '0']
      const front = await startNode(`ours ${store}`, gateway, null)
      const nodePids = started.flatMap(({ pids }) => pids)
      return {
        ...front,
        healthPorts: [...front.healthPorts, ...started.flatMap(({ healthPorts }) => healthPorts)],
        pids: [...kv.pids, ...nodePids, ...front.pids],
        roles: { gateway: front.pids, nodes: nodePids, store: kv.pids },
        async stop() {
          await front.stop()
          await Promise.all(started.map((node) => node.stop()))
          await kv.end()
          process.off('exit', killStore)
        }
      }
    }
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended before.
  }
}
