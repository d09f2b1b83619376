// What clusters should do that do not fit on this machine: from the CPU that a transaction takes of gateway, nodes and store, measured
// with three nodes on this one.
import { formatted } from './report.ts'
import type { Measured } from './results.ts'
import type { Round, RoundOptions } from './round.ts'
import type { Server } from './servers.ts'

/** Cores that one process can use: Node's and Redis' do one thing at a time, etcd's members share their work out. */
const CORES = { gateway: 1, node: 1, etcd: 4, redis: 1 }
const ETCD_MEMBERS = 3
/** Beyond this share of a core queues grow. */
const USE = 0.7
const NODES = [3, 9, 30]

interface Costs {
  /** CPU µs per transaction, of all processes of a kind together. */
  readonly gateway: number
  readonly nodes: number
  readonly store: number
  readonly appends: number
}

function costsOf({ roleCpuSeconds, appends, transactions }: Round): Costs {
  const us = (role: string) => ((roleCpuSeconds[role] ?? 0) / transactions) * 1e6
  return { gateway: us('gateway'), nodes: us('nodes'), store: us('store'), appends: (appends ?? 0) / transactions }
}

/** Transactions per second that each kind can do, with a gateway beside every node. */
function limits(nodes: number, store: 'etcd' | 'redis', costs: Costs): Record<string, number> {
  const perSecond = (cores: number, us: number) => (cores * USE * 1e6) / us
  // Every member of etcd has all writes to do.
  const storeCost = store === 'etcd' ? costs.store / ETCD_MEMBERS : costs.store
  return {
    gateways: perSecond(nodes * CORES.gateway, costs.gateway),
    nodes: perSecond(nodes * CORES.node, costs.nodes),
    store: perSecond(CORES[store], storeCost)
  }
}

export async function model(
  start: (store: string) => Promise<Server>,
  run: (server: Server, more: Partial<RoundOptions>) => Promise<Round>,
  commit: string
): Promise<Record<string, Measured>> {
  const measured: Record<string, Measured> = {}
  for (const store of ['etcd', 'redis'] as const) {
    console.log(` ${store}:`)
    const server = await start(store)
    await run(server, { seconds: 1 })
    const round = await run(server, { warmup: 1 })
    await server.stop()
    const costs = costsOf(round)
    const us = (value: number) => formatted(value, 0)
    const rows = NODES.map((nodes) => {
      const all = limits(nodes, store, costs)
      const [first] = Object.entries(all).sort(([, a], [, b]) => a - b)
      return [String(nodes), ...Object.values(all).map(us), us(first![1]), first![0]]
    })
    const formula = `With ${us(costs.gateway)} µs of CPU per transaction of the gateway, ${us(costs.nodes)} µs of the nodes and ${us(costs.store)} µs of the store, ${formatted(costs.appends, 2)} appends each: measured with one AT branch on three nodes here.`
    const rule = `A kind of process can do (processes × cores each × ${USE}) / CPU per transaction: one core for a gateway, a node and Redis, ${CORES.etcd} for each of etcd's members, which share nothing of the work; one gateway beside each node; the rows are of several tables, or of one in parts.`
    const table = {
      title: `Over ${store === 'etcd' ? 'etcd of three members' : 'one Redis'}`,
      what: `${formula} ${rule}`,
      head: ['nodes', 'gateways could, tx/s', 'nodes could', 'the store could', 'should do', 'limited first by'],
      rows
    }
    console.log(rows.map((row) => `  ${row.join('  ')}`).join('\n'))
    measured[store] = { date: new Date().toISOString(), commit, table, raw: { costs, round } }
  }
  return measured
}
