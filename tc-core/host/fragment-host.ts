// One fragment on one node: replays its log, follows, takes the lead, serves, and says what is wrong when it cannot.
import { readEffects } from '../core/effects.ts'
import { Fragment } from '../core/fragment.ts'
import { restore, stateHash } from '../core/snapshot.ts'
import { State } from '../core/state.ts'
import { claim, passOn } from '../replication/claim.ts'
import { type LogContext, type Position, startPosition } from '../replication/context.ts'
import { catchUp, take } from '../replication/follow.ts'
import { Keys } from '../replication/keys.ts'
import { decodeRecord, indexOf, RecordKind } from '../replication/record.ts'
import { Abandoned } from '../replication/slot.ts'
import type { StorageError } from '../storage/port.ts'
import { SeataError } from '../wire/errors.ts'
import type { HomeMessage } from '../wire/home.ts'
import type { LinkRequest } from '../wire/link.ts'
import { Early } from './early.ts'
import type { FragmentHealth, FragmentOptions, Heir, Role } from './fragment-options.ts'
import { Leader } from './leader.ts'
import { LeaderTracing } from './tracing.ts'

/** An append that takes longer than this counts as trouble, ms: requests are kept back. */
const STALL_MS = 400
const RESTART_MS = 1000
const DRAIN_POLL_MS = 1
/** How old the decision to claim may be when the log has been read, ms. */
const READ_MS = 500
/** How long a hand-over waits for RMs to answer, ms: who answers later is asked again by the next leader, and meanwhile everybody waits. */
const DRAIN_CALLS_MS = 4

export class FragmentHost {
  readonly #options: FragmentOptions
  #role: Role = 'starting'
  #state: State
  #position: Position
  #log!: LogContext
  #leader: Leader | null = null
  #trouble: string | null = null
  #failure: string | null = null
  #draining = false
  #closing = false
  /** Changes when what was begun with the log before does not count any more. */
  #epoch = 0
  /** Reading and claiming, one after the other. */
  #busy = false
  #reading: Promise<void> = Promise.resolve()
  readonly #early = new Early()
  /** Of the lead record that was read last; empty when none was, or a snapshot has covered it. */
  #lastLead = NO_LEAD

  constructor(options: FragmentOptions) {
    this.#options = options
    this.#state = new State(options.fragment, options.settings.limits)
    this.#position = startPosition()
  }

  get role(): Role {
    return this.#role
  }

  get term(): number {
    return this.#position.term
  }

  get index(): number {
    return this.#position.index
  }

  /** Name of the node whose lead record was read last; empty when none was, or a snapshot has covered it. */
  get lastLeader(): string {
    return this.#lastLead.node
  }

  /** Reads the log and takes the lead. Resolves when it leads, or when it is clear that it cannot: see `health`. */
  async start(): Promise<void> {
    await this.follow()
    while (this.#role === 'follower' && !(await this.lead()) && !this.#closing) {
      // Another was faster: read on and try again.
    }
  }

  /** Reads the log from the newest snapshot to its end. Resolves when it follows, or when it is clear that it cannot. */
  async follow(): Promise<void> {
    this.#rebuild()
    this.#become('starting')
    await this.readOn()
  }

  /** Reads what others wrote. */
  readOn(): Promise<void> {
    if (this.#busy || this.#leader || this.#closing) return this.#reading
    this.#reading = this.#read()
    return this.#reading
  }

  async #read(): Promise<void> {
    this.#busy = true
    const epoch = this.#epoch
    try {
      await catchUp(this.#log)
      if (this.#epoch !== epoch) return
      this.#failure = null
      if (this.#role === 'starting') this.#become('follower')
      this.#busy = false
      for (const bytes of this.#early.take()) this.appended(bytes)
    } catch (error) {
      if (this.#epoch === epoch) this.#fail(error)
    } finally {
      if (this.#epoch === epoch) this.#busy = false
    }
  }

  /** Takes in a record that the leader wrote. False: those before it are not here yet, `readOn` finds them. */
  appended(bytes: Buffer): boolean {
    if (this.#role !== 'follower') return false
    if (this.#busy) {
      this.#early.add(bytes)
      return true
    }
    if (indexOf(bytes) <= this.index) return true
    try {
      take(this.#log, decodeRecord(bytes, this.index + 1, 'of a link'))
      return true
    } catch (error) {
      if (error instanceof SeataError) return false
      this.#fail(error)
      return false
    }
  }

  /** Takes the lead that another passed on to this process with the record at `index`. False: it is not to be had that way. */
  async takeOver(index: number): Promise<boolean> {
    await (this.index < index ? this.readOn() : this.#reading)
    const passed = this.#lastLead.index === index && this.#lastLead.writer === this.#options.writer
    if (this.#busy || this.#role !== 'follower' || this.index !== index || !passed) return false
    this.#lead()
    return true
  }

  /** Claims the lead. False: another has it, or it cannot be had now. */
  async lead(): Promise<boolean> {
    await this.#reading
    if (this.#busy || this.#role !== 'follower') return false
    this.#busy = true
    this.#become('candidate')
    const epoch = this.#epoch
    const { term } = this
    const until = this.#options.clock.now() + READ_MS
    try {
      await catchUp(this.#log)
      // Who claimed the lead a moment ago is not robbed of it, nor who leads on after the store was away: it is to be decided anew.
      const inTime = this.#options.clock.now() <= until
      const won = inTime && this.term === term && this.#epoch === epoch && (await claim(this.#log))
      if (this.#epoch !== epoch) return false
      if (won) this.#lead()
      else this.#become('follower')
      return won
    } catch (error) {
      if (this.#epoch === epoch) this.#fail(error)
      return false
    } finally {
      if (this.#epoch === epoch) this.#busy = false
    }
  }

  #lead(): void {
    const { fragment, logger, settings, storage } = this.#options
    this.#leader = new Leader({
      ...this.#options,
      fragment: new Fragment(this.#state, settings),
      log: this.#log,
      linearizableReads: storage.linearizableReads,
      tracing: LeaderTracing.of(this.#options, this.#state, this.term),
      onDeposed: () => this.#deposed(),
      onFailure: (error) => this.#fail(error)
    })
    this.#failure = null
    logger.info({ fragment, term: this.term, index: this.index }, 'leads the fragment')
    this.#become('leader')
  }

  /**
   * Stops leading in order: takes no more, lets what is in flight be confirmed, and passes the lead on to the heir, all of it in `ms`.
   * Resolves with the index of the record that names the heir; 0: there is none, anybody may claim.
   */
  async handOver(ms: number, heir: Heir | null, thenFollow = true): Promise<number> {
    const { clock, fragment, logger } = this.#options
    const until = clock.now() + ms
    const passed = (await this.#drain(until)) && heir !== null && (await this.#passOn(heir, until))
    const { index } = this
    this.#draining = false
    if (!this.#leader) return 0
    logger.info({ fragment, index, heir: passed ? heir?.node : undefined }, 'hands the fragment over')
    this.#release()
    if (thenFollow && passed) this.#followOn()
    else if (thenFollow) void this.follow()
    return passed ? index : 0
  }

  /** Takes nothing more. Resolves with whether this replica still leads and all of it is in the log. */
  async #drain(until: number): Promise<boolean> {
    const { clock } = this.#options
    this.#draining = true
    this.#leader?.drain()
    this.#options.changed()
    const callsUntil = Math.min(until, clock.now() + DRAIN_CALLS_MS)
    const busy = ({ idle, calling }: Leader) => !idle || (calling > 0 && clock.now() < callsUntil)
    while (this.#leader && busy(this.#leader) && clock.now() < until) await clock.sleep(DRAIN_POLL_MS)
    return this.#leader?.idle ?? false
  }

  /** From here on this leader appends nothing. */
  async #passOn(heir: Heir, until: number): Promise<boolean> {
    const { clock } = this.#options
    this.#leader!.stop()
    try {
      const late = clock.sleep(until - clock.now()).then(() => false)
      return await Promise.race([passOn(this.#log, heir), late])
    } catch (error) {
      this.#fail(error)
      return false
    }
  }

  /** All that this leader decided is in the log: what it has is what a follower has, and need not be read. */
  #followOn(): void {
    this.#state.forget()
    this.#position = { ...this.#position, leads: [...this.#position.leads] }
    this.#open()
    this.#become('follower')
  }

  /** A digest of the state, equal on all replicas at the same index. Looks at all of it: for tests. */
  get hash(): string {
    return stateHash(this.#state)
  }

  get draining(): boolean {
    return this.#draining
  }

  /** It leads, and its store confirms what is appended. */
  get leading(): boolean {
    const leader = this.#leader
    return leader !== null && this.#trouble === null && this.#options.clock.now() - leader.waitingSince < STALL_MS
  }

  get serving(): boolean {
    return this.leading && !this.#draining && !this.#leader!.full
  }

  request(request: LinkRequest): void {
    if (this.serving) this.#leader!.request(request)
    else request.refuse('unavailable')
  }

  /** Whether another leads: the log tells. When another says so itself, `said`, a leader whose store does not answer believes it. */
  verify(said = false): void {
    void (said && !this.leading ? this.#deposed() : this.#leader?.verify())
  }

  /** The leader of another fragment says something. Who does not lead does not hear it. */
  between(from: number, term: number, message: HomeMessage, trace = ''): void {
    this.#leader?.input({ kind: 'between', from, term, message, trace })
  }

  resources(resourceIds: readonly string[]): void {
    this.#leader?.input({ kind: 'resources', resourceIds })
  }

  /** Resolves when nothing waits for the log, after `ms` at the latest; then lets go. */
  async stop(ms: number): Promise<void> {
    const until = this.#options.clock.now() + ms
    while (this.#leader && !this.#leader.idle && this.#options.clock.now() < until) await this.#options.clock.sleep(5)
    this.#closing = true
    this.#release()
  }

  /** Ends the leading and all that was begun with this view of the log. */
  #release(): void {
    this.#epoch++
    this.#leader?.stop()
    this.#leader = null
    this.#busy = false
    this.#become('starting')
  }

  get health(): FragmentHealth {
    const stalled = this.#leader && !this.leading ? 'the store does not confirm what was appended' : null
    return {
      fragment: this.#options.fragment,
      role: this.#role,
      term: this.term,
      index: this.index,
      trouble: this.#failure ?? this.#trouble ?? stalled,
      transactions: this.#state.sessions.size,
      locks: this.#state.locks.count,
      requests: this.#leader?.requests ?? 0,
      appends: this.#leader?.log.appends ?? 0,
      inflight: this.#leader?.log.inflight ?? 0,
      snapshotIndex: this.#position.snapshot
    }
  }

  /** Empty, at the beginning of the log. */
  #rebuild(): void {
    const { fragment, settings } = this.#options
    this.#lastLead = NO_LEAD
    this.#position = startPosition()
    this.#state = new State(fragment, settings.limits)
    this.#open()
  }

  /** A view of the log from where this replica stands. What was begun with the one before does not count any more. */
  #open(): void {
    const { cluster, fragment, node, writer, window, inflight, storage, clock, settings, without } = this.#options
    const epoch = ++this.#epoch
    // What was read or claimed with an earlier view may not touch the state of this one.
    const still = () => {
      if (this.#epoch !== epoch) throw new Abandoned()
    }
    this.#busy = false
    this.#early.take()
    this.#onTrouble(null)
    this.#log = {
      lane: storage.lane(String(fragment)),
      keys: new Keys(cluster, fragment),
      ...{ node, writer, window, inflight, without, position: this.#position },
      sleep: (ms) => clock.sleep(ms),
      // What was begun with an earlier view may fail last, and nobody would say that it is over.
      onTrouble: (error) => this.#epoch === epoch && this.#onTrouble(error),
      abandoned: () => this.#epoch !== epoch,
      confirmed: (bytes) => this.#options.confirmed?.(bytes),
      machine: {
        apply: (record) => {
          still()
          if (record.kind === RecordKind.Lead) {
            this.#state.led()
            this.#lastLead = record
          } else readEffects(record.payload, (effect) => this.#state.apply(effect))
        },
        load: (chunks) => {
          still()
          this.#state = new State(fragment, settings.limits)
          restore(this.#state, chunks)
          this.#lastLead = NO_LEAD
        }
      }
    }
  }

  #onTrouble(error: StorageError | null): void {
    const trouble = error?.message ?? null
    if (trouble === this.#trouble) return
    const { logger, fragment } = this.#options
    if (error) this.#leader?.trouble(error.message)
    if (error) logger.error({ fragment, err: error }, 'the store fails, nothing is answered until it is back')
    else logger.info({ fragment }, 'the store is back')
    this.#trouble = trouble
    this.#options.changed()
  }

  #become(role: Role): void {
    if (role === this.#role) return
    const { term, index, snapshot } = this.#position
    const { fragment, logger } = this.#options
    if (role === 'follower') logger.info({ fragment, term, index, snapshot }, 'follows the fragment')
    this.#role = role
    this.#options.changed()
  }

  /** Another node writes this fragment's log: what was not confirmed is lost, and what was is read anew. */
  #deposed(): void {
    const { logger, fragment, whenDeposed } = this.#options
    this.#release()
    if (whenDeposed === 'follow') {
      logger.warn({ fragment }, 'another node took the lead of this fragment')
      void this.follow()
      return
    }
    this.#failure = 'another process took the lead of this fragment'
    logger.error({ fragment }, this.#failure)
    this.#become('stopped')
  }

  /** Damaged data or a defect: what is in the log stays as it is; the fragment is read anew, until it can be. */
  #fail(error: unknown): void {
    if (this.#closing || error instanceof Abandoned) return
    const { logger, fragment, clock } = this.#options
    const text = error instanceof SeataError ? error.message : String((error as Error)?.message ?? error)
    if (text !== this.#failure) logger.error({ fragment, err: error }, 'the fragment is stopped')
    this.#release()
    this.#failure = text
    this.#become('stopped')
    clock.timer(RESTART_MS, () => {
      if (!this.#closing) void (this.#options.whenDeposed === 'stop' ? this.start() : this.follow())
    })
  }
}

const NO_LEAD = { node: '', index: 0, writer: 0n }
