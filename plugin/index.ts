// The Fastify plugin: a Seata coordinator in the host's app, or with `nodes` a gateway of a cluster. The parts are put together here.

import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { hostname } from 'node:os'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Gateway } from '../gateway/gateway.ts'
import { healthRoutes } from '../gateway/health.ts'
import { type LinkState, Links } from '../gateway/links.ts'
import { Metadata, metadataRoutes } from '../gateway/metadata.ts'
import { nodeRoutes } from '../gateway/node-routes.ts'
import { NodeFigures } from '../tc-core/host/figures.ts'
import { Node, type NodeHealth } from '../tc-core/host/node.ts'
import type { Family } from '../tc-core/wire/figures.ts'
import type { Limits } from '../tc-core/wire/limits.ts'
import type { Tracing } from '../tc-core/wire/tracing.ts'
import { type Config, configure } from './config.ts'
import { metricsRoutes } from './metrics.ts'
import { joined } from './telemetry.ts'

export { transactionIds } from './trace-ids.ts'

/** What may be given; the rest has defaults. See docs/configuration.md. */
export type SeataOptions = Partial<Omit<Config, 'httpPort' | 'logLevel' | 'link' | 'replicas' | 'learner'>> & {
  /** In front of the plugin's HTTP routes. */
  prefix?: string
}

/** Of a coordinator in one process. */
export interface CoordinatorHealth extends NodeHealth {
  readonly connections: number
  readonly parked: number
}

/** Of a gateway. */
export interface GatewayHealth {
  readonly ok: boolean
  readonly connections: number
  readonly parked: number
  readonly nodes: readonly LinkState[]
  readonly fragments: readonly { readonly fragment: number; readonly leader: string | null }[]
  /** Routes that the periodic check found wrong and put right. */
  readonly routesCorrected: number
}

export type SeataHealth = CoordinatorHealth | GatewayHealth

/** `app.seata` */
export interface Seata {
  /** Where Seata clients connect; null until the app is ready. */
  readonly address: AddressInfo | null
  /** URL of the store; of a gateway the nodes that it was given. */
  readonly store: string
  health(): SeataHealth
}

declare module 'fastify' {
  interface FastifyInstance {
    seata: Seata
  }
}

/** How long a gateway of a cluster serves its clients on when it stops, ms: those that use discovery leave it meanwhile. */
const DRAIN_MS = 1_000
/** How long a stop waits for what is in flight, ms. */
const STOP_MS = 5_000

/** What is behind the gateway: a node in this process, or links to nodes elsewhere. */
interface Backend {
  readonly upstream: Node | Links
  readonly store: string
  /** Where each node's HTTP side is; null: there are no nodes elsewhere. */
  readonly httpOf: ((node: string) => string | undefined) | null
  start(): Promise<void>
  /** Clients can reach it now: `host:port` for Seata's protocol and for HTTP. */
  open(transaction: string, control: string): void
  /** Clients had better go elsewhere. */
  close(): void
  stop(): Promise<void>
  /** Why something is wrong, in words. */
  troubles(): string[]
  readonly families: readonly Family[]
  health(): Omit<CoordinatorHealth, 'connections' | 'parked'> | Omit<GatewayHealth, 'connections' | 'parked'>
}

async function oneProcess(
  config: Config,
  app: FastifyInstance,
  metadata: Metadata,
  tracing: Tracing
): Promise<Backend> {
  const figures = new NodeFigures()
  const node = await Node.open({
    kv: config.kv,
    cluster: config.cluster,
    name: 'local',
    fragments: config.fragments,
    lockParts: config.lockParts,
    settings: { ...config, limits: config },
    snapshots: { records: config.snapshotRecords, bytes: config.snapshotBytes, ms: config.snapshotInterval * 1000 },
    logger: app.log,
    figures,
    tracing
  })
  return {
    upstream: node,
    store: node.store,
    httpOf: null,
    start: () => node.start(),
    open: (transaction, control) => metadata.set([{ name: 'local', transaction, control }]),
    close: () => {},
    stop: () => node.stop(STOP_MS),
    health: () => node.health,
    families: figures.families('local', () => node.health.fragments, config.maxTransactions),
    troubles: () =>
      node.health.fragments.flatMap((f) => (f.trouble === null ? [] : [`fragment ${f.fragment}: ${f.trouble}`]))
  }
}

function cluster(config: Config, app: FastifyInstance, metadata: Metadata): Backend {
  const links = new Links({
    nodes: config.nodes.split(','),
    cluster: config.cluster,
    key: config.clusterKey,
    // In containers all processes may have one pid, and on one network one host name.
    name: config.name || `${hostname()}:${randomBytes(3).toString('hex')}`,
    logger: app.log
  })
  links.onGateways = () => metadata.set(links.gateways, links.learners)
  const troubles = () => links.troubles()
  return {
    upstream: links,
    store: `nodes ${config.nodes}`,
    httpOf: (node) => links.httpOf(node),
    start: async () => links.start(),
    open: (transaction, control) => links.placed(transaction, control),
    close: () => links.withdraw(),
    stop: async () => links.close(),
    families: [],
    health: () => ({
      ok: troubles().length === 0,
      nodes: links.state,
      fragments: links.leaders,
      routesCorrected: links.mismatches
    }),
    troubles
  }
}

/** Registers the coordinator; rejects with SEATA_OPTION_INVALID or SEATA_STORE_OPEN_FAILED. It listens when the app is ready. */
async function seata(app: FastifyInstance, options: SeataOptions): Promise<void> {
  const { prefix = '', ...given } = options
  const config = configure(given, 'plugin')
  const limits: Limits = config
  const metadata = new Metadata()
  const tracing = joined(config, process.env)
  const backend =
    config.nodes === '' ? await oneProcess(config, app, metadata, tracing) : cluster(config, app, metadata)
  const gateway = new Gateway({
    host: config.host,
    port: config.port,
    strategy: config.shardingStrategy,
    nearRows: config.beginAffinity === 'rows',
    limits,
    drain: config.nodes === '' ? 0 : DRAIN_MS,
    upstream: backend.upstream,
    logger: app.log,
    tracing,
    undoLogSaveDays: config.undoLogSaveDays,
    undoLogDeletePeriod: config.undoLogDeletePeriod,
    ...(config.advertise !== '' && { advertise: config.advertise })
  })
  let address: AddressInfo | null = null
  const health = () => ({ ...backend.health(), connections: gateway.connections, parked: gateway.parked })

  app.decorate('seata', {
    get address() {
      return address
    },
    store: backend.store,
    health
  })
  const { troubles } = backend
  app.register(
    async (scope) => {
      healthRoutes(scope, { troubles, detail: health })
      metricsRoutes(scope, [...gateway.families, ...backend.families])
      metadataRoutes(scope, metadata)
      if (backend.httpOf) nodeRoutes(scope, backend.httpOf)
    },
    { prefix }
  )
  app.addHook('onReady', async () => {
    await backend.start()
    address = await gateway.listen()
  })
  app.addHook('onListen', async () => backend.open(gateway.advertised, controlOf(app, gateway.advertised)))
  app.addHook('preClose', async () => {
    backend.close()
    metadata.close()
    await gateway.stop(STOP_MS)
  })
  app.addHook('onClose', () => backend.stop())
}

/** Where the app's HTTP is reached: its own port, on the host that clients are told. */
function controlOf(app: FastifyInstance, advertised: string): string {
  const address = app.server.address()
  const host = advertised.slice(0, advertised.lastIndexOf(':'))
  return `${host}:${typeof address === 'object' && address ? address.port : 0}`
}

export default fp(seata, { name: 'fastify-seata', fastify: '5.x' })
