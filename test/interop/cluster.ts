// The cluster under test: three nodes over one store in the run's folder, two gateways, and the blows that fall while clients run.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import { Cluster } from '../e2e/cluster.ts'
import type { ServerProcess } from '../e2e/servers.ts'
import { complaints, type Kill, stories } from '../tracing/judge.ts'
import { Receiver } from '../tracing/receiver.ts'
import { InteropError } from './processes.ts'

interface GatewayProcess {
  readonly process: ServerProcess
  readonly port: number
  readonly httpPort: number
}

interface Discovered {
  readonly nodes: readonly { readonly transaction: { readonly port: number }; readonly role: string }[]
}

const NODES = ['n1', 'n2', 'n3']
const GATEWAYS = 2
const EMPTY_MS = 30_000
const POLL_MS = 100
/** How long the processes keep spans before they send them, ms. */
const SPANS_MS = 100

export class ClusterUnderTest {
  readonly #cluster: Cluster
  /** Gets the spans of all processes: the clients trace nothing. */
  readonly #receiver = new Receiver()
  readonly #env: NodeJS.ProcessEnv = { OTEL_BSP_SCHEDULE_DELAY: String(SPANS_MS) }
  #kills: Kill[] = []
  readonly #gateways: GatewayProcess[] = []
  /** Everything that was started, the killed ones too. */
  readonly #programs: { readonly name: string; readonly process: ServerProcess }[] = []
  readonly #ends: (() => unknown)[] = []
  #target: string | null = null
  readonly #killed = new Map<string, Promise<unknown>>()

  constructor(folder: string) {
    const owner = { teardown: (then: () => unknown) => this.#ends.push(then) }
    this.#cluster = new Cluster(owner, `sqlite:${join(folder, 'cluster')}`, [], this.#env)
  }

  async start(): Promise<void> {
    await this.#receiver.listen()
    this.#ends.push(() => this.#receiver.close())
    this.#env.OTEL_EXPORTER_OTLP_ENDPOINT = this.#receiver.endpoint
    for (const name of NODES) await this.#node(name)
    for (let i = 0; i < GATEWAYS; i++) await this.startGateway(i)
    await this.#cluster.settled()
  }

  async #node(name: string): Promise<void> {
    const { process } = await this.#cluster.node(name, this.#cluster.nodes.get(name)?.link)
    this.#programs.push({ name, process })
  }

  /** At the port where it was before. */
  async startGateway(i: number): Promise<void> {
    const gateway = await this.#cluster.gateway(this.#gateways[i]?.port)
    this.#gateways[i] = gateway
    this.#programs.push({ name: `gateway-${i}`, process: gateway.process })
  }

  /** As the Java clients want it. */
  get grouplist(): string {
    return this.#gateways.map((_, i) => this.address(i)).join(';')
  }

  address(gateway: number): string {
    return `127.0.0.1:${this.#gateways[gateway]!.port}`
  }

  /** Where a gateway tells who else is there. */
  control(gateway: number): string {
    return `127.0.0.1:${this.#gateways[gateway]!.httpPort}`
  }

  /** The gateway that clients on this machine keep to which find them by themselves: whichever is asked names it the leader. */
  async firstChoice(): Promise<number> {
    const named = await Promise.all(
      this.#gateways.map(async (_, i) => {
        const response = await fetch(`http://${this.control(i)}/metadata/v1/cluster`)
        const { nodes } = (await response.json()) as Discovered
        return nodes.find(({ role }) => role === 'LEADER')?.transaction.port
      })
    )
    if (new Set(named).size > 1) throw new InteropError(`the gateways name several leaders: ${named.join()}`)
    return this.#gateways.findIndex(({ port }) => port === named[0])
  }

  /** The next blow is for the node that leads this transaction. */
  aim(xid: string): void {
    this.#leaderOf(xid).then(
      (node) => {
        this.#target = node
      },
      () => {}
    )
  }

  async #leaderOf(xid: string): Promise<string | null> {
    const response = await fetch(`http://${this.control(0)}/health/detail`)
    const { fragments } = (await response.json()) as { fragments: { fragment: number; leader: string | null }[] }
    return fragments.find(({ fragment }) => fragment === fragmentOf(xid))?.leader ?? null
  }

  /** Kills the node that was aimed at. Null: it is dead already, or the last one. */
  strike(): string | null {
    const name = this.#target
    if (name === null || this.#killed.has(name) || this.#killed.size === NODES.length - 1) return null
    this.#kills.push({ node: name, at: Date.now() })
    this.#killed.set(name, this.#cluster.nodes.get(name)!.process.kill('SIGKILL'))
    return name
  }

  async killGateway(i: number): Promise<void> {
    await this.#gateways[i]!.process.kill('SIGKILL')
  }

  /** Starts the killed nodes again, and waits until no transaction and no lock is left on any replica. */
  async mend(): Promise<void> {
    for (const [name, dead] of this.#killed) {
      await dead
      await this.#node(name)
    }
    this.#killed.clear()
    await this.#cluster.settled()
    const until = performance.now() + EMPTY_MS
    for (;;) {
      const all = (await Promise.all([...this.#cluster.nodes.values()].map((node) => node.fragments()))).flat()
      const left = all.filter(({ transactions, locks }) => transactions > 0 || locks > 0)
      if (left.length === 0) return
      if (performance.now() > until) throw new InteropError(`what is left on the nodes: ${JSON.stringify(left)}`)
      await sleep(POLL_MS)
    }
  }

  /** What came of traces so far does not count. */
  async forgetSpans(): Promise<void> {
    await sleep(10 * SPANS_MS)
    this.#receiver.spans.length = 0
    this.#kills = []
  }

  /** How many transactions have a trace, and what is wrong with them. */
  async traces(): Promise<{ transactions: number; complaints: string[] }> {
    await sleep(10 * SPANS_MS)
    const run = { spans: this.#receiver.spans, kills: this.#kills, delay: SPANS_MS }
    return { transactions: stories(run).length, complaints: complaints(run) }
  }

  killAll(): void {
    for (const end of this.#ends.splice(0)) end()
  }

  writeLogs(folder: string): void {
    const texts = new Map<string, string>()
    for (const { name, process } of this.#programs) {
      texts.set(name, (texts.get(name) ?? '') + process.stdout + process.stderr)
    }
    for (const [name, text] of texts) writeFileSync(join(folder, `${name}.log`), text)
  }
}
