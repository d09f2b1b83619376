// A cluster on virtual time under a steady load, for what one failure costs the fragments that it does not concern: machine and processors
// are no part of it, so figures of before and after can be compared.
import { BranchStatus, BranchType } from '../../tc-core/wire/codes.ts'
import type { Log } from '../../tc-core/wire/log.ts'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import { random } from '../core/random.ts'
import { Connection, type Message } from './client.ts'
import { Cluster } from './cluster.ts'
import { BlockedKv } from './kv.ts'
import { Machine } from './machine.ts'
import { Network } from './network.ts'
import { Time } from './time.ts'

interface Sample {
  readonly fragment: number
  /** When it was answered, ms. */
  readonly at: number
  readonly ms: number
  readonly isCommit: boolean
}

/** What some fragments did within a while. */
export interface Figures {
  readonly commits: number
  readonly p99: number
}

const CLIENTS = 4
/** A transaction is begun so often, ms, however many are under way. */
const PACE_MS = 2
const TURN_MS = 20

export class Steady {
  readonly time = new Time()
  readonly kv: BlockedKv
  readonly cluster: Cluster
  /** Answers that were none, or said that something failed. */
  readonly failures: { fragment: number; text: string; ms: number }[] = []
  /** What RMs were asked to do. */
  readonly calls: Message[] = []
  /** What the processes log at level warn and above. */
  readonly warnings: string[] = []
  /** When requests were asked that have no answer yet, ms. */
  readonly open = new Map<Message, number>()
  readonly #samples: Sample[] = []
  readonly #clients: Connection[]
  #begun = 0

  constructor(seed: number, fragments: number) {
    const chance = (purpose: number) => random(seed * 16 + purpose)
    const network = new Network(this.time, chance(1))
    this.kv = new BlockedKv(network, chance(2), true, () => {})
    this.kv.weather = { lost: 0, applied: 0, late: 0, slow: 0, silent: false }
    const options = {
      nodes: 3,
      gateways: 2,
      fragments,
      lockParts: 0 as const,
      inflight: 1,
      snapshots: {},
      settings: {},
      without: undefined
    }
    const fails = (error: unknown) => {
      throw error
    }
    const warn = (_fields: object, text: string) => void this.warnings.push(text)
    const log: Log = { debug: () => {}, info: () => {}, warn, error: warn }
    this.cluster = new Cluster(network, chance(3), this.kv, options, () => log, fails)
    for (const slot of [...this.cluster.nodes, ...this.cluster.gateways]) slot.start()
    this.#clients = Array.from({ length: CLIENTS }, (_, i) => {
      const machine = new Machine(`app${i}`, `10.0.3.${i + 1}`, network, chance(4 + i))
      return new Connection(machine, {
        applicationId: `app${i}`,
        resources: ['tcc'],
        gateways: this.cluster.addresses,
        called: (message, answer) => {
          this.calls.push(message)
          answer(message.type === 3 ? BranchStatus.PhaseTwo_Committed : BranchStatus.PhaseTwo_Rollbacked)
        },
        silent: () => {}
      })
    })
  }

  /** Goes on for so long, virtual ms. */
  async pass(ms: number): Promise<void> {
    const until = this.time.now + ms
    this.time.at(until, () => {})
    await this.time.run(() => this.time.now >= until)
  }

  /** Goes on until it is so, for 10 s at most. */
  async until(condition: () => boolean): Promise<void> {
    for (const late = this.time.now + 10_000; !condition(); await this.pass(TURN_MS))
      if (this.time.now > late) throw new Error('it did not happen in 10 s')
  }

  /** From now on one transaction after the other is begun. */
  load(): void {
    this.time.after(PACE_MS, () => this.load())
    void this.#transaction(this.#clients[this.#begun++ % CLIENTS]!)
  }

  /** A request of a client, and its answer. */
  ask(message: Message): Promise<Message | null> {
    return new Promise((resolve) => this.#clients[0]!.request(message, resolve))
  }

  async #transaction(client: Connection): Promise<void> {
    const begun = await this.#ask(client, { type: 1, timeout: 60_000, transactionName: 'steady' }, -1)
    if (!begun) return
    const xid: string = begun.xid
    const fragment = fragmentOf(xid)
    const branch = { branchType: BranchType.TCC, resourceId: 'tcc', lockKey: '', applicationData: '' }
    await this.#ask(client, { type: 11, xid, ...branch }, fragment)
    await this.#ask(client, { type: 7, xid, extraData: '' }, fragment)
  }

  async #ask(client: Connection, message: Message, fragment: number): Promise<Message | null> {
    const start = this.time.now
    this.open.set(message, start)
    const answer = await new Promise<Message | null>((resolve) => client.request(message, resolve))
    this.open.delete(message)
    const at = this.time.now
    if (answer?.resultCode !== 1) this.failures.push({ fragment, text: answer?.msg ?? 'no answer', ms: at - start })
    else {
      // A begin is of no fragment: one that waited for a fragment that is closed may have gone to another.
      this.#samples.push({ fragment, at, ms: at - start, isCommit: message.type === 7 })
    }
    return answer?.resultCode === 1 ? answer : null
  }

  /** Of what was answered since `from`. */
  figures(from: number, fits: (fragment: number) => boolean): Figures {
    const samples = this.#samples.filter(({ at, fragment }) => at >= from && fits(fragment))
    const waits = samples.map(({ ms }) => ms).sort((a, b) => a - b)
    return { commits: samples.filter(({ isCommit }) => isCommit).length, p99: waits[Math.floor(waits.length * 0.99)]! }
  }

  /** The longest wait of what was answered since `from`, ms. */
  longest(from: number): number {
    return this.#samples.reduce((longest, { at, ms }) => (at >= from ? Math.max(longest, ms) : longest), 0)
  }

  /** Name of the node that leads each fragment, in the highest term. */
  get leaders(): (string | undefined)[] {
    const of = (fragment: number) => {
      const nodes = this.cluster.nodes.map(({ name, process }) => ({ name, host: process?.fragment(fragment) }))
      const leads = nodes.filter(({ host }) => host?.role === 'leader')
      return leads.sort((a, b) => b.host!.term - a.host!.term)[0]?.name
    }
    return Array.from({ length: this.cluster.options.fragments }, (_, fragment) => of(fragment))
  }

  /** Resolves when every node leads, and has done so for a while. */
  settled(): Promise<void> {
    const even = () => !this.leaders.includes(undefined) && new Set(this.leaders).size === this.cluster.nodes.length
    return this.until(even).then(() => this.pass(1_000))
  }
}
