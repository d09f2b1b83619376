// `fastify-seata node`: a node of a cluster, with its HTTP side.
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import type { FastifyInstance } from 'fastify'
import { healthRoutes } from '../gateway/health.ts'
import { ClusterNode, type ClusterNodeHealth } from '../tc-core/host/cluster-node.ts'
import { NodeFigures } from '../tc-core/host/figures.ts'
import { openStorage } from '../tc-core/host/node.ts'
import { rehearse } from '../tc-core/host/rehearsal.ts'
import { formatAddress, parseAddress, reachable } from '../tc-core/wire/address.ts'
import type { Config } from './config.ts'
import { memberRoutes } from './member-routes.ts'
import { metricsRoutes } from './metrics.ts'
import { joined } from './telemetry.ts'

/** How long a stop waits for what is in flight, ms. */
const STOP_MS = 5_000

export interface NodeCommand {
  readonly app: FastifyInstance
  /** `host:port` of its links and of its HTTP side. */
  readonly link: string
  readonly http: string
  readonly store: string
}

/** Starts the node; it has joined its cluster when this resolves. Rejects with SEATA_STORE_OPEN_FAILED, or when a port is taken. */
export async function startNode(config: Config, app: FastifyInstance): Promise<NodeCommand> {
  const storage = await openStorage(config.kv)
  const { host, port } = parseAddress(config.link)!
  const figures = new NodeFigures()
  const name = config.name || hostname()
  const node = new ClusterNode({
    cluster: config.cluster,
    name,
    storage: figures.measured(storage),
    figures,
    host,
    port,
    key: config.clusterKey,
    learner: config.learner,
    rules: { fragments: config.fragments, lockParts: config.lockParts, replicas: config.replicas },
    settings: { ...config, limits: config },
    snapshots: { records: config.snapshotRecords, bytes: config.snapshotBytes, ms: config.snapshotInterval * 1000 },
    logger: app.log,
    tracing: joined(config, process.env),
    ...(config.advertise !== '' && { advertise: config.advertise })
  })
  app.register(async (scope) => {
    healthRoutes(scope, { troubles: () => troubles(node.health), detail: () => node.health })
    memberRoutes(scope, node.membership, config.clusterKey)
    metricsRoutes(
      scope,
      figures.families(name, () => node.health.fragments, config.maxTransactions)
    )
  })
  app.addHook('preClose', async () => {
    await node.stop(STOP_MS)
    await storage.close()
  })
  await rehearse(app.log).catch((error: unknown) => app.log.warn({ err: error }, 'the rehearsal failed'))
  const links = await node.listen()
  await app.listen({ host: config.host, port: config.httpPort, listenTextResolver: () => 'HTTP listens' })
  const http = addressOf(app)
  const { port: httpPort } = app.server.address() as AddressInfo
  await node.start(formatAddress({ address: reachable(config.host), port: httpPort }))
  return { app, link: formatAddress(links), http, store: storage.url }
}

function troubles(health: ClusterNodeHealth): string[] {
  const fragments = health.fragments.flatMap((f) =>
    f.trouble === null ? [] : [`fragment ${f.fragment}: ${f.trouble}`]
  )
  return health.trouble === null ? fragments : [health.trouble, ...fragments]
}

/** Where the app listens, as `host:port`. */
export function addressOf(app: FastifyInstance): string {
  const address = app.server.address()
  return typeof address === 'object' && address ? formatAddress(address) : String(address)
}
