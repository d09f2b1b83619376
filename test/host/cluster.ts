// A cluster in this process: nodes over one memory store with real links between them, a gateway in front, and a ledger of what it answers.
import { Gateway } from '../../gateway/gateway.ts'
import { Links, type LinksOptions } from '../../gateway/links.ts'
import { ClusterNode, type ClusterNodeOptions } from '../../tc-core/host/cluster-node.ts'
import { MemoryData } from '../../tc-core/storage/memory.ts'
import type { Storage } from '../../tc-core/storage/port.ts'
import { BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { DEFAULT_LIMITS } from '../../tc-core/wire/limits.ts'
import { SeataClient } from '../client/client.ts'
import { controlled, eventually, recordingLog } from './harness.ts'

type T = { teardown(then: () => unknown): void }

/** A store that takes a ms to write, as real ones do: records gather while they are on the way. */
function slow(data: MemoryData): Storage {
  const write = () => new Promise<void>((resolve) => setTimeout(resolve, 1))
  return controlled(data, { before: (kind) => (kind === 'setIfAbsent' ? write() : undefined) })
}

export class TestCluster {
  readonly data = new MemoryData()
  readonly nodes = new Map<string, ClusterNode>()
  readonly log = recordingLog()
  readonly #t: T
  readonly #rules

  constructor(t: T, rules = { fragments: 8, lockParts: 1, replicas: 3 }) {
    this.#t = t
    this.#rules = rules
  }

  /** Starts a node; resolves when it has joined. */
  async node(name: string, options: Partial<ClusterNodeOptions> = {}): Promise<ClusterNode> {
    const node = new ClusterNode({
      cluster: 'test',
      name,
      storage: slow(this.data),
      host: '127.0.0.1',
      port: 0,
      rules: this.#rules,
      settings: { retryPeriod: 50 },
      logger: this.log,
      ...options
    })
    this.nodes.set(name, node)
    this.#t.teardown(() => node.abort())
    await node.listen()
    await node.start('127.0.0.1:1')
    return node
  }

  /** Ends a node as a kill does. */
  kill(name: string): void {
    this.nodes.get(name)!.abort()
    this.nodes.delete(name)
  }

  async stop(name: string): Promise<void> {
    await this.nodes.get(name)!.stop(2000)
    this.nodes.delete(name)
  }

  /** The nodes that lead a fragment by their own word, the highest term first. */
  leadersOf(fragment: number): string[] {
    const leads: { name: string; term: number }[] = []
    for (const [name, node] of this.nodes) {
      const host = node.fragment(fragment)
      if (host?.role === 'leader') leads.push({ name, term: host.term })
    }
    return leads.sort((a, b) => b.term - a.term).map(({ name }) => name)
  }

  get leaders(): (string | undefined)[] {
    return Array.from({ length: this.#rules.fragments }, (_, fragment) => this.leadersOf(fragment)[0])
  }

  /** How many fragments each node leads. */
  get shares(): number[] {
    const { leaders } = this
    return [...this.nodes.keys()].map((name) => leaders.filter((leader) => leader === name).length)
  }

  /** Resolves when every fragment has one leader. */
  led(): Promise<void> {
    const one = () => this.leaders.every((_, fragment) => this.leadersOf(fragment).length === 1)
    return eventually(one, 'every fragment having one leader')
  }

  /** Resolves when every fragment has one leader, and no node leads more than one fragment more than another. */
  settled(): Promise<void> {
    const even = () => Math.max(...this.shares) - Math.min(...this.shares) <= 1
    const one = () => this.leaders.every((_, fragment) => this.leadersOf(fragment).length === 1)
    return eventually(() => one() && even(), 'every node leading its share')
  }

  /** A gateway to the nodes that are there now. */
  async gateway(
    more: Partial<LinksOptions> = {}
  ): Promise<{ links: Links; gateway: Gateway; client: () => Promise<SeataClient> }> {
    const [first] = [...this.nodes.values()]
    const nodes = first!.health.members.map(({ link }) => link)
    const given = { nodes, cluster: 'test', name: 'g1', logger: this.log }
    const links = new Links({ ...given, ...more })
    const gateway = new Gateway({
      host: '127.0.0.1',
      drain: 0,
      port: 0,
      strategy: 'consistent-hash',
      nearRows: true,
      limits: DEFAULT_LIMITS,
      upstream: links,
      logger: this.log,
      undoLogSaveDays: 7,
      undoLogDeletePeriod: 1e9
    })
    const { port } = await gateway.listen()
    links.start()
    this.#t.teardown(async () => {
      await gateway.stop(0)
      links.close()
    })
    await eventually(() => links.troubles().length === 0, 'the gateway knowing all leaders')
    const client = async () => {
      const c = await SeataClient.connect({ port })
      this.#t.teardown(() => c.close())
      await c.registerTM()
      return c
    }
    return { links, gateway, client }
  }
}

/** Callers that begin, register and commit without a pause, and remember what they were told. */
export class Load {
  readonly #client: SeataClient
  #stopped = false
  readonly #callers: Promise<void>[] = []
  readonly committed: string[] = []
  readonly failures: string[] = []
  /** Branches that phase two came for, with how often. */
  readonly carriedOut = new Map<bigint, number>()
  done = 0

  constructor(t: T, client: SeataClient, callers = 8) {
    this.#client = client
    t.teardown(() => {
      this.#stopped = true
    })
    client.onBranch = (branch, kind) => {
      this.carriedOut.set(branch.branchId, (this.carriedOut.get(branch.branchId) ?? 0) + 1)
      return kind === 'commit' ? 5 : 8
    }
    for (let caller = 0; caller < callers; caller++) this.#callers.push(this.#run(caller))
  }

  async #run(caller: number): Promise<void> {
    for (let n = 0; !this.#stopped; n++) {
      try {
        // Of many tables, so that every fragment guards some of the rows.
        await this.#transaction(`t${n % 16}:${caller}-${n}`)
      } catch (error) {
        this.failures.push((error as Error).message)
      }
      this.done++
    }
  }

  async #transaction(lockKey: string): Promise<void> {
    const begun = await this.#client.begin()
    if (begun.resultCode !== 1) throw new Error(`begin: ${begun.msg}`)
    const { xid } = begun
    const branch = await this.#client.register(xid, 'db', BranchType.AT, lockKey)
    if (branch.resultCode !== 1) throw new Error(`register: ${branch.msg}`)
    const ended = await this.#client.commit(xid)
    if (ended.resultCode !== 1 || ended.globalStatus !== GlobalStatus.Committed) {
      throw new Error(`commit: ${ended.globalStatus} ${ended.msg}`)
    }
    this.committed.push(xid)
  }

  /** Resolves when so many more transactions are through. */
  through(more: number): Promise<void> {
    const goal = this.done + more
    return eventually(() => this.done >= goal, `${more} more transactions`)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#callers)
  }
}
