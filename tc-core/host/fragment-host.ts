// One fragment on one node: replays its log, takes the lead, serves, and says what is wrong when it cannot.
import { readEffects } from '../core/effects.ts'
import { Fragment, type Settings } from '../core/fragment.ts'
import { restore } from '../core/snapshot.ts'
import { State } from '../core/state.ts'
import { claim } from '../replication/claim.ts'
import type { LogContext, Position } from '../replication/context.ts'
import { catchUp } from '../replication/follow.ts'
import { Keys } from '../replication/keys.ts'
import { RecordKind } from '../replication/record.ts'
import type { Storage, StorageError } from '../storage/port.ts'
import { SeataError } from '../wire/errors.ts'
import type { Downstream, LinkRequest } from '../wire/link.ts'
import type { Log } from '../wire/log.ts'
import type { Clock } from './clock.ts'
import { Leader, type SnapshotPolicy } from './leader.ts'

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
  readonly downstream: () => Downstream | null
}

export interface FragmentHealth {
  readonly fragment: number
  readonly role: 'starting' | 'leader' | 'stopped'
  readonly term: number
  readonly index: number
  /** Why it does not serve; null when it does. */
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

export class FragmentHost {
  readonly #options: FragmentOptions
  #state: State
  #position: Position
  #leader: Leader | null = null
  #trouble: string | null = null
  #failure: string | null = null
  #closing = false
  /** Changes when what was begun with the log before does not count any more. */
  #epoch = 0

  constructor(options: FragmentOptions) {
    this.#options = options
    this.#state = new State(options.fragment, options.settings.limits)
    this.#position = startPosition()
  }

  /** Resolves when this node leads, or when it is clear that it cannot: see `health`. */
  async start(): Promise<void> {
    const { fragment, logger, settings, clock, storage, snapshots, downstream } = this.#options
    const log = this.#context()
    try {
      do await catchUp(log)
      while (!(await claim(log)))
    } catch (error) {
      return this.#fail(error)
    }
    this.#leader = new Leader({
      fragment: new Fragment(this.#state, settings),
      log,
      clock,
      logger,
      linearizableReads: storage.linearizableReads,
      snapshots,
      downstream,
      onDeposed: () => this.#deposed(),
      onFailure: (error) => this.#fail(error)
    })
    logger.info({ fragment, term: this.#position.term, index: this.#position.index }, 'leads the fragment')
    this.#servingChanged()
  }

  get serving(): boolean {
    const leader = this.#leader
    if (!leader || this.#trouble !== null || leader.full) return false
    return this.#options.clock.now() - leader.waitingSince < STALL_MS
  }

  request(request: LinkRequest): void {
    if (this.serving) this.#leader!.request(request)
    else request.refuse('unavailable')
  }

  resources(resourceIds: readonly string[]): void {
    this.#leader?.input({ kind: 'resources', resourceIds })
  }

  /** Resolves when nothing waits for the log, after `ms` at the latest; then lets go. */
  async stop(ms: number): Promise<void> {
    const until = this.#options.clock.now() + ms
    while (this.#leader && !this.#leader.idle && this.#options.clock.now() < until) await this.#options.clock.sleep(5)
    this.#closing = true
    this.#epoch++
    this.#leader?.stop()
    this.#leader = null
  }

  get health(): FragmentHealth {
    const leader = this.#leader
    const stalled = leader && !this.serving ? 'the store does not confirm what was appended' : null
    return {
      fragment: this.#options.fragment,
      role: leader ? 'leader' : this.#failure === null ? 'starting' : 'stopped',
      term: this.#position.term,
      index: this.#position.index,
      trouble: this.#failure ?? this.#trouble ?? stalled,
      transactions: this.#state.sessions.size,
      locks: this.#state.locks.count,
      requests: leader?.requests ?? 0,
      appends: leader?.appends ?? 0,
      snapshotIndex: this.#position.snapshot
    }
  }

  #context(): LogContext {
    const { cluster, fragment, node, writer, window, inflight, storage, clock } = this.#options
    const position = startPosition()
    const epoch = ++this.#epoch
    this.#position = position
    this.#state = new State(fragment, this.#options.settings.limits)
    return {
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
      machine: {
        apply: (record) => {
          if (record.kind === RecordKind.Lead) this.#state.led()
          else readEffects(record.payload, (effect) => this.#state.apply(effect))
        },
        load: (chunks) => {
          this.#state = new State(fragment, this.#options.settings.limits)
          restore(this.#state, chunks)
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

  #servingChanged(): void {
    this.#options.downstream()?.servingChanged(this.#options.fragment)
  }

  /** Another process writes this fragment's log. Without a way to see whether it lives, this one leaves the field to it. */
  #deposed(): void {
    const { logger, fragment } = this.#options
    this.#leader = null
    this.#epoch++
    this.#failure = 'another process took the lead of this fragment'
    logger.error({ fragment }, this.#failure)
    this.#servingChanged()
  }

  /** Damaged data or a defect: what is in the log stays as it is; the fragment is read anew, until it can be. */
  #fail(error: unknown): void {
    if (this.#closing) return
    const { logger, fragment, clock } = this.#options
    const text = error instanceof SeataError ? error.message : String((error as Error)?.message ?? error)
    if (text !== this.#failure) logger.error({ fragment, err: error }, 'the fragment is stopped')
    this.#leader?.stop()
    this.#leader = null
    this.#epoch++
    this.#failure = text
    this.#servingChanged()
    clock.timer(RESTART_MS, () => void this.#restart())
  }

  async #restart(): Promise<void> {
    if (this.#closing) return
    const failure = this.#failure
    await this.start()
    if (this.#leader && this.#failure === failure) {
      this.#failure = null
      this.#servingChanged()
    }
  }
}

function startPosition(): Position {
  return { index: 0, term: 0, manifest: 0, snapshot: 0, trimmed: 0, leads: [] }
}
