// The gateway: stateless, in front of the nodes. It finds a request's fragment, sends or parks it, and carries phase two to the RMs.
import type { AddressInfo } from 'node:net'
import { reachable } from '../tc-core/wire/address.ts'
import { Reader, Writer } from '../tc-core/wire/bytes.ts'
import { type AnswerCode, errorMessage } from '../tc-core/wire/errors.ts'
import { str16 } from '../tc-core/wire/fields.ts'
import type { Family } from '../tc-core/wire/figures.ts'
import { type Limits, MAX_HELD_BYTES, MAX_UNREAD_BYTES } from '../tc-core/wire/limits.ts'
import type { BranchCall, CallOutcome, Client, Downstream, Refusal, Upstream } from '../tc-core/wire/link.ts'
import type { LockHomes } from '../tc-core/wire/lock-homes.ts'
import { type Log, RateLimited } from '../tc-core/wire/log.ts'
import { BranchRegister, isBadBody } from '../tc-core/wire/messages/index.ts'
import { every, exactNow, type Runtime, systemRuntime } from '../tc-core/wire/runtime.ts'
import { NO_TRACING, type Tracing } from '../tc-core/wire/tracing.ts'
import { Begins, NOWHERE } from './begins.ts'
import { GatewayFigures } from './figures.ts'
import { failedBody, Intake, type IntakeTarget, type Overload } from './intake.ts'
import { Listener } from './listener.ts'
import { PARK_MS, Park } from './park.ts'
import type { Failure, Pending } from './pending.ts'
import { PhaseTwo } from './phase-two.ts'
import { type ShardingStrategy, shardingStrategy } from './ring.ts'
import { fragmentOfXid, treatmentOf } from './route.ts'
import type { ClientSession } from './session.ts'
import { GatewayTracing } from './tracing.ts'
import { XidSource } from './xid-source.ts'

export interface GatewayOptions {
  readonly host: string
  readonly port: number
  /** `host:port` in XIDs; default: where it listens. */
  readonly advertise?: string
  readonly strategy: string
  /** Transactions begin in the fragment that guards the rows which others of their name locked. */
  readonly nearRows: boolean
  readonly limits: Limits
  /** Ms for which its clients are served on when it stops, for others serve them afterwards; 0: there are no others. */
  readonly drain: number
  readonly upstream: Upstream
  readonly logger: Log
  /** Default: nothing is traced. */
  readonly tracing?: Tracing | undefined
  /** Days that RMs keep undo logs (Seata's `server.undo.logSaveDays`). */
  readonly undoLogSaveDays: number
  /** Ms between two UndoLogDelete (Seata's `server.undo.logDeletePeriod`). */
  readonly undoLogDeletePeriod: number
  readonly runtime?: Runtime
}

/** The first UndoLogDelete after a start: Java's own delay. */
const UNDO_LOG_DELAY_MS = 180_000
const PARK_SWEEP_MS = 20
/** How long begins are refused here after a fragment refused one because RMs do not keep up, ms: to ask it each time costs what it lacks. */
const REST_MS = 10
const RM_BEHIND = errorMessage('SEATA_RM_BEHIND')
const DRAIN_POLL_MS = 5
/** A client's connection that is silent for so long is closed without further ado when this gateway stops, ms. */
const QUIET_MS = 100
/** How long the last requests of a connection are taken, ms, so that it ends when nobody waits for an answer. */
const LAST_REQUESTS_MS = 250
/** How long calls for RMs are still answered when all connections are closed, ms. */
const LAST_CALLS_MS = 250

export class Gateway implements Downstream, IntakeTarget {
  readonly phaseTwo = new PhaseTwo(() => this.now())
  readonly figures = new GatewayFigures()
  readonly #options: GatewayOptions
  readonly #runtime: Runtime
  readonly #listener: Listener
  readonly #tracing: GatewayTracing
  readonly #park: Park
  readonly #reader = new Reader(Buffer.alloc(0))
  readonly #scratch = new Writer(1024)
  /** `host:port` where clients reach it, once it listens. */
  advertised = ''
  #xids: XidSource | null = null
  /** Over all fragments, led or not: it takes ms to make, and who leads what changes more often than what there is. */
  #ring: ShardingStrategy
  #timers: (() => void)[] = []
  /** Runs while anything is parked. */
  #sweeper: (() => void) | null = null
  readonly #begins = new Begins()
  /** Where the identities of this gateway's requests begin: it is drawn, so that no two gateways ever give the same. */
  readonly #firstIdentity: bigint
  #lastNumber = 0
  #draining = false
  readonly #overloads = new RateLimited()
  /** Begins are refused until then, ms; 0: they never were. */
  #restUntil = 0

  /** Throws when the strategy has no such name. */
  constructor(options: GatewayOptions) {
    const { limits, logger, upstream, runtime = systemRuntime } = options
    this.#options = options
    this.#tracing = new GatewayTracing(options.tracing ?? NO_TRACING)
    this.#runtime = runtime
    this.#firstIdentity = runtime.id()
    this.#park = new Park(limits.maxParked)
    this.#ring = shardingStrategy(options.strategy, this.#fragments())
    const intake = new Intake(this)
    this.#listener = new Listener({
      maxClients: limits.maxClients,
      maxInFlight: limits.maxInFlight,
      maxHeld: MAX_HELD_BYTES,
      maxUnread: MAX_UNREAD_BYTES,
      traffic: this.figures.traffic,
      logger,
      runtime,
      frame: (session, frame) => intake.frame(session, frame),
      lost: (id) => this.phaseTwo.lost(id),
      closed: (session) => this.#closed(session)
    })
    upstream.downstream = this
  }

  /** Resolves with the address; rejects when the port is taken. */
  async listen(): Promise<AddressInfo> {
    const { host, port, undoLogDeletePeriod, undoLogSaveDays } = this.#options
    const address = await this.#listener.listen(host, port)
    this.advertised = this.#options.advertise ?? `${reachable(address.address)}:${address.port}`
    this.#xids = new XidSource(this.advertised, this.#runtime)
    const repeat = (ms: number, then: () => void) => this.#timers.push(every(this.#runtime, ms, then))
    repeat(1000, () => this.phaseTwo.sweep())
    const deleteUndoLogs = () => this.phaseTwo.deleteUndoLogs(undoLogSaveDays)
    this.#timers.push(
      this.#runtime.timer(UNDO_LOG_DELAY_MS, () => {
        deleteUndoLogs()
        repeat(undoLogDeletePeriod, deleteUndoLogs)
      })
    )
    return address
  }

  now(): number {
    return this.#runtime.now()
  }

  get connections(): number {
    return this.#listener.sessions.size
  }

  /** What it counts. */
  get families(): Family[] {
    return this.figures.families({
      connections: () => this.connections,
      waiting: () => this.#listener.waiting,
      parked: () => this.parked,
      calls: () => this.phaseTwo.size
    })
  }

  get traces(): boolean {
    return this.#tracing.on
  }

  get parked(): number {
    return this.#park.size
  }

  /** Why nothing more should begin: too many requests wait, or a fragment said just now that RMs do not keep up. Null: it may. */
  overload(): Overload | null {
    const { waiting } = this.#listener
    const full = waiting >= this.#options.limits.maxWaiting
    if (!full && (this.#restUntil === 0 || this.now() >= this.#restUntil)) return null
    const why: Overload = full ? ['SEATA_OVERLOADED', waiting] : ['SEATA_RM_BEHIND']
    this.figures.overloaded++
    this.#overloads.pass(this.now(), (held) =>
      this.#options.logger.warn({ code: why[0], waiting, held }, 'too much waits: begins are refused')
    )
    return why
  }

  /** Finds the fragment of a request and sends it there. */
  dispatch(pending: Pending): void {
    if (treatmentOf(pending.type) === 'begin') {
      if (this.#draining) return this.#fail(pending, 'SEATA_SHUTTING_DOWN')
      pending.fragment = this.#fragmentOfBegin(pending)
      return this.#send(pending, '')
    }
    let xid: string
    try {
      const reader = this.#reader.reset(pending.bytes, pending.start + 2, pending.end)
      xid = str16.read(reader, pending.dialect)
      const homes = pending.type === BranchRegister.code ? this.#homes : null
      if (homes) this.#begins.registers(xid, reader, pending.dialect, homes)
    } catch (error) {
      if (!isBadBody(error)) throw error
      return this.#fail(pending, 'SEATA_BODY_UNREADABLE', error.message)
    }
    pending.fragment = fragmentOfXid(xid, (fragment) => this.#options.upstream.exists(fragment), this.#ring)
    this.#send(pending, xid)
  }

  #fragmentOfBegin(pending: Pending): number {
    const { upstream } = this.#options
    const ground = {
      open: upstream.openFragments(),
      ring: this.#ring,
      homes: this.#homes,
      waiting: this.#listener.waiting
    }
    return this.#begins.fragmentOf(pending, ground)
  }

  /** Null: begins do not go by it. */
  get #homes(): LockHomes | null {
    return this.#options.nearRows ? this.#options.upstream.tableHomes : null
  }

  /** All that there are. */
  #fragments(): number[] {
    const all: number[] = []
    while (this.#options.upstream.exists(all.length)) all.push(all.length)
    return all
  }

  /** @param xid empty: a begin's */
  #send(pending: Pending, xid: string): void {
    pending.number = ++this.#lastNumber
    const isBegin = treatmentOf(pending.type) === 'begin'
    const { fragment, since } = pending
    if (isBegin) {
      pending.proposed = this.#xids!.next(fragment, since, this.#tracing.on && this.#tracing.takes(pending))
      if (this.#homes) this.#begins.begun(pending)
    }
    if (this.#tracing.on) this.#tracing.dispatched(pending, isBegin ? pending.proposed : xid, isBegin)
    this.#forward(pending)
  }

  #forward(pending: Pending): void {
    pending.spans?.leaves()
    // The first time it goes in the same moment in which it came.
    if (pending.forwarded) pending.waited = Math.min(PARK_MS, this.now() - pending.since)
    pending.forwarded = true
    this.#options.upstream.request(pending)
  }

  identityOf(number: number): bigint {
    return BigInt.asIntN(64, this.#firstIdentity + BigInt(number))
  }

  answered(pending: Pending, failure: Failure | null): void {
    const seconds = (exactNow() - pending.came) / 1000
    if (failure?.message === RM_BEHIND) this.#restUntil = this.now() + REST_MS
    this.figures.answered(pending.type, failure, seconds, pending.spans?.traceId)
  }

  refused(pending: Pending, reason: Refusal): void {
    this.figures.refused(reason)
    pending.spans?.refused(reason)
    if (pending.session.closed) return this.#abandon(pending)
    if (reason === 'xid-taken') {
      pending.again = false
      return this.#send(pending, '')
    }
    if (reason === 'lost') {
      if (!pending.kept) return this.#fail(pending, 'SEATA_UNAVAILABLE', pending.fragment)
      pending.again = true
    }
    if (this.now() - pending.since >= PARK_MS) return this.#fail(pending, 'SEATA_UNAVAILABLE', pending.fragment)
    if (this.#isFree(pending)) return this.dispatch(pending)
    this.figures.parked++
    pending.spans?.parked(pending.fragment)
    if (!this.#park.add(pending)) this.#fail(pending, 'SEATA_OVERLOADED', this.#park.size)
    this.#sweeper ??= this.#runtime.timer(PARK_SWEEP_MS, () => this.#sweepPark())
  }

  /** Its client is gone, and with it whoever would hear the answer. */
  #abandon(pending: Pending): void {
    pending.spans?.end({ type: 'client-gone', message: 'the client is gone' })
  }

  /** What was parked and need not wait any longer. */
  #unpark(taken: readonly Pending[], then: (pending: Pending) => void): void {
    for (const pending of taken) {
      if (pending.session.closed) this.#abandon(pending)
      else then(pending)
    }
  }

  /** A begin that nobody can have executed, for a fragment that takes none now: it may as well go to another. */
  #isFree(pending: Pending): boolean {
    if (pending.again || treatmentOf(pending.type) !== 'begin') return false
    const open = this.#options.upstream.openFragments()
    return !this.#draining && open.length > 0 && !open.includes(pending.fragment)
  }

  #fail(pending: Pending, code: AnswerCode, ...details: unknown[]): void {
    const known = details.map((detail) => (detail === NOWHERE ? 'any' : detail))
    pending.answer(failedBody(this.#scratch, pending.type, pending.client.version, pending.dialect, code, ...known))
  }

  #sweepPark(): void {
    this.#sweeper = null
    for (const fragment of this.#park.fragments()) this.servingChanged(fragment)
    const before = this.now() - PARK_MS
    const old = this.#park.takeIf((pending) => pending.since < before)
    for (const pending of old) this.#fail(pending, 'SEATA_UNAVAILABLE', pending.fragment)
    if (this.#park.size > 0) this.#sweeper ??= this.#runtime.timer(PARK_SWEEP_MS, () => this.#sweepPark())
  }

  fragmentsChanged(): void {
    const { strategy } = this.#options
    const all = this.#fragments()
    if (all.length !== this.#ring.getAllGroups().length) this.#ring = shardingStrategy(strategy, all)
    this.#begins.changed()
    const homeless = this.#park.takeIf((pending) => pending.fragment === NOWHERE || this.#isFree(pending))
    this.#unpark(homeless, (pending) => this.dispatch(pending))
  }

  servingChanged(fragment: number): void {
    const { upstream } = this.#options
    if (!upstream.serves(fragment)) return
    this.#unpark(this.#park.take(fragment), (pending) => this.#forward(pending))
  }

  rmServes(session: ClientSession, resourceIds: readonly string[]): void {
    this.phaseTwo.add(session, resourceIds)
    if (resourceIds.length > 0) this.#options.upstream.rmServes(session.client!.clientId, resourceIds)
  }

  rmDrops(session: ClientSession, resourceIds: readonly string[]): void {
    this.phaseTwo.drop(session, resourceIds)
    if (session.client) this.#options.upstream.rmDrops(session.client.clientId, resourceIds)
  }

  renamed(session: ClientSession, before: Client): void {
    const { upstream } = this.#options
    upstream.clientGone(before)
    if (!session.isRm) return
    this.phaseTwo.renamed(session, before.clientId)
    if (session.resources.size > 0) upstream.rmServes(session.client!.clientId, [...session.resources])
  }

  call(call: BranchCall, done: (outcome: CallOutcome) => void): void {
    const traced = call.trace ? this.#tracing.called(call, done) : done
    this.phaseTwo.call(call, (outcome) => {
      this.figures.called(call.kind, String(outcome))
      traced(outcome)
    })
  }

  /** Ends the connections that are quiet, and after `until` the others as well: each at a moment at which nobody waits. */
  #drain(until: number): void {
    const now = this.now()
    for (const session of [...this.#listener.sessions]) {
      const quiet = session.idle && now - session.heardAt >= QUIET_MS
      if (!session.ending && (quiet || now >= until)) {
        session.lastAnswers()
        // Leaders find the RM over another gateway; what they asked here is still answered.
        if (session.resources.size > 0) this.#options.upstream.rmDrops(session.client!.clientId, [...session.resources])
      } else if (session.ending && session.idle) {
        this.phaseTwo.gone(session)
        session.end()
      }
      if (now >= until + LAST_REQUESTS_MS) session.ignore()
    }
  }

  #closed(session: ClientSession): void {
    this.phaseTwo.gone(session)
    if (session.client) this.#options.upstream.clientGone(session.client)
  }

  /**
   * Takes no more connections, lets what is in flight end, `ms` at most, and closes the connections. Begins are refused when nobody else
   * would serve their transactions; otherwise clients are served on for a while, and each connection is closed when it is quiet.
   */
  async stop(ms: number): Promise<void> {
    const until = this.now() + ms
    this.#listener.stopAccepting()
    const drainUntil = Math.min(until, this.now() + this.#options.drain)
    this.#draining = this.#options.drain === 0
    while (this.#listener.busy(!this.#draining) && this.now() < until) {
      if (!this.#draining) this.#drain(drainUntil)
      await this.#runtime.sleep(DRAIN_POLL_MS)
    }
    for (const stop of this.#timers) stop()
    this.#sweeper?.()
    await this.#listener.close(Math.max(100, until - this.now()))
    // Calls that leaders sent before they heard that the RMs are gone: they are told so, and find them over another gateway.
    if (this.#options.drain > 0) await this.#runtime.sleep(LAST_CALLS_MS)
  }
}
