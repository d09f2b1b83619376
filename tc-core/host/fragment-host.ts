// One fragment on one node: replays its log, follows, takes the lead, serves, and says what is wrong when it cannot.
import { readEffects } from '../core/effects.ts'
import { Fragment, type Settings } from '../core/fragment.ts'
import { restore, stateHash } from '../core/snapshot.ts'
import { State } from '../core/state.ts'
import { claim } from '../replication/claim.ts'
import type { LogContext, Position } from '../replication/context.ts'
import { catchUp, take } from '../replication/follow.ts'
import { Keys } from '../replication/keys.ts'
import { decodeRecord, indexOf, RecordKind } from '../replication/record.ts'
import { Abandoned } from '../replication/slot.ts'
import type { Storage, StorageError } from '../storage/port.ts'
import { SeataError } from '../wire/errors.ts'
import type { HomeMessage } from '../wire/home.ts'
import type { Callee, LinkRequest } from '../wire/link.ts'
import type { Log } from '../wire/log.ts'
import type { Clock } from './clock.ts'
import { type Between, Leader, type SnapshotPolicy } from './leader.ts'

export interface FragmentOptions {
  readonly cluster: string
  readonly fragment: number
  readonly node: string
  readonly writer: bigint
  readonly window: number
  readonly inflight: number
  readonly storage: Storage
  readonly settings: Settings
  readonly snapshots: SnapshotPolicy
  readonly clock: Clock
  readonly logger: Log
  readonly downstream: () => Callee | null
  readonly between: Between
  /** What a lead lost to another node comes to: to follow it, or, where nobody can see whether it lives, to stop. */
  readonly whenDeposed: 'follow' | 'stop'
  /** Told when it begins or ends to serve, to lead, or to follow. */
  readonly changed: () => void
  /** Told of every record that this node wrote as leader. */
  readonly confirmed?: (bytes: Buffer) => void
}

export type Role = 'starting' | 'follower' | 'candidate' | 'leader' | 'stopped'

export interface FragmentHealth {
  readonly fragment: number
  readonly role: Role
  readonly term: number
  readonly index: number
  /** Why it does not do what it should; null when it does. */
  readonly trouble: string | null
  readonly transactions: number
  readonly locks: number
  readonly requests: number
  readonly appends: number
  readonly snapshotIndex: number
}

/** An append that takes longer than this counts as trouble, ms: requests are kept back. */
const STALL_MS = 1000
const RESTART_MS = 1000
const DRAIN_POLL_MS = 2
/** How long a hand-over waits for RMs to answer, ms: who answers later is asked again by the next leader. */
const DRAIN_CALLS_MS = 50
/** Bytes of records that came over a link and wait for a reading to end; what comes on top is read later. */
const MAX_EARLY_BYTES = 16 * 1024 * 1024
/** What a record that waits takes besides its bytes. */
const EARLY_BYTES = 256

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
  /** Records that came over a link during a reading: the reading may have looked for them just before they were there. */
  readonly #early: Buffer[] = []
  #earlyBytes = 0
  /** Name of the node whose lead record was read last; empty when none was, or a snapshot has covered it. */
  lastLeader = ''

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
  async readOn(): Promise<void> {
    if (this.#busy || this.#leader || this.#closing) return
    this.#busy = true
    const epoch = this.#epoch
    try {
      await catchUp(this.#log)
      if (this.#epoch !== epoch) return
      this.#failure = null
      if (this.#role === 'starting') this.#become('follower')
      this.#takeEarly()
    } catch (error) {
      if (this.#epoch === epoch) this.#fail(error)
    } finally {
      if (this.#epoch === epoch) this.#busy = false
    }
  }

  /** What the leader wrote while this node was reading. */
  #takeEarly(): void {
    this.#busy = false
    this.#earlyBytes = 0
    for (const bytes of this.#early.splice(0)) this.appended(bytes)
  }

  /** Takes in a record that the leader wrote. False: those before it are not here yet, `readOn` finds them. */
  appended(bytes: Buffer): boolean {
    if (this.#role !== 'follower') return false
    if (this.#busy) {
      this.#earlyBytes += bytes.length + EARLY_BYTES
      if (this.#earlyBytes < MAX_EARLY_BYTES) this.#early.push(Buffer.from(bytes))
      return true
    }
    const { index } = this.#position
    if (indexOf(bytes) <= index) return true
    try {
      const record = decodeRecord(bytes, index + 1, 'of a link')
      take(this.#log, record)
      return true
    } catch (error) {
      if (error instanceof SeataError) return false
      this.#fail(error)
      return false
    }
  }

  /** Claims the lead. False: another has it, or it cannot be had now. */
  async lead(): Promise<boolean> {
    if (this.#busy || this.#role !== 'follower') return false
    this.#busy = true
    this.#become('candidate')
    const epoch = this.#epoch
    const { term } = this
    try {
      await catchUp(this.#log)
      // Who claimed the lead a moment ago is not robbed of it: whether to lead is to be decided anew.
      const won = this.term === term && this.#epoch === epoch && (await claim(this.#log))
      if (this.#epoch !== epoch) return false
      if (!won) {
        this.#become('follower')
        return false
      }
      this.#lead()
      return true
    } catch (error) {
      if (this.#epoch === epoch) this.#fail(error)
      return false
    } finally {
      if (this.#epoch === epoch) this.#busy = false
    }
  }

  #lead(): void {
    const { fragment, logger, settings, clock, storage, snapshots, downstream, between } = this.#options
    this.#leader = new Leader({
      fragment: new Fragment(this.#state, settings),
      log: this.#log,
      clock,
      logger,
      linearizableReads: storage.linearizableReads,
      snapshots,
      downstream,
      between,
      onDeposed: () => this.#deposed(),
      onFailure: (error) => this.#fail(error)
    })
    this.#failure = null
    logger.info({ fragment, term: this.term, index: this.index }, 'leads the fragment')
    this.#become('leader')
  }

  /**
   * Stops leading in order: takes no more, lets what is in flight be confirmed, `ms` at most. Resolves with the index at which the log
   * ends; another may take the lead then.
   */
  async handOver(ms: number, thenFollow = true): Promise<number> {
    const { clock, fragment, logger } = this.#options
    this.#draining = true
    this.#leader?.drain()
    this.#servingChanged()
    const until = clock.now() + ms
    const callsUntil = clock.now() + Math.min(ms, DRAIN_CALLS_MS)
    const drained = ({ idle, calling }: Leader) => idle && (calling === 0 || clock.now() >= callsUntil)
    while (this.#leader && !drained(this.#leader) && clock.now() < until) await clock.sleep(DRAIN_POLL_MS)
    const { index } = this
    this.#draining = false
    if (this.#leader) {
      logger.info({ fragment, index }, 'hands the fragment over')
      this.#release()
      if (thenFollow) void this.follow()
    }
    return index
  }

  /** A digest of the state, equal on all replicas at the same index. Looks at all of it: for tests. */
  get hash(): string {
    return stateHash(this.#state)
  }

  get draining(): boolean {
    return this.#draining
  }

  get serving(): boolean {
    const leader = this.#leader
    if (!leader || this.#draining || this.#trouble !== null || leader.full) return false
    return this.#options.clock.now() - leader.waitingSince < STALL_MS
  }

  request(request: LinkRequest): void {
    if (this.serving) this.#leader!.request(request)
    else request.refuse('unavailable')
  }

  /** Somebody else says that it leads: looks whether the log says so too. */
  verify(): void {
    this.#leader?.verify()
  }

  /** The leader of another fragment says something. Who does not lead does not hear it. */
  between(from: number, term: number, message: HomeMessage): void {
    this.#leader?.input({ kind: 'between', from, term, message })
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
    const leader = this.#leader
    const stalled = leader && !this.serving ? 'the store does not confirm what was appended' : null
    return {
      fragment: this.#options.fragment,
      role: this.#role,
      term: this.term,
      index: this.index,
      trouble: this.#failure ?? this.#trouble ?? stalled,
      transactions: this.#state.sessions.size,
      locks: this.#state.locks.count,
      requests: leader?.requests ?? 0,
      appends: leader?.appends ?? 0,
      snapshotIndex: this.#position.snapshot
    }
  }

  /** Empty, at the beginning of the log. */
  #rebuild(): void {
    const { cluster, fragment, node, writer, window, inflight, storage, clock, settings } = this.#options
    const position = startPosition()
    const epoch = ++this.#epoch
    this.#busy = false
    this.#early.length = 0
    this.#earlyBytes = 0
    this.lastLeader = ''
    this.#position = position
    this.#state = new State(fragment, settings.limits)
    this.#log = {
      lane: storage.lane(String(fragment)),
      keys: new Keys(cluster, fragment),
      node,
      writer,
      window,
      inflight,
      position,
      sleep: (ms) => clock.sleep(ms),
      onTrouble: (error) => this.#onTrouble(error),
      abandoned: () => this.#epoch !== epoch,
      confirmed: (bytes) => this.#options.confirmed?.(bytes),
      machine: {
        apply: (record) => {
          if (record.kind === RecordKind.Lead) {
            this.#state.led()
            this.lastLeader = record.node
          } else readEffects(record.payload, (effect) => this.#state.apply(effect))
        },
        load: (chunks) => {
          this.#state = new State(fragment, settings.limits)
          restore(this.#state, chunks)
          this.lastLeader = ''
        }
      }
    }
  }

  #onTrouble(error: StorageError | null): void {
    const trouble = error?.message ?? null
    if (trouble === this.#trouble) return
    const { logger, fragment } = this.#options
    if (error) logger.error({ fragment, err: error }, 'the store fails, nothing is answered until it is back')
    else logger.info({ fragment }, 'the store is back')
    this.#trouble = trouble
    this.#servingChanged()
  }

  #become(role: Role): void {
    if (role === this.#role) return
    const { term, index, snapshot } = this.#position
    const { fragment, logger } = this.#options
    if (role === 'follower') logger.info({ fragment, term, index, snapshot }, 'follows the fragment')
    this.#role = role
    this.#servingChanged()
  }

  #servingChanged(): void {
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
    const alone = this.#options.whenDeposed === 'stop'
    clock.timer(RESTART_MS, () => {
      if (!this.#closing) void (alone ? this.start() : this.follow())
    })
  }
}

function startPosition(): Position {
  return { index: 0, term: 0, manifest: 0, snapshot: 0, trimmed: 0, leads: [] }
}
