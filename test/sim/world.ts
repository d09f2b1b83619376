// One run: a cluster, its clients and its store on virtual time, faults while the clients work, then calm, in which everything has to come
// right again within bounds. What goes wrong is a breach; the seed brings it back.
import type { Settings } from '../../tc-core/core/fragment.ts'
import { BranchType } from '../../tc-core/wire/codes.ts'
import type { Log } from '../../tc-core/wire/log.ts'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import { Breach } from '../core/judge.ts'
import { type Random, random } from '../core/random.ts'
import { Cluster } from './cluster.ts'
import { type Stage, schedule } from './faults.ts'
import { Judges } from './judges.ts'
import { FAIR, Kv } from './kv.ts'
import { Machine } from './machine.ts'
import { FAULTS_OF, hooksOf, type Mutation } from './mutations.ts'
import { Network } from './network.ts'
import { Replicas } from './replicas.ts'
import { Time } from './time.ts'
import { App, RESOURCES, ROWS } from './workload.ts'

export interface RunOptions {
  readonly seed: number
  readonly faults?: boolean
  /** A bug on purpose. */
  readonly without?: Mutation | undefined
  /** Lines of what happens. */
  readonly trace?: (line: string) => void
}

export interface Outcome {
  readonly seed: number
  /** What was found; null: nothing. */
  readonly breach: string | null
  /** Over all events. */
  readonly hash: string
  readonly events: number
  /** Virtual ms. */
  readonly ms: number
  readonly faults: Readonly<Record<string, number>>
  readonly counts: Readonly<Record<string, number>>
}

const WORK_FROM_MS = 500
/** All fragments serve again so many ms after the last fault. */
const LIVE_MS = 5_000
/** Nothing is left over so many ms after the last fault: a home that did not hear is told again after 10 s at the latest. */
const REST_MS = 30_000
const EVENTS_MAX = 3_000_000

export function simulate(options: RunOptions): Promise<Outcome> {
  return new World(options).run()
}

class World implements Stage {
  readonly time = new Time()
  readonly random: Random
  readonly network: Network
  readonly kv: Kv
  readonly cluster: Cluster
  readonly judges: Judges
  readonly apps: readonly App[]
  readonly #options: RunOptions
  readonly #probe: App
  readonly #replicas: Replicas
  #breach: string | null = null
  #done = false
  #drawn: ReadonlyMap<string, number> = new Map()
  /** Fragments that have committed a transaction since the last fault. */
  readonly #live = new Set<number>()

  constructor(options: RunOptions) {
    const { seed, without } = options
    this.#options = options
    const chance = (purpose: number) => random(seed * 16 + purpose)
    const draw = chance(1)
    this.random = chance(2)
    this.network = new Network(this.time, chance(3))
    this.judges = new Judges(() => this.time.now)
    this.kv = new Kv(this.network, chance(4), draw.next() < 0.75, (key, value) => this.judges.history.first(key, value))
    const { core, log } = hooksOf(without)
    const settings: Partial<Settings> = {
      retryPeriod: 200 + draw.below(400),
      rpcTcRequestTimeout: 1_500,
      ...(core && { without: core })
    }
    this.cluster = new Cluster(
      this.network,
      chance(5),
      this.kv,
      {
        nodes: draw.next() < 0.8 ? 3 : 2,
        gateways: 2,
        fragments: 2 + draw.below(2),
        // Bugs are looked for where rows have several homes: there is more that can go wrong.
        lockParts: without === undefined && seed % 3 === 0 ? 1 : 0,
        inflight: 1 + draw.below(2),
        snapshots: { records: 12 + draw.below(50), ms: 1_000 + draw.below(4_000) },
        settings,
        without: log
      },
      (machine) => this.#logger(machine),
      (error) => this.#fail(error)
    )
    for (const slot of [...this.cluster.nodes, ...this.cluster.gateways]) slot.start()
    const app = (name: string, host: string, purpose: number) =>
      new App(new Machine(name, host, this.network, chance(purpose)), {
        gateways: this.cluster.addresses,
        judges: this.judges,
        random: chance(purpose + 1),
        silent: (name, type, since) => {
          if (since > this.judges.calmSince) throw new Breach(`${name} got no answer to a ${type}`)
        },
        trace: (text) => this.trace(text)
      })
    this.apps = [0, 1, 2].map((i) => app(`app${i}`, `10.0.3.${i + 1}`, 6 + 2 * i))
    this.#probe = app('probe', '10.0.3.9', 12)
    this.#replicas = new Replicas(this.cluster)
  }

  readonly trace = (text: string): void => {
    this.#options.trace?.(`${this.time.now.toFixed(2).padStart(10)} ${text}`)
  }

  #logger(machine: Machine): Log {
    const line = (level: string) => (fields: object, text: string) => {
      if (this.#options.trace) this.trace(`${machine.name}: ${level} ${text} ${describe(fields)}`)
    }
    const error = (fields: { err?: unknown }, text: string) => {
      line('error')(fields, text)
      if (text.startsWith('the store fails')) return
      this.#fail(new Breach(`${machine.name} says: ${text} ${describe(fields)}`))
    }
    return { debug: () => {}, info: line('info'), warn: line('warn'), error: error as Log['error'] }
  }

  #fail(error: unknown): void {
    this.#breach ??= error instanceof Breach ? error.message : String((error as Error)?.stack ?? error)
  }

  async run(): Promise<Outcome> {
    const rejected = (error: unknown) => this.#fail(error)
    process.on('unhandledRejection', rejected)
    process.on('uncaughtException', rejected)
    try {
      this.#play()
      await this.time.run(() => this.#done || this.#breach !== null || this.time.events > EVENTS_MAX)
      if (!this.#done) this.#breach ??= `after ${this.time.events} events it is not done`
    } catch (error) {
      this.#fail(error)
    } finally {
      process.off('unhandledRejection', rejected)
      process.off('uncaughtException', rejected)
    }
    const { seed } = this.#options
    const counts = {
      ...this.judges.count,
      records: this.judges.history.records,
      messages: this.network.messages,
      calls: this.kv.calls,
      errors: this.kv.errors
    }
    const { hash, events, now } = this.time
    return { seed, breach: this.#breach, hash, events, ms: now, faults: Object.fromEntries(this.#drawn), counts }
  }

  #play(): void {
    const { time, random } = this
    const calm = WORK_FROM_MS + 1_200 + random.below(random.next() < 0.8 ? 2_400 : 5_000)
    for (const app of this.apps) for (let n = 0; n < 2; n++) app.loop().catch((error) => this.#fail(error))
    const { faults, without } = this.#options
    if (faults !== false) this.#drawn = schedule(this, WORK_FROM_MS, calm, without && FAULTS_OF[without])
    this.#watchReplicas()
    time.at(calm, () => this.#calm())
  }

  #watchReplicas(): void {
    this.#replicas.compare()
    this.time.after(400, () => this.#watchReplicas())
  }

  /** The last fault is over. */
  #calm(): void {
    const { cluster, kv, time, judges } = this
    this.trace('calm')
    kv.weather = FAIR
    for (const slot of [...cluster.nodes, ...cluster.gateways]) {
      if (slot.machine.asleep) slot.machine.wakes()
      slot.start()
    }
    judges.calmSince = time.now
    for (const app of [...this.apps, this.#probe]) app.obedient = true
    time.after(100, () => {
      for (const app of this.apps) app.stopping = true
    })
    this.#probeFragments().catch((error) => this.#fail(error))
    this.#probeRows().catch((error) => this.#fail(error))
    time.after(LIVE_MS, () => {
      const { fragments } = cluster.options
      const dead = Array.from({ length: fragments }, (_, f) => f).filter((f) => !this.#live.has(f))
      if (dead.length > 0) this.#fail(new Breach(`${LIVE_MS} ms after the last fault fragments ${dead} serve nobody`))
    })
    time.after(REST_MS, () =>
      this.#fail(new Breach(`${REST_MS} ms after the last fault there is left: ${this.#left()}`))
    )
  }

  /** Empty transactions, until every fragment has committed one. */
  async #probeFragments(): Promise<void> {
    while (this.#live.size < this.cluster.options.fragments) {
      const xid = await this.#probe.begin(3_000)
      if (xid && (await this.#probe.end(xid, 'commit'))) this.#live.add(fragmentOf(xid))
      await this.#pause(5)
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.time.after(ms, resolve)
    })
  }

  /** Transactions over all rows, until one has them all and nobody else is at work. */
  async #probeRows(): Promise<void> {
    for (let all = false; !all || this.#atWork; ) {
      all = await this.#takeRows()
      await this.#pause(20)
    }
    await this.#rest()
  }

  get #atWork(): boolean {
    return this.#live.size < this.cluster.options.fragments || this.apps.some(({ busy }) => busy > 0)
  }

  async #takeRows(): Promise<boolean> {
    const probe = this.#probe
    const xid = await probe.begin(3_000)
    if (!xid) return false
    let all = true
    const lockKey = `t:${Array.from({ length: ROWS }, (_, row) => row).join(',')}`
    for (const resourceId of RESOURCES)
      all = (await probe.register(xid, BranchType.AT, resourceId, lockKey, 60)) !== null && all
    return (await probe.end(xid, 'commit')) && all
  }

  async #rest(): Promise<void> {
    while (this.#left() !== '') await this.#pause(100)
    this.#replicas.compare()
    this.judges.atRest()
    this.#done = true
  }

  /** What is not as it is at rest. */
  #left(): string {
    const left: string[] = []
    for (const { xid, ended } of this.judges.history.transactions.values()) if (!ended) left.push(`transaction ${xid}`)
    for (const app of this.apps) if (app.busy > 0) left.push(`${app.name} at work`)
    for (const { name, process } of this.cluster.gateways) {
      if (!process) left.push(`${name} is down`)
      else if (process.gateway.parked > 0) left.push(`${process.gateway.parked} parked at ${name}`)
      else if (process.gateway.phaseTwo.size > 0) left.push(`${process.gateway.phaseTwo.size} calls at ${name}`)
    }
    left.push(...this.#replicas.left(this.kv))
    return left.slice(0, 8).join('; ')
  }
}

function describe(fields: object): string {
  const text = JSON.stringify(fields, (_, value) => (value instanceof Error ? value.message : value))
  return text === '{}' ? '' : text
}
