// `npm run bench:failover`: what clients notice of a cluster's failures. Three nodes and two gateways as processes, 64 transactions at a
// time; node after node is killed, frozen or restarted, and for each the failed requests and the longest wait for an answer are told.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { SeataClient } from '../client/client.ts'
import { Cluster, type NodeProcess } from '../e2e/cluster.ts'
import { EtcdServers } from '../kv/etcd.ts'

const USAGE = `npm run bench:failover -- [options]
  --kv etcd|sqlite|URL   the store; etcd (three members on this machine) is the default
  --times N              failures of each kind; default 20
  --only LIST            of kill,freeze,restart; default all
  --callers N            transactions at a time; default 64`

const { values } = parseArgs({
  options: {
    kv: { type: 'string', default: 'etcd' },
    times: { type: 'string', default: '20' },
    only: { type: 'string', default: 'kill,freeze,restart' },
    callers: { type: 'string', default: '64' },
    help: { type: 'boolean', default: false }
  }
})

/** How long after a failure answers are watched, ms. */
const WATCH_MS = 3_000
const FREEZE_MS = 10_000

class Load {
  readonly #tms: SeataClient[]
  readonly #rms: SeataClient[]
  #running = true
  failures: string[] = []
  longest = 0
  done = 0

  constructor(tms: SeataClient[], rms: SeataClient[]) {
    this.#tms = tms
    this.#rms = rms
  }

  async run(callers: number): Promise<void> {
    await Promise.all(Array.from({ length: callers }, (_, i) => this.#caller(i)))
  }

  stop(): void {
    this.#running = false
  }

  reset(): void {
    this.failures = []
    this.longest = 0
  }

  async #caller(i: number): Promise<void> {
    const tm = this.#tms[i % this.#tms.length]!
    const rm = this.#rms[i % this.#rms.length]!
    while (this.#running) {
      const begun = await this.#timed(() => tm.begin('failover', 60_000))
      if (!begun) continue
      await this.#timed(() => rm.register(begun.xid, 'tcc', 1))
      await this.#timed(() => tm.commit(begun.xid))
      this.done++
    }
  }

  async #timed<T extends { readonly resultCode: number; readonly msg: string }>(
    request: () => Promise<T>
  ): Promise<T | null> {
    const start = performance.now()
    try {
      const answer = await request()
      if (answer.resultCode !== 1) throw new Error(answer.msg)
      return answer
    } catch (error) {
      if (this.#running) this.failures.push((error as Error).message)
      return null
    } finally {
      this.longest = Math.max(this.longest, performance.now() - start)
    }
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function leadsMost(cluster: Cluster): Promise<NodeProcess> {
  const counts = new Map<string, number>()
  for (const name of (await cluster.leaders()).values()) counts.set(name, (counts.get(name) ?? 0) + 1)
  const [name] = [...counts].sort((a, b) => b[1] - a[1])[0]!
  return cluster.nodes.get(name)!
}

/** A failure and how it is mended; both while the load goes on. */
interface Failure {
  fail(cluster: Cluster, node: NodeProcess): Promise<void>
  mend(cluster: Cluster, node: NodeProcess): Promise<void>
}

const FAILURES: Readonly<Record<string, Failure>> = {
  kill: {
    async fail(_cluster, node) {
      await node.process.kill('SIGKILL')
      await sleep(WATCH_MS)
    },
    mend: async (cluster, node) => void (await cluster.node(node.name, node.link))
  },
  freeze: {
    async fail(_cluster, node) {
      node.process.child.kill('SIGSTOP')
      await sleep(FREEZE_MS)
    },
    mend: async (_cluster, node) => void node.process.child.kill('SIGCONT')
  },
  restart: {
    async fail(_cluster, node) {
      await node.process.kill('SIGTERM')
      await sleep(WATCH_MS)
    },
    mend: async (cluster, node) => void (await cluster.node(node.name, node.link))
  }
}

function spread(waits: readonly number[]): string {
  const sorted = [...waits].sort((a, b) => a - b)
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))]!.toFixed(0)
  return `p50 ${at(0.5)} ms, max ${at(1)} ms`
}

async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(`${USAGE}\n`)
  const teardowns: (() => unknown)[] = []
  const context = { teardown: (then: () => unknown) => void teardowns.push(then) }
  const directory = mkdtempSync(join(tmpdir(), 'seata-failover-'))
  teardowns.push(() => rmSync(directory, { recursive: true, force: true }))
  try {
    let kv = values.kv === 'sqlite' ? `sqlite:${directory}` : values.kv
    if (kv === 'etcd') {
      const etcd = await EtcdServers.start()
      teardowns.push(() => etcd.stop())
      kv = etcd.url
    }
    const cluster = new Cluster(context, kv)
    for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
    const gateways = [await cluster.gateway(), await cluster.gateway()]
    await cluster.settled()
    const connect = async (port: number, rm: boolean) => {
      const client = await SeataClient.connect({ port, timeoutMs: 30_000 })
      await (rm ? client.registerRM('tcc') : client.registerTM())
      teardowns.push(() => client.close())
      return client
    }
    const tms = await Promise.all([0, 1, 0, 1].map((i) => connect(gateways[i]!.port, false)))
    const rms = await Promise.all([0, 1, 0, 1].map((i) => connect(gateways[i]!.port, true)))
    const load = new Load(tms, rms)
    const running = load.run(Number(values.callers))
    await sleep(WATCH_MS)
    process.stdout.write(
      `undisturbed: longest wait ${load.longest.toFixed(0)} ms, ${(load.done / (WATCH_MS / 1000)).toFixed(0)} tx/s\n`
    )
    for (const kind of values.only.split(',')) {
      const failing: number[] = []
      const mending: number[] = []
      const failures: string[] = []
      for (let i = 0; i < Number(values.times); i++) {
        await cluster.settled()
        const node = await leadsMost(cluster)
        const { fail, mend } = FAILURES[kind]!
        load.reset()
        await fail(cluster, node)
        failing.push(load.longest)
        failures.push(...load.failures)
        load.reset()
        await mend(cluster, node)
        await cluster.settled()
        mending.push(load.longest)
        failures.push(...load.failures)
      }
      const why = failures.length === 0 ? '' : ` (${[...new Set(failures)].slice(0, 3).join(' | ')})`
      process.stdout.write(
        `${kind.padEnd(8)} ${values.times} times: ${failures.length} failed requests${why}; longest wait ${spread(failing)}; while it comes back ${spread(mending)}\n`
      )
    }
    load.stop()
    await running
  } finally {
    for (const then of teardowns.reverse()) await then()
  }
}

await main()
