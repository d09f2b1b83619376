// A tc-core node: a store, the fragments it holds, and what gateways ask of it.
import { DEFAULT_SETTINGS, type Settings } from '../core/fragment.ts'
import { homesOf } from '../core/homes.ts'
import { openStorage } from '../storage/open.ts'
import type { Storage } from '../storage/port.ts'
import { DEFAULT_LIMITS } from '../wire/limits.ts'
import type { Downstream, LinkRequest, Upstream } from '../wire/link.ts'
import { type LockHomes, tablesHaveHomes } from '../wire/lock-homes.ts'
import type { Log } from '../wire/log.ts'
import { type Runtime, systemRuntime } from '../wire/runtime.ts'
import type { Tracing } from '../wire/tracing.ts'
import { birthOf } from './birth.ts'
import type { NodeFigures } from './figures.ts'
import { FragmentHost } from './fragment-host.ts'
import type { FragmentHealth } from './fragment-options.ts'
import type { SnapshotPolicy } from './snapshots.ts'

export { DEFAULT_SETTINGS } from '../core/fragment.ts'
export { openStorage, STORAGE_URLS } from '../storage/open.ts'

export interface NodeOptions {
  readonly cluster: string
  /** Name of this node, for people. */
  readonly name: string
  readonly fragments: number
  /** Of a new store, default 1: see wire/lock-homes.ts. */
  readonly lockParts?: number
  readonly settings?: Partial<Settings>
  readonly snapshots?: Partial<SnapshotPolicy>
  readonly logger: Log
  readonly runtime?: Runtime
  /** Default: nothing is traced. */
  readonly tracing?: Tracing | undefined
  readonly figures?: NodeFigures | undefined
}

export interface NodeHealth {
  readonly ok: boolean
  readonly store: string
  /** Flushes to disk since the start; null where the store does not know. */
  readonly fsyncs: number | null
  readonly fragments: readonly FragmentHealth[]
}

/** Appends that any leader may have in flight: written into no record, so it stays the same for every version of this product. */
export const WINDOW = 2
/**
 * Appends on the way to a store: over a network a second one would only close its record too early. In an embedded one it lies ready when the first
 * is committed, and the store need not wait until two threads have woken each other.
 */
export const INFLIGHT = 1
const INFLIGHT_EMBEDDED = 2

export const DEFAULT_SNAPSHOTS: SnapshotPolicy = { records: 200_000, bytes: 64 * 1024 * 1024, ms: 600_000 }

export class Node implements Upstream {
  downstream: Downstream | null = null
  readonly #storage: Storage
  readonly #ownsStorage: boolean
  readonly #hosts: readonly FragmentHost[]
  readonly #open: readonly number[]
  readonly tableHomes: LockHomes | null

  /** Opens the store; rejects with SEATA_STORE_OPEN_FAILED. */
  static async open(options: NodeOptions & { readonly kv: string }): Promise<Node> {
    const { kv, cluster, name, fragments: wanted, logger } = options
    const storage = await openStorage(kv)
    try {
      const birth = await birthOf(storage, cluster, name, { fragments: wanted, lockParts: options.lockParts ?? 1 })
      if (birth.fragments !== wanted)
        logger.warn({ fragments: birth.fragments, wanted }, 'the store was born with another number of fragments')
      return new Node({ ...options, ...birth, storage }, true)
    } catch (error) {
      await storage.close()
      throw error
    }
  }

  constructor(options: NodeOptions & { readonly storage: Storage }, ownsStorage = false) {
    this.#ownsStorage = ownsStorage
    this.#storage = options.figures?.measured(options.storage) ?? options.storage
    const clock = options.runtime ?? systemRuntime
    const writer = clock.id()
    const birth = { fragments: options.fragments, lockParts: options.lockParts ?? 1 }
    const homes = homesOf(birth)
    this.tableHomes = tablesHaveHomes(birth) ? homes : null
    this.#open = Array.from({ length: options.fragments }, (_, fragment) => fragment)
    this.#hosts = this.#open.map(
      (fragment) =>
        new FragmentHost({
          cluster: options.cluster,
          fragment,
          node: options.name,
          writer,
          window: WINDOW,
          inflight: this.#storage.embedded ? INFLIGHT_EMBEDDED : INFLIGHT,
          storage: this.#storage,
          settings: { ...DEFAULT_SETTINGS, limits: DEFAULT_LIMITS, homes, ...options.settings },
          snapshots: { ...DEFAULT_SNAPSHOTS, ...options.snapshots },
          clock,
          logger: options.logger,
          tracing: options.tracing,
          figures: options.figures,
          downstream: () => this.downstream,
          // Never within the step that says it: the other fragment may be in one of its own.
          between: (from, to, term, message, trace) =>
            clock.defer(() => this.#hosts[to]?.between(from, term, message, trace)),
          whenDeposed: 'stop',
          changed: () => this.downstream?.servingChanged(fragment)
        })
    )
  }

  /** Resolves when every fragment serves, or is found to be unable to: see `health`. */
  async start(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.start()))
  }

  /** Lets what is in flight be confirmed, `ms` at most, and closes the store. */
  async stop(ms: number): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.stop(ms)))
    if (this.#ownsStorage) await this.#storage.close()
  }

  get store(): string {
    return this.#storage.url
  }

  request(request: LinkRequest): void {
    const host = this.#hosts[request.fragment]
    if (host) host.request(request)
    else request.refuse('unavailable')
  }

  rmServes(_clientId: string, resourceIds: readonly string[]): void {
    for (const host of this.#hosts) host.resources(resourceIds)
  }

  // The gateway of the same process knows who serves what, and says so when it is called.
  rmDrops(): void {}
  clientGone(): void {}

  openFragments(): readonly number[] {
    return this.#open
  }

  serves(fragment: number): boolean {
    return this.#hosts[fragment]?.serving ?? false
  }

  exists(fragment: number): boolean {
    return this.#hosts[fragment] !== undefined
  }

  get health(): NodeHealth {
    const fragments = this.#hosts.map((host) => host.health)
    const { url, flushes } = this.#storage
    return { ok: this.#hosts.every((host) => host.serving), store: url, fsyncs: flushes ?? null, fragments }
  }
}
