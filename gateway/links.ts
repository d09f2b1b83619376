// The nodes as a gateway sees them over its links: who they are, who leads which fragment, and the way to each.
import type { CallOutcome, Client, Downstream, LinkRequest, Place, Upstream } from '../tc-core/wire/link.ts'
import type { Identity } from '../tc-core/wire/link-dial.ts'
import * as f from '../tc-core/wire/link-frames.ts'
import { type LockHomes, lockHomes, tablesHaveHomes } from '../tc-core/wire/lock-homes.ts'
import type { Log } from '../tc-core/wire/log.ts'
import { every, type Runtime, systemRuntime } from '../tc-core/wire/runtime.ts'
import { NodeLink, type NodeLinkOwner } from './node-link.ts'

/** What a node says of the cluster: see tc-core/scheduler/meta.ts. The one with the highest version is the newest. */
export interface ClusterView {
  /** Differs when the cluster was made anew on an emptied store. */
  readonly born: string
  readonly version: number
  readonly fragments: number
  /** See tc-core/wire/lock-homes.ts. */
  readonly lockParts: number
  readonly members: readonly {
    readonly name: string
    readonly link: string
    readonly http: string
    readonly role?: string
  }[]
}

export interface LinksOptions {
  /** `host:port` of some nodes: the others are learned from them. */
  readonly nodes: readonly string[]
  readonly cluster: string
  /** Of this gateway, for people. */
  readonly name: string
  readonly logger: Log
  /** The cluster's key; empty or not given: there is none. */
  readonly key?: string
  readonly runtime?: Runtime
}

/** A link to a node, for people. */
export interface LinkState {
  readonly node: string
  readonly address: string
  readonly up: boolean
  /** The node in between, when this one is not reached itself. */
  readonly through: string | null
  readonly leads: readonly number[]
}

/** How often the routes are checked against what the nodes said last, ms. */
const CHECK_MS = 1_000
/** Characters of a list of resource ids in one frame. */
const MAX_LIST_LENGTH = 256 * 1024

interface Leading {
  readonly link: NodeLink
  readonly term: number
}

export class Links implements Upstream, NodeLinkOwner {
  downstream: Downstream | null = null
  readonly identity: Identity
  readonly runtime: Runtime
  readonly #options: LinksOptions
  readonly #links = new Map<string, NodeLink>()
  readonly #leaders = new Map<number, Leading>()
  /** What every node is to know: the resources that each RM connection serves. */
  readonly #rms = new Map<string, Set<string>>()
  #view: ClusterView = { born: '', version: -1, fragments: 0, lockParts: 0, members: [] }
  #open: readonly number[] = []
  tableHomes: LockHomes | null = null
  #closed = false
  #turn = 0
  #checking: (() => void) | null = null
  /** Routes that were wrong and were put right. */
  mismatches = 0
  #place: Place | null = null
  #gateways: readonly Place[] = []
  /** Nodes that follow and never lead, of those that there is a link to. */
  learners = 0
  /** Called when other gateways or learners than before are there. */
  onGateways: () => void = () => {}

  constructor(options: LinksOptions) {
    this.#options = options
    const { cluster, name, key = '', runtime = systemRuntime } = options
    this.identity = { role: f.LinkRole.Gateway, cluster, name, writer: runtime.id(), key }
    this.runtime = runtime
  }

  start(): void {
    this.#redial()
    this.#checking = every(this.runtime, CHECK_MS, () => this.#check())
  }

  #redial(): void {
    for (const address of this.#options.nodes) this.#link(address)
  }

  close(): void {
    this.#closed = true
    this.#checking?.()
    for (const link of this.#links.values()) link.close()
  }

  get view(): ClusterView {
    return this.#view
  }

  /** Every node that there is a link to. */
  get state(): LinkState[] {
    return [...this.#links.values()].map(({ node, address, isUp, through, terms }) => ({
      node,
      address,
      up: isUp,
      through: through ?? null,
      leads: [...terms.keys()]
    }))
  }

  /** Who leads each fragment. */
  get leaders(): { fragment: number; leader: string | null }[] {
    return Array.from({ length: this.#view.fragments }, (_, fragment) => ({
      fragment,
      leader: this.#leaders.get(fragment)?.link.node ?? null
    }))
  }

  troubles(): string[] {
    if (this.#view.fragments === 0) return ['no node could be asked what the cluster is']
    return this.leaders.flatMap(({ fragment, leader }) =>
      leader === null ? [`fragment ${fragment}: nobody leads it`] : []
    )
  }

  #link(address: string): void {
    if (!this.#links.has(address)) this.#links.set(address, new NodeLink(address, this))
  }

  /** Where clients reach this gateway: told to every node. */
  placed(transaction: string, control: string): void {
    this.#place = { name: this.#options.name, transaction, control }
    this.#tellAll({ type: f.GatewayAt.code, transaction, control })
    this.gatewaysChanged()
  }

  /** This gateway stops: clients are not sent to it any more. */
  withdraw(): void {
    this.#place = null
    this.#tellAll({ type: f.GatewayAt.code, transaction: '', control: '' })
  }

  /** Every gateway of the cluster, this one first. */
  get gateways(): readonly Place[] {
    return this.#gateways
  }

  gatewaysChanged(): void {
    const { name } = this.#options
    const places = new Map<string, Place>(this.#place ? [[name, this.#place]] : [])
    for (const { gateways } of this.#links.values()) {
      for (const place of gateways) if (place.name !== name) places.set(place.name, place)
    }
    const [first, ...others] = places.values()
    const list = first ? [first, ...others.sort((a, b) => (a.name < b.name ? -1 : 1))] : []
    const up = new Set([...this.#links.values()].flatMap(({ isUp, address }) => (isUp ? address : [])))
    const learners = this.#view.members.filter(({ role, link }) => role === 'learner' && up.has(link)).length
    if (JSON.stringify(list) === JSON.stringify(this.#gateways) && learners === this.learners) return
    this.#gateways = list
    this.learners = learners
    this.onGateways()
  }

  /** `host:port` of the HTTP side of a node. */
  httpOf(node: string): string | undefined {
    return this.#view.members.find(({ name }) => name === node)?.http
  }

  up(link: NodeLink): void {
    if (this.#place) {
      const { transaction, control } = this.#place
      link.send({ type: f.GatewayAt.code, transaction, control })
    }
    this.#options.logger.info({ node: link.node, address: link.address }, 'the link to a node is up')
    for (const [clientId, resources] of this.#rms) {
      for (const resourceIds of lists(resources)) link.send({ type: f.RmServes.code, clientId, resourceIds })
    }
    this.#prune()
    this.gatewaysChanged()
  }

  /** They take turns: one of them may not reach it either. */
  through(link: NodeLink): string | undefined {
    const isWay = (l: NodeLink) => l !== link && l.isUp && !l.isQuiet && l.through === undefined
    const others = [...this.#links.values()].filter(isWay)
    return others[this.#turn++ % others.length]?.address
  }

  foreign(link: NodeLink, reason: string): void {
    this.#options.logger.error({ address: link.address, reason }, 'the address of a node is not of this cluster')
  }

  down(link: NodeLink, reason: string): void {
    this.#options.logger.warn({ node: link.node, address: link.address, reason }, 'the link to a node is down')
    this.#elect(link)
    this.gatewaysChanged()
    this.#redialWhenAlone()
  }

  /** All may have moved: what was given, names perhaps, leads to where they are now. It is dialled until somebody is there. */
  #redialWhenAlone(): void {
    if (!this.#closed && ![...this.#links.values()].some(({ isUp }) => isUp)) this.#redial()
  }

  leads(link: NodeLink): void {
    this.#elect(link)
  }

  /** Who leads what, after the word of one node changed. */
  #elect(changed: NodeLink): void {
    const touched = new Set<number>(changed.terms.keys())
    for (const [fragment, { link }] of this.#leaders) if (link === changed) touched.add(fragment)
    for (const fragment of touched) this.#route(fragment)
    if (touched.size === 0) return
    this.#openChanged()
    for (const fragment of touched) this.downstream?.servingChanged(fragment)
  }

  /** The highest term counts. False: it was routed so already. */
  #route(fragment: number): boolean {
    const before = this.#leaders.get(fragment)
    let best: Leading | undefined
    for (const link of this.#links.values()) {
      const term = link.terms.get(fragment)
      if (term !== undefined && (best === undefined || term > best.term)) best = { link, term }
    }
    if (best?.link === before?.link && best?.term === before?.term) return false
    if (best) this.#leaders.set(fragment, best)
    else this.#leaders.delete(fragment)
    // Whoever led before, and perhaps said itself that it does so no longer.
    if (best) for (const link of this.#links.values()) if (link !== best.link) link.giveUp(fragment)
    return true
  }

  /** Nothing is to depend on every change having been told in its moment, and in order. */
  #check(): void {
    this.#redialWhenAlone()
    const fragments = new Set(this.#leaders.keys())
    for (const { terms } of this.#links.values()) for (const fragment of terms.keys()) fragments.add(fragment)
    const wrong = [...fragments].filter((fragment) => this.#route(fragment))
    if (wrong.length === 0) return
    this.mismatches += wrong.length
    this.#options.logger.warn({ fragments: wrong }, 'routes were wrong and are put right')
    this.#openChanged()
    for (const fragment of wrong) this.downstream?.servingChanged(fragment)
  }

  /** Makes a route wrong: for tests. */
  corrupt(fragment: number, node: string): void {
    const link = [...this.#links.values()].find((other) => other.node === node)
    if (link) this.#leaders.set(fragment, { link, term: Number.MAX_SAFE_INTEGER })
    else this.#leaders.delete(fragment)
  }

  /** New transactions go to fragments that are led; where none is, to any: they are parked there. */
  #openChanged(): void {
    const all = Array.from({ length: this.#view.fragments }, (_, fragment) => fragment)
    const led = all.filter((fragment) => this.#leaders.has(fragment))
    const open = led.length > 0 ? led : all
    if (open.join() === this.#open.join()) return
    this.#open = open
    this.downstream?.fragmentsChanged()
  }

  /** Takes in what a node knows of the cluster, if it is newer: dials who is new, lets go who left. */
  viewed(link: NodeLink, json: string): void {
    const view = JSON.parse(json) as ClusterView
    link.born = view.born
    const known = this.#view
    const all = [...this.#links.values()]
    // A cluster that was made anew counts its versions from the start; it is believed when nobody is left of the one before.
    const older =
      view.born === known.born ? view.version <= known.version : all.some((l) => l.isUp && l.born === known.born)
    if (known.version >= 0 && older) return
    this.#view = view
    if (view.born !== known.born || view.fragments !== known.fragments)
      this.tableHomes = tablesHaveHomes(view) ? lockHomes(view) : null
    for (const { link } of view.members) this.#link(link)
    this.#prune()
    this.#openChanged()
    this.gatewaysChanged()
  }

  /**
   * Lets go who left. An address that was given stays until there is a link to its node under the one that the nodes say, or the nodes say
   * that there is no such node any more.
   */
  #prune(): void {
    const { members } = this.#view
    const addresses = new Set(members.map((member) => member.link))
    const reached = new Set(
      [...this.#links.values()].flatMap((l) => (l.isUp && addresses.has(l.address) ? l.node : []))
    )
    for (const [address, link] of this.#links) {
      const { node } = link
      const left = reached.size > 0 && node !== '' && !members.some(({ name }) => name === node)
      const given = this.#options.nodes.includes(address) && !reached.has(node) && !left
      if (addresses.has(address) || given) continue
      this.#links.delete(address)
      link.close()
    }
  }

  call(
    { node }: NodeLink,
    call: Extract<f.LinkFrame, { type: typeof f.Call.code }>,
    done: (outcome: CallOutcome) => void
  ): void {
    if (!this.downstream) return done('not-connected')
    this.downstream.call({ ...call, node, kind: call.kind === 0 ? 'commit' : 'rollback' }, done)
  }

  request(request: LinkRequest): void {
    const leader = this.#leaders.get(request.fragment)
    if (!leader?.link.request(request)) request.refuse('unavailable')
  }

  rmServes(clientId: string, resourceIds: readonly string[]): void {
    let resources = this.#rms.get(clientId)
    if (!resources) this.#rms.set(clientId, (resources = new Set()))
    for (const resourceId of resourceIds) resources.add(resourceId)
    this.#tellAll({ type: f.RmServes.code, clientId, resourceIds: resourceIds.join(',') })
  }

  rmDrops(clientId: string, resourceIds: readonly string[]): void {
    const resources = this.#rms.get(clientId)
    for (const resourceId of resourceIds) resources?.delete(resourceId)
    this.#tellAll({ type: f.RmDrops.code, clientId, resourceIds: resourceIds.join(',') })
  }

  clientGone(client: Client): void {
    for (const link of this.#links.values()) link.clientGone(client)
    if (this.#rms.delete(client.clientId)) this.#tellAll({ type: f.RmGone.code, clientId: client.clientId })
  }

  #tellAll(frame: f.LinkFrame): void {
    for (const link of this.#links.values()) if (link.isUp) link.send(frame)
  }

  openFragments(): readonly number[] {
    return this.#open
  }

  serves(fragment: number): boolean {
    return this.#leaders.get(fragment)?.link.isUp ?? false
  }

  exists(fragment: number): boolean {
    return fragment < this.#view.fragments
  }
}

/** Resource ids, a comma between two, in as many lists as it takes for none to come near the bound of a frame. */
function lists(resourceIds: Iterable<string>): string[] {
  const all: string[] = []
  let list: string[] = []
  let length = 0
  for (const resourceId of resourceIds) {
    list.push(resourceId)
    length += resourceId.length
    if (length < MAX_LIST_LENGTH) continue
    all.push(list.join(','))
    list = []
    length = 0
  }
  return list.length > 0 ? [...all, list.join(',')] : all
}
