// What a node counts: transactions in the words of Seata's own meters, fragments, their logs and the store.
import { SessionBegun, StatusChanged } from '../core/effects.ts'
import type { Outputs } from '../core/outputs.ts'
import type { Session } from '../core/session.ts'
import type { State } from '../core/state.ts'
import type { Lane, Storage } from '../storage/port.ts'
import { GlobalStatus } from '../wire/codes.ts'
import {
  Counts,
  counter,
  Distribution,
  Distributions,
  type Family,
  gauge,
  histogram,
  OTHER,
  type Sample,
  SECONDS,
  SIZES
} from '../wire/figures.ts'
import type { FragmentHealth } from './fragment-options.ts'
import type { Parcel } from './outbox.ts'

/** Applications and groups that are counted apart; more are one. */
const MAX_APPLICATIONS = 500
/** Seata's summaries and timers tell of an interval; here it is the last whole one of this length, whoever asks how often. */
const INTERVAL_MS = 10_000

/** What happened to transactions, in Seata's words. */
type Happening = 'committed' | 'rollbacked' | 'failed' | '2phaseTimeout' | 'AfterCommitted' | 'AfterRollbacked'

type Names = Pick<Session, 'applicationId' | 'transactionServiceGroup'>

interface Interval {
  count: number
  ms: number
  max: number
}

/** Of one application and group. */
class Application {
  active = 0
  readonly total = new Map<Happening, number>()
  readonly now = new Map<Happening, Interval>()
  last = new Map<Happening, Interval>()

  add(what: Happening, ms: number): void {
    this.total.set(what, (this.total.get(what) ?? 0) + 1)
    let interval = this.now.get(what)
    if (!interval) this.now.set(what, (interval = { count: 0, ms: 0, max: 0 }))
    interval.count++
    interval.ms += ms
    interval.max = Math.max(interval.max, ms)
  }
}

const FAILED: ReadonlySet<number> = new Set([
  GlobalStatus.CommitFailed,
  GlobalStatus.RollbackFailed,
  GlobalStatus.TimeoutRollbackFailed,
  GlobalStatus.CommitRetryTimeout,
  GlobalStatus.RollbackRetryTimeout
])
const TIMED_OUT: ReadonlySet<number> = new Set([
  GlobalStatus.TimeoutRollbackFailed,
  GlobalStatus.CommitRetryTimeout,
  GlobalStatus.RollbackRetryTimeout
])

export class NodeFigures {
  readonly #append = new Distributions('fragment', SECONDS)
  readonly #batch = new Distribution(SIZES)
  readonly #applications = new Map<string, Application>()
  /** The one that was counted last, and its names: mostly it is the next one, too. */
  #last: { readonly names: Names; readonly application: Application } | null = null
  #rotatedAt = 0
  readonly #store = new Distributions('operation', SECONDS)
  readonly #storeErrors = new Counts()
  #outages = 0

  #application(names: Names): Application {
    const { applicationId, transactionServiceGroup } = names
    const last = this.#last
    if (last?.names.applicationId === applicationId && last.names.transactionServiceGroup === transactionServiceGroup)
      return last.application
    let key = `${applicationId}\n${transactionServiceGroup}`
    if (!this.#applications.has(key) && this.#applications.size >= MAX_APPLICATIONS) key = `${OTHER}\n${OTHER}`
    let application = this.#applications.get(key)
    if (!application) this.#applications.set(key, (application = new Application()))
    this.#last = { names: { applicationId, transactionServiceGroup }, application }
    return application
  }

  /** This node leads the fragment from now on, or no longer: the transactions that live in it are its own, or not. */
  leads(state: State, sign: 1 | -1): void {
    for (const session of state.sessions.values()) this.#application(session).active += sign
  }

  /** After a step. */
  stepped(out: Outputs, state: State, now: number): void {
    this.#rotate(now)
    for (const effect of out.effects) {
      if (effect.type === SessionBegun.code) this.#application(effect).active++
      if (effect.type !== StatusChanged.code) continue
      const session = state.sessions.get(effect.xid) ?? out.ended.find((e) => e.session.xid === effect.xid)?.session
      if (!session) continue
      const application = this.#application(session)
      if (effect.status === GlobalStatus.AsyncCommitting) application.add('committed', now - session.beginTime)
      else if (FAILED.has(effect.status)) application.add('failed', now - session.beginTime)
      if (TIMED_OUT.has(effect.status)) application.add('2phaseTimeout', 0)
    }
    for (const { session, status } of out.ended) {
      const application = this.#application(session)
      application.active--
      const what = happeningOf(session.status, status)
      if (what) application.add(what, now - session.beginTime)
    }
  }

  /** A record is confirmed, `ms` after it left for the store. */
  appended(fragment: number, { replies, calls, steps }: Parcel, ms: number): void {
    this.#append.add(String(fragment), ms / 1000, steps[0]?.parent.traceId)
    this.#batch.add(replies.length + calls.length)
  }

  /** The store does not do. */
  outage(): void {
    this.#outages++
  }

  #rotate(now: number): void {
    if (now - this.#rotatedAt < INTERVAL_MS) return
    const isNext = now - this.#rotatedAt < 2 * INTERVAL_MS
    this.#rotatedAt = now
    for (const application of this.#applications.values()) {
      application.last = isNext ? new Map(application.now) : new Map()
      application.now.clear()
    }
  }

  /** The same store, with what its calls take. */
  measured(storage: Storage): Storage {
    const time = async <T>(operation: string, call: () => Promise<T>): Promise<T> => {
      const start = performance.now()
      try {
        return await call()
      } catch (error) {
        this.#storeErrors.add(`${operation} ${kindOf(error)}`)
        throw error
      } finally {
        this.#store.add(operation, (performance.now() - start) / 1000)
      }
    }
    const lane = (name: string): Lane => {
      const inner = storage.lane(name)
      return {
        setIfAbsent: (key, value) => time('setIfAbsent', () => inner.setIfAbsent(key, value)),
        get: (key) => time('get', () => inner.get(key)),
        getMany: (keys) => time('getMany', () => inner.getMany(keys)),
        set: (key, value) => time('set', () => inner.set(key, value)),
        delete: (keys) => time('delete', () => inner.delete(keys))
      }
    }
    return {
      url: storage.url,
      linearizableReads: storage.linearizableReads,
      embedded: storage.embedded ?? false,
      get flushes() {
        return storage.flushes as number
      },
      lane,
      close: () => storage.close()
    }
  }

  families(node: string, fragments: () => readonly FragmentHealth[], maxTransactions: number): Family[] {
    const each = (value: (f: FragmentHealth) => number) => () =>
      fragments().map((f) => ({ labels: { node, fragment: f.fragment }, value: value(f) }))
    const leads = (value: (f: FragmentHealth) => number) => () =>
      fragments()
        .filter((f) => f.role === 'leader')
        .map((f) => ({ labels: { node, fragment: f.fragment }, value: value(f) }))
    return [
      gauge('seata_transaction', 'Transactions, in the words of Seata.', () => this.#seata()),
      gauge('seata_fragment_role', '1 for the role that a replica has.', () =>
        fragments().map((f) => ({ labels: { node, fragment: f.fragment, role: f.role }, value: 1 }))
      ),
      gauge(
        'seata_fragment_up',
        '0 when something is wrong with a replica.',
        each((f) => (f.trouble === null ? 1 : 0))
      ),
      gauge(
        'seata_fragment_term',
        'Term, which grows with each change of leader.',
        each((f) => f.term)
      ),
      gauge(
        'seata_fragment_index',
        'Record up to which a replica has read: the lag is the difference.',
        each((f) => f.index)
      ),
      gauge(
        'seata_fragment_snapshot_index',
        'Record of the newest snapshot.',
        each((f) => f.snapshotIndex)
      ),
      gauge(
        'seata_fragment_transactions',
        'Transactions that live, at the leader.',
        leads((f) => f.transactions)
      ),
      gauge(
        'seata_fragment_saturation',
        'Of the transactions that may live, 0 to 1.',
        leads((f) => f.transactions / maxTransactions)
      ),
      gauge(
        'seata_fragment_locks',
        'Rows that are locked, at the leader.',
        leads((f) => f.locks)
      ),
      counter(
        'seata_fragment_requests_total',
        'Requests since this node leads.',
        leads((f) => f.requests)
      ),
      counter(
        'seata_log_appends_total',
        'Records appended since this node leads.',
        leads((f) => f.appends)
      ),
      gauge(
        'seata_log_inflight',
        'Appends on their way.',
        leads((f) => f.inflight)
      ),
      histogram('seata_log_append_duration_seconds', 'From an append to its confirmation.', () =>
        this.#append.samples({ node })
      ),
      histogram('seata_log_batch_replies', 'Answers and calls that waited for one record.', () =>
        this.#batch.samples({ node })
      ),
      histogram('seata_kv_operation_duration_seconds', 'What calls of the store take.', () =>
        this.#store.samples({ node })
      ),
      counter('seata_kv_errors_total', 'Calls of the store that failed.', () =>
        this.#storeErrors.entries.map(([name, value]) => {
          const [operation = '', kind = ''] = name.split(' ')
          return { labels: { node, operation, kind }, value }
        })
      ),
      counter('seata_kv_outages_total', 'Times that the store did not do, such as while it failed over.', () => [
        { labels: { node }, value: this.#outages }
      ])
    ]
  }

  #seata(): Sample[] {
    this.#rotate(Date.now())
    const samples: Sample[] = []
    for (const [key, { active, total, last }] of this.#applications) {
      const [applicationId = '', group = ''] = key.split('\n')
      const add = (meter: string, status: string, value: number, statistic?: string) => {
        const labels = { role: 'tc', meter, status, applicationId, group, ...(statistic && { statistic }) }
        samples.push({ labels, value })
      }
      add('counter', 'active', active)
      for (const [what, value] of total) {
        add('counter', what, value)
        const { count, ms, max } = last.get(what) ?? { count: 0, ms: 0, max: 0 }
        add('summary', what, count, 'count')
        add('summary', what, count, 'total')
        add('summary', what, (count * 1000) / INTERVAL_MS, 'tps')
        add('timer', what, count, 'count')
        add('timer', what, ms, 'total')
        add('timer', what, max, 'max')
        add('timer', what, count === 0 ? 0 : ms / count, 'average')
      }
    }
    return samples
  }
}

/** What a transaction's end counts as, by the status before it; null: as nothing more. */
function happeningOf(before: number, status: number): Happening | null {
  if (status === GlobalStatus.Committed) {
    const known = before === GlobalStatus.AsyncCommitting || before === GlobalStatus.CommitRetrying
    return known ? 'AfterCommitted' : 'committed'
  }
  if (status !== GlobalStatus.Rollbacked) return null
  return before === GlobalStatus.RollbackRetrying ? 'AfterRollbacked' : 'rollbacked'
}

/** One of few words. */
function kindOf(error: unknown): string {
  const code = (error as { cause?: { code?: unknown } }).cause?.code
  if (typeof code === 'string') return /^[A-Z_]{1,30}$/.test(code) ? code : OTHER
  if (typeof code === 'number') return `status-${code}`
  return /time|within/.test((error as Error).message) ? 'timeout' : OTHER
}
