// A node of a cluster: joins it, holds its replicas, and talks to gateways and other nodes over links.
import type { AddressInfo } from 'node:net'
import { DEFAULT_SETTINGS, type Settings } from '../core/fragment.ts'
import { homesOf } from '../core/homes.ts'
import type { Rule } from '../replication/rules.ts'
import type { Member, Meta } from '../scheduler/meta.ts'
import { join, type PlacementRules } from '../scheduler/place.ts'
import type { Storage } from '../storage/port.ts'
import { formatAddress, reachable } from '../wire/address.ts'
import { Writer } from '../wire/bytes.ts'
import { type HomeMessage, RowsFreed, readHomeMessage, writeHomeMessage } from '../wire/home.ts'
import { DEFAULT_LIMITS } from '../wire/limits.ts'
import * as f from '../wire/link-frames.ts'
import type { LockHomes } from '../wire/lock-homes.ts'
import type { Log } from '../wire/log.ts'
import { type Runtime, systemRuntime } from '../wire/runtime.ts'
import type { Tracing } from '../wire/tracing.ts'
import type { NodeFigures } from './figures.ts'
import { FragmentHost } from './fragment-host.ts'
import type { FragmentHealth } from './fragment-options.ts'
import { GatewayEnd } from './gateway-end.ts'
import { type LinkEnd, LinkServer } from './link-server.ts'
import { Membership } from './membership.ts'
import { MetaLog } from './meta-log.ts'
import { DEFAULT_SNAPSHOTS, INFLIGHT, WINDOW } from './node.ts'
import { Peers } from './peers.ts'
import { Pulse } from './pulse.ts'
import { Replicas } from './replicas.ts'
import { RmDirectory } from './rm-directory.ts'
import type { SnapshotPolicy } from './snapshots.ts'
import { Word } from './word.ts'

export interface ClusterNodeOptions {
  readonly cluster: string
  /** Unique in the cluster, and the same after a restart. */
  readonly name: string
  readonly storage: Storage
  /** Where gateways and other nodes dial. */
  readonly host: string
  readonly port: number
  /** `host:port` that others are told; default: where it listens. */
  readonly advertise?: string
  readonly rules: PlacementRules
  /** It follows every fragment and never leads. */
  readonly learner?: boolean
  /** What all processes of the cluster share to know each other; none: links are taken from anybody. */
  readonly key?: string
  readonly settings?: Partial<Settings>
  readonly snapshots?: Partial<SnapshotPolicy>
  readonly logger: Log
  readonly runtime?: Runtime
  /** Default: nothing is traced. */
  readonly tracing?: Tracing | undefined
  readonly figures?: NodeFigures | undefined
  /** Appends that a leader has on the way, WINDOW at most. */
  readonly inflight?: number
  /** Only in tests: a rule of the log that is not kept. */
  readonly without?: Rule
}

export interface ClusterNodeHealth {
  readonly name: string
  readonly store: string
  /** Why the node as a whole does not do; null when it does. */
  readonly trouble: string | null
  readonly members: readonly (Member & { readonly up: boolean })[]
  readonly gateways: readonly string[]
  readonly fragments: readonly FragmentHealth[]
}

/** What needs no event to happen: waits that end. */
const TICK_MS = 50
/** How often the cluster's own log is read and other nodes are told what they should know already, ms. */
const META_MS = 1_000

export class ClusterNode {
  readonly membership: Membership
  readonly #options: ClusterNodeOptions
  readonly #runtime: Runtime
  readonly #writer: bigint
  readonly #directory: RmDirectory
  readonly #server: LinkServer
  readonly #peers: Peers
  readonly #gateways = new Set<GatewayEnd>()
  readonly #metaLog: MetaLog
  readonly #pulse: Pulse
  readonly #replicas: Replicas
  readonly #scratch = new Writer(1024)
  #homes: LockHomes | null = null
  #address: AddressInfo | null = null
  /** What others are told to dial. */
  #link = ''
  /** What this node says of itself: gateways and other nodes hear what it leads, and other nodes how far it is. */
  readonly #words = {
    leads: new Word((frame) => this.#peers.tell(frame)),
    serves: new Word((frame) => {
      for (const gateway of this.#gateways) gateway.send(frame)
    }),
    follows: new Word((frame) => this.#peers.tell(frame))
  }
  #metaReadAt = 0
  #ticking: (() => void) | null = null
  #deciding = false
  #closed = false
  #trouble: string | null = null

  constructor(options: ClusterNodeOptions) {
    const { cluster, name, storage, rules, key = '', logger, runtime = systemRuntime } = options
    const writer = runtime.id()
    this.#options = options
    this.#runtime = runtime
    this.#writer = writer
    this.#directory = new RmDirectory(() => runtime.now())
    this.#metaLog = new MetaLog({
      lane: storage.lane('meta'),
      cluster,
      node: name,
      writer,
      now: () => runtime.now(),
      sleep: (ms) => runtime.sleep(ms),
      onTrouble: (error) => {
        const trouble = error ? `the store: ${error.message}` : null
        const before = this.#trouble
        this.#trouble = trouble
        if ((trouble === null) === (before === null)) return
        if (trouble === null) logger.info({}, 'the store is back')
        else logger.warn({ trouble }, 'the store fails')
      },
      abandoned: () => this.#closed
    })
    this.#pulse = new Pulse({ lane: storage.lane('pulse'), clock: runtime, cluster, name, writer })
    this.#peers = new Peers({
      identity: { role: f.LinkRole.Node, cluster, name, writer, key },
      logger,
      runtime,
      changed: () => this.#decideSoon(),
      up: (peer) => this.#introduce(peer)
    })
    const { meta } = this.#metaLog
    this.#replicas = new Replicas({
      name,
      clock: runtime,
      meta,
      peers: this.#peers,
      pulse: this.#pulse,
      storeSilence: () => this.#metaLog.silence,
      create: (fragment) => this.#create(fragment, meta)
    })
    this.membership = new Membership({
      ...{ name, rules, clock: runtime, metaLog: this.#metaLog, peers: this.#peers, pulse: this.#pulse },
      holds: () => ({
        replicas: this.#replicas.size,
        leads: this.#replicas.leads().map(({ fragment }) => fragment)
      }),
      changed: () => this.#metaChanged()
    })
    this.#server = new LinkServer({
      ...{ cluster, name, writer, key, logger, runtime },
      isMember: (link) => [...this.#metaLog.meta.members.values()].some((member) => member.link === link),
      gateway: (connection, hello) => this.#gatewayCame(new GatewayEnd(hello, connection, this.#gatewayOwner())),
      node: (_connection, hello) => {
        if (!this.#metaLog.meta.members.has(hello.name)) this.#metaReadAt = 0
        return { frame: (frame) => this.#heard(hello.name, frame), closed: this.#peers.came(hello.name) }
      }
    })
  }

  #create(fragment: number, meta: Meta): FragmentHost {
    const { cluster, name, storage, settings, snapshots, logger, tracing, figures, inflight, without } = this.#options
    // The same for all, and for ever.
    this.#homes ??= homesOf(meta)
    return new FragmentHost({
      cluster,
      fragment,
      node: name,
      writer: this.#writer,
      window: WINDOW,
      inflight: inflight ?? INFLIGHT,
      storage,
      settings: { ...DEFAULT_SETTINGS, limits: DEFAULT_LIMITS, homes: this.#homes, ...settings },
      snapshots: { ...DEFAULT_SNAPSHOTS, ...snapshots },
      clock: this.#runtime,
      logger,
      tracing,
      figures,
      without,
      downstream: () => this.#directory,
      between: (from, to, term, message, trace) => this.#between(from, to, term, message, trace),
      whenDeposed: 'follow',
      changed: () => this.#decideSoon(),
      // Nobody waits: who takes over reads to the end of the log anyway.
      confirmed: (record) => this.#peers.pass(meta.nodesOf(fragment), { type: f.Appended.code, fragment, record })
    })
  }

  /** To the leader of another fragment, here or elsewhere; when nobody is known to lead it, it is lost. */
  #between(from: number, to: number, term: number, message: HomeMessage, trace: string): void {
    const here = this.#replicas.host(to)
    // Never within the step that says it: the other fragment may be in one of its own.
    if (here?.role === 'leader') return this.#runtime.defer(() => here.between(from, term, message, trace))
    const leader = this.#peers.leaderOf(to)
    if (!leader) return
    this.#scratch.pos = 0
    writeHomeMessage(this.#scratch, message)
    const frame = { type: f.Between.code, from, to, term, trace, body: this.#scratch.written }
    leader.peer.send(frame, message.type === RowsFreed.code)
  }

  #gatewayOwner() {
    return {
      directory: this.#directory,
      request: this.#replicas.request.bind(this.#replicas),
      resources: (resourceIds: readonly string[]) => this.#replicas.resources(resourceIds),
      placed: () => this.#tellGateways(),
      used: (gateway: GatewayEnd) => {
        for (const other of this.#gateways) if (other !== gateway && other.writer === gateway.writer) other.replaced()
      }
    }
  }

  #gatewayCame(gateway: GatewayEnd): LinkEnd {
    this.#gateways.add(gateway)
    this.#options.logger.info({ gateway: gateway.name }, 'a gateway came')
    this.#introduce(gateway)
    return {
      frame: (frame) => gateway.frame(frame),
      closed: () => {
        this.#gateways.delete(gateway)
        gateway.closed()
        this.#tellGateways()
        this.#options.logger.info({ gateway: gateway.name }, 'a gateway left')
      }
    }
  }

  /** What everybody is told who comes. */
  #introduce(other: { send(frame: f.LinkFrame): void }): void {
    other.send(this.#view())
    other.send({ type: f.Leads.code, list: this.#replicas.leads() })
    other.send(this.#replicas.follows())
  }

  /** Gateways do not know each other: they hear of each other from the nodes. */
  #tellGateways(): void {
    const places = [...this.#gateways].flatMap(({ place }) => place ?? [])
    for (const gateway of this.#gateways) gateway.send({ type: f.Gateways.code, json: JSON.stringify(places) })
  }

  #view(): f.LinkFrame {
    const { meta, version, born } = this.#metaLog
    const { fragments, lockParts } = meta
    const view = { born, version, fragments, lockParts, members: [...meta.members.values()] }
    return { type: f.View.code, json: JSON.stringify(view) }
  }

  /** What another node says over the link that it dialled. */
  #heard(name: string, frame: f.LinkFrame): void {
    switch (frame.type) {
      case f.Appended.code:
        return this.#replicas.appended(frame.fragment, frame.record)
      case f.Between.code: {
        const message = readHomeMessage(frame.body)
        if (message) this.#replicas.host(frame.to)?.between(frame.from, frame.term, message, frame.trace)
        return
      }
      case f.HandOver.code:
        this.#peers.stoppedLeading(name, frame.fragment)
        return this.#replicas.handedOver(frame.fragment, frame.index, frame.to)
      case f.View.code:
        if ((JSON.parse(frame.json) as { version: number }).version > this.#metaLog.version) this.#metaReadAt = 0
        return
      default:
        this.#peers.told(name, frame)
    }
  }

  /** Listens for links; resolves with where. */
  async listen(): Promise<AddressInfo> {
    this.#address = await this.#server.listen(this.#options.host, this.#options.port)
    return this.#address
  }

  /**
   * Joins the cluster. Resolves when every replica here has read its log, or is found to be unable to: see `health`.
   * @param http `host:port` of this node's HTTP side
   */
  async start(http: string): Promise<void> {
    const { name, rules, learner, advertise } = this.#options
    const { address, port } = this.#address!
    const link = advertise ?? formatAddress({ address: reachable(address), port })
    this.#pulse.beat()
    this.#link = link
    await this.#metaLog.change((meta) => join(meta, { name, link, http }, rules, learner))
    await this.#metaChanged()
    this.#tick()
  }

  /** Two nodes of one name would take the lead from each other for ever: the one that came first leaves. So does who was removed. */
  async #takeNoPart(why: string): Promise<void> {
    const { name, logger } = this.#options
    this.#trouble = `${why}: this one takes no more part`
    logger.error({ name }, this.#trouble)
    await this.stop(0)
  }

  async #metaChanged(): Promise<void> {
    if (this.#closed) return
    const { name, logger } = this.#options
    const { members } = this.#metaLog.meta
    const link = members.get(name)?.link
    if (link === undefined) return this.#takeNoPart(`the node ${name} was removed from the cluster`)
    if (link !== this.#link) return this.#takeNoPart(`another node has joined under the name ${name}`)
    const list = [...members.values()].map(({ name, role }) => (role === 'member' ? name : `${name} (${role})`))
    logger.info({ members: list, version: this.#metaLog.version }, 'the cluster has changed')
    this.#peers.set(members.values())
    const view = this.#view()
    for (const gateway of this.#gateways) gateway.send(view)
    this.#peers.tell(view)
    await this.#replicas.placed()
  }

  #tick(): void {
    if (this.#closed) return
    this.#ticking = this.#runtime.timer(TICK_MS, () => this.#tick())
    this.#directory.sweep()
    const now = this.#runtime.now()
    if (now - this.#metaReadAt >= META_MS) {
      this.#metaReadAt = now
      for (const word of Object.values(this.#words)) word.repeat()
      this.#metaLog.readOn().then(
        (news) => (news ? this.#metaChanged() : undefined),
        (error) => {
          if (!this.#closed) this.#options.logger.error({ err: error }, 'the log of the cluster cannot be read')
        }
      )
    }
    this.#decide()
  }

  /** At the end of this turn of the event loop: several things may change in one. */
  #decideSoon(): void {
    if (this.#deciding) return
    this.#deciding = true
    this.#runtime.defer(() => {
      this.#deciding = false
      if (!this.#closed) this.#decide()
    })
  }

  #decide(): void {
    this.#replicas.decide()
    // First, for nobody is to wait for one that is not ready.
    this.#words.follows.say(this.#replicas.follows())
    this.#words.leads.say({ type: f.Leads.code, list: this.#replicas.leads(true) })
    this.#words.serves.say({ type: f.Leads.code, list: this.#replicas.leads() })
  }

  /** Hands its fragments on, `ms` at most, and closes its links. The store stays open: who opened it closes it. */
  async stop(ms: number): Promise<void> {
    await this.#replicas.stop(ms)
    this.#decide()
    // What was said last still has to be read: a link that is closed with something unread may take it along.
    await this.#runtime.sleep(20)
    this.abort()
  }

  /** Ends at once and without a word, as a process that is killed. */
  abort(): void {
    this.#closed = true
    this.#ticking?.()
    this.#pulse.stop()
    this.#server.close()
    this.#peers.close()
    this.#replicas.abort()
  }

  /** The replica of a fragment, when there is one here. */
  fragment(fragment: number): FragmentHost | undefined {
    return this.#replicas.host(fragment)
  }

  get health(): ClusterNodeHealth {
    const { name, storage } = this.#options
    const members = [...this.#metaLog.meta.members.values()].map((member) => ({
      ...member,
      up: member.name === name || (this.#peers.get(member.name)?.isUp ?? false)
    }))
    return {
      name,
      store: storage.url,
      trouble: this.#trouble,
      members,
      gateways: [...this.#gateways].map((gateway) => gateway.name),
      fragments: this.#replicas.health
    }
  }
}
