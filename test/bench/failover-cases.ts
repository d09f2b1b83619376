// The failures of bench:failover: each on a cluster of its own under load, with what clients noticed of it and what the judge says.
import { setTimeout as sleep } from 'node:timers/promises'
import { PARK_MS } from '../../gateway/park.ts'
import { Cluster, type NodeProcess } from '../e2e/cluster.ts'
import { freePort } from '../e2e/ports.ts'
import { TcpProxy } from '../e2e/proxy.ts'
import { eventually } from '../host/harness.ts'
import { EtcdServers } from '../kv/etcd.ts'
import { FailoverLoad } from './failover-load.ts'
import { killStoreLeader, type StoreSettings } from './store-leader.ts'

export interface Settings extends StoreSettings {
  readonly times: number
  readonly callers: number
}

/** How long after a failure answers are watched, ms. */
const WATCH_MS = 2_000
const FREEZE_MS = 10_000
const NODES = ['n1', 'n2', 'n3']

type Gateway = Awaited<ReturnType<Cluster['gateway']>>

/** What was measured of one kind of event, time after time. */
class Waits {
  readonly stalls: number[] = []
  failures: string[] = []
  again = 0
  readonly before: number[] = []
  readonly after: number[] = []

  toString(): string {
    const why = [...new Set(this.failures)].slice(0, 2).join(' | ')
    const failed = `${this.failures.length} failed${why && ` (${why})`}`
    const again = this.again > 0 ? `, ${this.again} asked again at the other gateway` : ''
    const stall = `longest wait p50 ${at(this.stalls, 0.5)} ms, max ${at(this.stalls, 1)} ms`
    const others = `; other fragments' p99 ${at(this.before, 0.99)} before, ${at(this.after, 0.99)} ms after`
    return `${failed}${again}; ${stall}${this.after.length > 0 ? others : ''}`
  }
}

function at(values: readonly number[], part: number): string {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(0)
}

export class Stage {
  readonly settings: Settings
  readonly cluster: Cluster
  readonly load: FailoverLoad
  readonly etcd: EtcdServers | null
  readonly gateways: Gateway[]
  readonly #print: (line: string) => void

  constructor(
    parts: Pick<Stage, 'settings' | 'cluster' | 'load' | 'etcd' | 'gateways'>,
    print: (line: string) => void
  ) {
    this.settings = parts.settings
    this.cluster = parts.cluster
    this.load = parts.load
    this.etcd = parts.etcd
    this.gateways = parts.gateways
    this.#print = print
  }

  print(line: string): void {
    this.#print(line)
  }

  /** Does something to a node or a gateway under load, and takes down what clients noticed until `watch` ms later. */
  async watched(waits: Waits, what: () => unknown, watch = WATCH_MS, victim: readonly number[] = []): Promise<void> {
    const { load } = this
    load.reset()
    const other = (fragment: number) => fragment >= 0 && !victim.includes(fragment)
    if (victim.length > 0) await sleep(1_000)
    const from = performance.now()
    waits.before.push(...load.waits(from - 1_000, from, other))
    await what()
    await sleep(watch)
    waits.stalls.push(load.longest(from))
    waits.failures.push(...load.failures)
    waits.again += load.again
    if (victim.length > 0) waits.after.push(...load.waits(from, from + 1_000, other))
  }

  /** Who leads most, and what. */
  async leader(): Promise<{ node: NodeProcess; leads: number[] }> {
    await this.cluster.settled()
    const leaders = [...(await this.cluster.leaders())]
    const of = (name: string) => leaders.flatMap(([fragment, leader]) => (leader === name ? fragment : []))
    const [name] = NODES.toSorted((a, b) => of(b).length - of(a).length)
    return { node: this.cluster.nodes.get(name!)!, leads: of(name!) }
  }

  async health(): Promise<number> {
    return (await fetch(`http://127.0.0.1:${this.gateways[0]!.httpPort}/health`)).status
  }
}

interface Case {
  readonly says: string
  readonly times: number
  /** Stands a way between n1 and the others that can be cut. */
  readonly cut?: 'store' | 'gateways'
  run(stage: Stage, times: number, proxies: readonly TcpProxy[]): Promise<void>
}

function nodeFails(signal: 'SIGKILL' | 'SIGTERM', title: string): Case['run'] {
  return async (stage, times) => {
    const [failing, coming] = [new Waits(), new Waits()]
    for (let i = 0; i < times; i++) {
      const { node, leads } = await stage.leader()
      await stage.watched(failing, () => node.process.kill(signal), WATCH_MS, leads)
      await stage.watched(
        coming,
        () => stage.cluster.node(node.name, node.link).then(() => stage.cluster.settled()),
        500
      )
    }
    stage.print(`${title}, ${times} times: ${failing}`)
    stage.print(`  while it comes back: ${coming}`)
  }
}

export const CASES: Readonly<Record<string, Case>> = {
  kill: { says: 'kill -9 of who leads most', times: 20, run: nodeFails('SIGKILL', 'kill -9 of who leads most') },
  handover: { says: 'SIGTERM of who leads most', times: 5, run: nodeFails('SIGTERM', 'SIGTERM of who leads most') },
  nodes: {
    says: 'rolling restart of all nodes',
    times: 1,
    async run(stage, times) {
      const [waits, calm] = [new Waits(), new Waits()]
      for (let i = 0; i < times * NODES.length; i++) {
        await stage.cluster.settled()
        const node = stage.cluster.nodes.get(NODES[i % NODES.length]!)!
        const from = performance.now()
        await stage.watched(waits, async () => {
          await node.process.kill('SIGTERM')
          await stage.cluster.node(node.name, node.link)
          await stage.cluster.settled()
        })
        const took = performance.now() - from
        await stage.watched(calm, () => sleep(took - WATCH_MS))
      }
      stage.print(`rolling restart of all nodes, ${times} times: ${waits}`)
      stage.print(`  undisturbed, each time for as long: ${calm}`)
    }
  },
  gateways: {
    says: 'rolling restart of both gateways',
    times: 2,
    async run(stage, times) {
      const waits = new Waits()
      for (let i = 0; i < times * 2; i++) {
        const { process, port } = stage.gateways[i % 2]!
        await stage.watched(waits, async () => {
          await process.kill('SIGTERM')
          stage.gateways[i % 2] = await stage.cluster.gateway(port)
        })
      }
      stage.print(`rolling restart of both gateways, ${times} times: ${waits}`)
    }
  },
  freeze: {
    says: 'SIGSTOP of who leads most for 10 s, then SIGCONT',
    times: 5,
    async run(stage, times) {
      const [frozen, awake] = [new Waits(), new Waits()]
      for (let i = 0; i < times; i++) {
        const { node, leads } = await stage.leader()
        await stage.watched(frozen, () => void node.process.child.kill('SIGSTOP'), FREEZE_MS, leads)
        await stage.watched(awake, () => void node.process.child.kill('SIGCONT'))
      }
      stage.print(`SIGSTOP of who leads most for 10 s, ${times} times: ${frozen}`)
      stage.print(`  SIGCONT: ${awake}`)
    }
  },
  kv: {
    says: "kill -9 of the store's leader",
    times: 5,
    async run(stage, times) {
      const waits = new Waits()
      const own: number[] = []
      for (let i = 0; i < times; i++) {
        let mend: () => unknown = () => {}
        await stage.watched(
          waits,
          async () => {
            const from = performance.now()
            mend = await killStoreLeader(stage.settings, stage.etcd)
            own.push(performance.now() - from)
          },
          3_000
        )
        await mend()
        await sleep(WATCH_MS)
      }
      const more = Math.max(...own.map((ms, i) => waits.stalls[i]! - ms))
      const away = `the store itself was away for p50 ${at(own, 0.5)} ms, max ${at(own, 1)} ms, and a wait was at most ${more.toFixed(0)} ms longer`
      stage.print(`kill -9 of the store's leader, ${times} times: ${waits}; ${away}`)
    }
  },
  'cut-store': {
    says: 'a node is cut off from the store',
    times: 3,
    cut: 'store',
    run: cutOff('all', 'a node is cut off from the store')
  },
  'cut-gateways': {
    says: 'a node is cut off from the gateways',
    times: 3,
    cut: 'gateways',
    run: cutOff('gateways', 'a node is cut off from the gateways')
  },
  quorum: {
    says: 'two of three members of etcd are killed',
    times: 1,
    async run(stage) {
      const { etcd, load } = stage
      if (!etcd) return stage.print('no quorum: only with --kv etcd')
      load.reset()
      const from = performance.now()
      await Promise.all([etcd.kill(0), etcd.kill(1)])
      await eventually(async () => (await stage.health()) === 503, 'health is red', 30_000)
      const red = performance.now() - from
      await sleep(2 * PARK_MS)
      const longest = load.longest(from)
      const said = new Map<string, number>()
      for (const failure of load.failures) said.set(failure, (said.get(failure) ?? 0) + 1)
      const back = performance.now()
      etcd.restart(0)
      etcd.restart(1)
      await etcd.leader()
      const elected = performance.now()
      await eventually(async () => (await stage.health()) === 200, 'health is green', 30_000)
      const green = performance.now()
      load.reset()
      await sleep(WATCH_MS)
      const answers = [...said].map(([text, n]) => `${n} × ${text.replace(/fragment \d+/, 'fragment N')}`).slice(0, 3)
      stage.print(
        `no quorum: every request answered within ${longest.toFixed(0)} ms (parking limit ${PARK_MS} ms): ${answers.join(' | ')}; health red after ${red.toFixed(0)} ms`
      )
      stage.print(
        `  the quorum is back after ${(elected - back).toFixed(0)} ms, health green ${(green - elected).toFixed(0)} ms later; then ${load.failures.length} failed`
      )
    }
  }
}

function cutOff(what: 'all' | 'gateways', title: string): Case['run'] {
  return async (stage, times, proxies) => {
    const [cut, mended] = [new Waits(), new Waits()]
    let stopped = 0
    for (let i = 0; i < times; i++) {
      await stage.cluster.settled()
      const node = stage.cluster.nodes.get('n1')!
      const leads = [...(await stage.cluster.leaders())].flatMap(([fragment, name]) => (name === 'n1' ? fragment : []))
      const from = performance.now()
      const led = async () => (await node.fragments()).filter(({ role }) => role === 'leader').length
      await stage.watched(
        cut,
        async () => {
          const gateways = stage.gateways.map(({ process }) => process.child.pid!)
          for (const proxy of proxies) proxy.cut(what === 'all' ? 'all' : gateways)
          // Without gateways it leads on: they reach it through other nodes.
          if (what === 'gateways') return
          await eventually(async () => (await led()) === 0, 'the node leading nothing', 20_000)
          stopped = Math.max(stopped, performance.now() - from - 1_000)
        },
        5_000,
        leads
      )
      await stage.watched(mended, async () => {
        for (const proxy of proxies) proxy.mend()
        await stage.cluster.settled()
      })
    }
    stage.print(
      `${title}, ${times} times: ${cut}${what === 'all' ? `; it led nothing after ${stopped.toFixed(0)} ms at most` : ''}`
    )
    stage.print(`  while it comes back: ${mended}`)
  }
}

/** Runs one case on a cluster of its own. */
export async function runCase(name: string, settings: Settings, print: (line: string) => void): Promise<void> {
  const found = CASES[name]
  if (!found) throw new Error(`${name} is none of ${Object.keys(CASES).join(', ')}`)
  const teardowns: (() => unknown)[] = []
  const t = { teardown: (then: () => unknown) => void teardowns.push(then) }
  try {
    const etcd = settings.kv === 'etcd' ? await EtcdServers.start() : null
    if (etcd) t.teardown(() => etcd.stop())
    const kv = etcd?.url ?? settings.kv
    const cluster = new Cluster(t, kv)
    const proxies: TcpProxy[] = []
    if (found.cut === 'store') {
      if (!etcd) return print(`${found.says}: only with --kv etcd`)
      for (const host of etcd.hosts.split(',')) proxies.push(await TcpProxy.start(t, host))
      await cluster.node('n1', undefined, { kv: `etcd://${proxies.map(({ address }) => address).join(',')}` })
    } else if (found.cut === 'gateways') {
      const link = `127.0.0.1:${await freePort()}`
      proxies.push(await TcpProxy.start(t, link))
      await cluster.node('n1', link, { args: ['--advertise', proxies[0]!.address] })
      cluster.nodes.get('n1')!.link = proxies[0]!.address
    } else await cluster.node('n1')
    for (const node of ['n2', 'n3']) await cluster.node(node)
    const gateways = [await cluster.gateway(), await cluster.gateway()]
    await cluster.settled()
    const load = new FailoverLoad(gateways.map(({ port }) => port))
    t.teardown(() => load.close())
    await load.start(settings.callers)
    const stage = new Stage({ settings, cluster, load, etcd, gateways }, print)
    await sleep(WATCH_MS)
    load.reset()
    const [from, done] = [performance.now(), load.done]
    await sleep(WATCH_MS)
    const waits = load.waits(from, performance.now(), () => true)
    const rate = ((load.done - done) / (WATCH_MS / 1000)).toFixed(0)
    print(`undisturbed: p50 ${at(waits, 0.5)}, p99 ${at(waits, 0.99)}, max ${at(waits, 1)} ms, ${rate} tx/s`)
    await found.run(stage, settings.times || found.times, proxies)
    await load.stop()
    const all = async () => (await Promise.all([...cluster.nodes.values()].map((node) => node.fragments()))).flat()
    await eventually(
      async () => (await all()).every((f) => f.transactions === 0),
      'the end of every transaction',
      60_000
    )
    const breaches = load.judge.verdict()
    const words = breaches.length === 0 ? 'nothing' : breaches.slice(0, 3).join(' | ')
    print(`  the judge, of ${load.judge.transactions.size} transactions: ${words}`)
  } finally {
    for (const then of teardowns.reverse()) await then()
  }
}
