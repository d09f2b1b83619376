// The rounds at a cluster: all scenarios while nodes are killed, and clients that find the gateways by themselves and lose one.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ClusterUnderTest } from './cluster.ts'
import type { JavaClient } from './java-client.ts'
import { runClient, type Stage } from './stage.ts'

/** Lines after which a transaction is open: the node that leads the one begun last is killed there, a second one in the same run too. */
const BLOWS: readonly (readonly string[])[] = [
  ['ok at: undo logs before the commit', 'ok timeout: accounts are changed before the timeout'],
  ['ok tm: status after begin', 'ok lock: waiter is refused the row']
]
const GATEWAY_BLOW = 'ok gateways: status while both gateways are there'
/** What the single coordinator is tried with. */
const NOT_HERE = ['xa', 'saga', 'reconnect']
/** The first Seata whose clients have the registry. */
const RAFT_SINCE = 2

/** All scenarios, with both gateways in the client's list, and leaders killed under open transactions. */
export async function runAtCluster(
  client: JavaClient,
  stage: Stage,
  cluster: ClusterUnderTest,
  skipped: readonly string[],
  round: number
): Promise<void> {
  const waiting = new Set(BLOWS[round % BLOWS.length])
  const killed: string[] = []
  const begun = new Set<string>()
  await cluster.forgetSpans()
  try {
    await runClient(
      client,
      stage,
      {
        name: 'cluster',
        feature: 'cluster',
        coordinator: cluster.grouplist,
        skipped: [...skipped, ...NOT_HERE, 'gateways']
      },
      {
        begun: (xid) => {
          begun.add(xid)
          cluster.aim(xid)
        },
        line: (text) => {
          const blow = [...waiting].find((start) => text.startsWith(start))
          if (blow === undefined) return
          waiting.delete(blow)
          const node = cluster.strike()
          if (node !== null) killed.push(`${node} after "${blow}"`)
        }
      }
    )
  } finally {
    await cluster.mend()
  }
  const what = `cluster: nodes killed while ${client.version} ran, and nothing left: ${killed.join(', ') || 'none'}`
  stage.tally.check(killed.length > 0, what)
  const { transactions, complaints } = await cluster.traces()
  const told = `tracing: one trace for each of ${transactions} transactions of a client that traces nothing, and nothing wrong with it`
  stage.tally.check(transactions >= begun.size && complaints.length === 0, [told, ...complaints.slice(0, 5)].join('; '))
}

/** The address of one gateway's HTTP side is all that the client is given. 2.0 looks for it among the settings: they are in the same file. */
function registryFolder(folder: string, serverAddr: string): string {
  const path = join(folder, 'raft-registry')
  mkdirSync(path, { recursive: true })
  const registry = `registry {\n  type = "raft"\n  raft {\n    serverAddr = "${serverAddr}"\n  }\n}\n`
  const config = 'config {\n  type = "file"\n  file {\n    name = "registry.conf"\n  }\n}\n'
  const service = 'service {\n  vgroupMapping.default_tx_group = "default"\n}\n'
  writeFileSync(join(path, 'registry.conf'), registry + config + service)
  return path
}

/** All scenarios of a client that is told of one gateway, keeps to the one that it names, and goes on when that is killed half-way. */
export async function runDiscovery(
  client: JavaClient,
  stage: Stage,
  cluster: ClusterUnderTest,
  skipped: readonly string[]
): Promise<void> {
  if (Number.parseInt(client.version, 10) < RAFT_SINCE) return stage.matrix.notOffered(client.version, 'registry raft')
  // It is told of the one, which names it the other.
  const given = await cluster.firstChoice()
  const [gateway, control] = [cluster.address(given), cluster.control(1 - given)]
  console.log(`seata-all ${client.version} at the same cluster, registry.type = "raft", told of HTTP ${control} only`)
  /** The gateways that the transactions were begun at, before the blow and after it. */
  const used = [new Set<string>(), new Set<string>()] as const
  const blows: Promise<void>[] = []
  try {
    await runClient(
      client,
      stage,
      {
        name: 'raft',
        feature: 'registry raft',
        coordinator: control,
        registry: registryFolder(stage.folder, control),
        skipped: [...skipped, ...NOT_HERE]
      },
      {
        begun: (xid) => used[blows.length === 0 ? 0 : 1].add(xid.slice(0, xid.lastIndexOf(':'))),
        line: (text) => {
          if (text.startsWith(GATEWAY_BLOW)) blows.push(cluster.killGateway(given))
        }
      }
    )
  } finally {
    await Promise.all(blows)
    if (blows.length > 0) await cluster.startGateway(given)
  }
  await cluster.mend()
  if (skipped.includes('gateways')) return
  const [before, after] = used.map((addresses) => [...addresses].join())
  const moved = before === gateway && after === cluster.address(1 - given)
  stage.tally.check(moved, `R14, gateways: all begun at ${before}, and at ${after} after ${gateway} was killed`)
}
