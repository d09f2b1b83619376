// The Fastify plugin: a Seata coordinator in the host's app. Gateway and node are put together here.
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Gateway } from '../gateway/gateway.ts'
import { healthRoutes } from '../gateway/http.ts'
import { Node, type NodeHealth } from '../tc-core/host/node.ts'
import type { Limits } from '../tc-core/wire/limits.ts'
import { type Config, configure } from './config.ts'

/** What may be given; the rest has defaults. See docs/configuration.md. */
export type SeataOptions = Partial<Omit<Config, 'httpPort' | 'logLevel'>> & {
  /** In front of the plugin's HTTP routes. */
  prefix?: string
}

export interface SeataHealth extends NodeHealth {
  readonly connections: number
  readonly parked: number
}

/** `app.seata` */
export interface Seata {
  /** Where Seata clients connect; null until the app is ready. */
  readonly address: AddressInfo | null
  /** URL of the store. */
  readonly store: string
  health(): SeataHealth
}

declare module 'fastify' {
  interface FastifyInstance {
    seata: Seata
  }
}

/** How long a stop waits for what is in flight, ms. */
const STOP_MS = 5_000

/** Registers the coordinator; rejects with SEATA_OPTION_INVALID or SEATA_STORE_OPEN_FAILED. It listens when the app is ready. */
async function seata(app: FastifyInstance, options: SeataOptions): Promise<void> {
  const { prefix = '', ...given } = options
  const config = configure(given, 'plugin')
  const logger = app.log
  const limits: Limits = config
  const node = await Node.open({
    kv: config.kv,
    cluster: config.cluster,
    name: 'local',
    fragments: config.fragments,
    settings: { ...config, limits },
    snapshots: { records: config.snapshotRecords, bytes: config.snapshotBytes, ms: config.snapshotInterval * 1000 },
    logger
  })
  const gateway = new Gateway({
    host: config.host,
    port: config.port,
    strategy: config.shardingStrategy,
    limits,
    upstream: node,
    logger,
    undoLogSaveDays: config.undoLogSaveDays,
    undoLogDeletePeriod: config.undoLogDeletePeriod,
    ...(config.advertise !== '' && { advertise: config.advertise })
  })
  let address: AddressInfo | null = null
  const health = (): SeataHealth => ({ ...node.health, connections: gateway.connections, parked: gateway.parked })

  app.decorate('seata', {
    get address() {
      return address
    },
    store: node.store,
    health
  })
  const troubles = () =>
    node.health.fragments.flatMap((f) => (f.trouble === null ? [] : [`fragment ${f.fragment}: ${f.trouble}`]))
  app.register(async (scope) => healthRoutes(scope, { troubles, detail: health }), { prefix })
  app.addHook('onReady', async () => {
    await node.start()
    address = await gateway.listen()
  })
  app.addHook('preClose', () => gateway.stop(STOP_MS))
  app.addHook('onClose', () => node.stop(STOP_MS))
}

export default fp(seata, { name: 'fastify-seata', fastify: '5.x' })
