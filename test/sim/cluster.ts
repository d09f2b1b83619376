// The processes of a run: nodes and gateways of the real code, each on a machine of its own, started, killed and started again.
import { Gateway } from '../../gateway/gateway.ts'
import { Links } from '../../gateway/links.ts'
import type { Settings } from '../../tc-core/core/fragment.ts'
import { homesOf } from '../../tc-core/core/homes.ts'
import { ClusterNode } from '../../tc-core/host/cluster-node.ts'
import type { SnapshotPolicy } from '../../tc-core/host/snapshots.ts'
import type { Rule } from '../../tc-core/replication/rules.ts'
import { DEFAULT_LIMITS } from '../../tc-core/wire/limits.ts'
import type { LockHomes } from '../../tc-core/wire/lock-homes.ts'
import type { Log } from '../../tc-core/wire/log.ts'
import type { Random } from '../core/random.ts'
import type { Kv } from './kv.ts'
import { Machine } from './machine.ts'
import type { Network } from './network.ts'

export interface ClusterOptions {
  readonly nodes: number
  readonly gateways: number
  readonly fragments: number
  /** 0: rows of one table have several homes. 1: they have one, and transactions begin there. */
  readonly lockParts: 0 | 1
  readonly inflight: number
  readonly snapshots: Partial<SnapshotPolicy>
  readonly settings: Partial<Settings>
  readonly without: Rule | undefined
}

const LINK_PORT = 9091
const SEATA_PORT = 8091

/** A place for a process: what runs in it changes, its address stays. */
export class Slot<P> {
  readonly name: string
  readonly host: string
  machine: Machine
  process: P | null = null
  readonly #open: (machine: Machine) => P
  readonly #cluster: Cluster

  constructor(cluster: Cluster, name: string, host: string, open: (machine: Machine) => P) {
    this.name = name
    this.host = host
    this.#cluster = cluster
    this.#open = open
    this.machine = this.#newMachine()
    this.machine.alive = false
  }

  #newMachine(): Machine {
    return new Machine(this.name, this.host, this.#cluster.network, this.#cluster.random)
  }

  start(): void {
    if (this.machine.alive) return
    this.#cluster.network.dark.delete(this.host)
    this.machine = this.#newMachine()
    this.process = this.#open(this.machine)
  }

  /** `dark`: with its host, so that nobody hears that it is gone. */
  kill(dark: boolean): void {
    if (!this.machine.alive) return
    if (dark) this.#cluster.network.dark.add(this.host)
    this.machine.dies()
    this.process = null
  }
}

/** The same homes, without the hashing: rows are few here, and come again and again. */
function remembered(homes: LockHomes): LockHomes {
  const known = new Map<string, number>()
  return {
    of(resourceId, table, pk) {
      const row = `${resourceId} ${table} ${pk}`
      let home = known.get(row)
      if (home === undefined) known.set(row, (home = homes.of(resourceId, table, pk)))
      return home
    }
  }
}

export interface GatewayProcess {
  readonly gateway: Gateway
  readonly links: Links
}

export class Cluster {
  readonly network: Network
  readonly random: Random
  readonly nodes: Slot<ClusterNode>[]
  readonly gateways: Slot<GatewayProcess>[]
  readonly options: ClusterOptions
  readonly #kv: Kv
  readonly #logger: (machine: Machine) => Log
  readonly #failed: (error: unknown) => void
  readonly #homes: LockHomes

  constructor(
    network: Network,
    random: Random,
    kv: Kv,
    options: ClusterOptions,
    logger: (machine: Machine) => Log,
    failed: (error: unknown) => void
  ) {
    this.network = network
    this.random = random
    this.options = options
    this.#kv = kv
    this.#logger = logger
    this.#failed = failed
    this.#homes = remembered(homesOf(options))
    const slots = <P>(count: number, name: string, net: string, open: (machine: Machine) => P) =>
      Array.from({ length: count }, (_, i) => new Slot(this, `${name}${i}`, `10.0.${net}.${i + 1}`, open))
    this.nodes = slots(options.nodes, 'node', '1', (machine) => this.#node(machine))
    this.gateways = slots(options.gateways, 'gateway', '2', (machine) => this.#gateway(machine))
  }

  get addresses(): { host: string; port: number }[] {
    return this.gateways.map(({ host }) => ({ host, port: SEATA_PORT }))
  }

  #node(machine: Machine): ClusterNode {
    const { fragments, lockParts, inflight, snapshots, without } = this.options
    const settings = { ...this.options.settings, homes: this.#homes }
    const node = new ClusterNode({
      cluster: 'sim',
      name: machine.name,
      storage: this.#kv.storage(machine),
      host: machine.host,
      port: LINK_PORT,
      rules: { fragments, lockParts, replicas: 3 },
      settings,
      snapshots,
      inflight,
      logger: this.#logger(machine),
      runtime: machine,
      ...(without && { without })
    })
    node
      .listen()
      .then(() => node.start(`${machine.host}:7191`))
      .catch((error) => machine.enter(() => this.#failed(error)))
    return node
  }

  #gateway(machine: Machine): GatewayProcess {
    const logger = this.#logger(machine)
    const nodes = this.nodes.map(({ host }) => `${host}:${LINK_PORT}`)
    const links = new Links({ nodes, cluster: 'sim', name: machine.name, logger, runtime: machine })
    const gateway = new Gateway({
      host: machine.host,
      port: SEATA_PORT,
      strategy: 'consistent-hash',
      nearRows: true,
      limits: DEFAULT_LIMITS,
      upstream: links,
      logger,
      undoLogSaveDays: 7,
      undoLogDeletePeriod: 86_400_000,
      drain: 0,
      runtime: machine
    })
    links.start()
    gateway
      .listen()
      .then(() => links.placed(gateway.advertised, `${machine.host}:7091`))
      .catch((error) => machine.enter(() => this.#failed(error)))
    return { gateway, links }
  }

  /** A node that says of itself that it leads a fragment; any, when nobody does. */
  leaderOf(fragment: number): Slot<ClusterNode> {
    const leads = (slot: Slot<ClusterNode>) => slot.process?.fragment(fragment)?.role === 'leader'
    return this.nodes.find(leads) ?? this.random.pick(this.nodes)
  }
}
