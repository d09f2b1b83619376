// The load of bench:failover: clients that know both gateways, as many transactions at a time as are asked for, every answer timed and
// told to the judge.
import { BranchStatus } from '../../tc-core/wire/codes.ts'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import { SeataClient } from '../client/client.ts'
import { Judge } from '../e2e/judge.ts'

/** A request from its asking to its answer, in performance.now(). */
interface Sample {
  readonly start: number
  readonly end: number
  /** Of its transaction; -1: it has none. */
  readonly fragment: number
}

type Role = 'tm' | 'rm'
type Answer = { readonly resultCode: number; readonly msg: string }

const REDIAL_MS = 20
/** How often a request is asked again whose connection was closed before its answer. */
const AGAIN = 5
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** A connection to one gateway, dialled again for as long as it takes. */
class Line {
  readonly #port: number
  readonly #role: Role
  readonly #judge: Judge
  #closed = false
  client: SeataClient | null = null

  constructor(port: number, role: Role, judge: Judge) {
    this.#port = port
    this.#role = role
    this.#judge = judge
  }

  async dial(): Promise<void> {
    while (!this.#closed) {
      try {
        const client = await SeataClient.connect({ port: this.#port, timeoutMs: 30_000 })
        client.onBranch = ({ xid, branchId }, kind) => {
          this.#judge.called(xid, branchId, kind)
          return kind === 'commit' ? BranchStatus.PhaseTwo_Committed : BranchStatus.PhaseTwo_Rollbacked
        }
        client.socket.once('close', () => {
          this.client = null
          void this.dial()
        })
        // A half that is closed takes no more requests: the gateway is about to go.
        client.socket.once('end', () => (this.client = null))
        await (this.#role === 'rm' ? client.registerRM('tcc') : client.registerTM())
        this.client = client
        return
      } catch {
        await sleep(REDIAL_MS)
      }
    }
  }

  close(): void {
    this.#closed = true
    this.client?.close()
  }
}

export class FailoverLoad {
  readonly judge = new Judge()
  readonly #lines: Readonly<Record<Role, readonly Line[]>>
  #running = true
  #callers: Promise<unknown> = Promise.resolve()
  samples: Sample[] = []
  /** What failed answers said, and what ended without an answer. */
  failures: string[] = []
  /** Requests that were asked again over another connection. */
  again = 0
  done = 0

  constructor(ports: readonly number[]) {
    const lines = (role: Role) => [...ports, ...ports].map((port) => new Line(port, role, this.judge))
    this.#lines = { tm: lines('tm'), rm: lines('rm') }
  }

  async start(callers: number): Promise<void> {
    await Promise.all([...this.#lines.tm, ...this.#lines.rm].map((line) => line.dial()))
    this.#callers = Promise.all(Array.from({ length: callers }, (_, i) => this.#caller(i)))
  }

  /** Resolves when every transaction under way has ended. */
  async stop(): Promise<void> {
    this.#running = false
    await this.#callers
  }

  close(): void {
    for (const line of [...this.#lines.tm, ...this.#lines.rm]) line.close()
  }

  /** Forgets what was measured. */
  reset(): void {
    this.samples = []
    this.failures = []
    this.again = 0
  }

  /** The longest wait of those that overlap the time since `from`. */
  longest(from: number): number {
    return this.samples.reduce((longest, { start, end }) => (end >= from ? Math.max(longest, end - start) : longest), 0)
  }

  /** What requests that ended between two times took, of the fragments that fit. */
  waits(from: number, to: number, fits: (fragment: number) => boolean): number[] {
    const samples = this.samples.filter(({ end, fragment }) => end >= from && end < to && fits(fragment))
    return samples.map(({ start, end }) => end - start)
  }

  async #caller(i: number): Promise<void> {
    const { judge } = this
    while (this.#running) {
      const begun = await this.#timed('tm', i, -1, (tm) => tm.begin('failover', 60_000))
      if (!begun) continue
      const { xid } = begun
      judge.begun(xid)
      const branch = await this.#timed('rm', i, fragmentOf(xid), (rm) => rm.register(xid, 'tcc', 1))
      if (branch) judge.registered(xid, branch.branchId, [])
      judge.asks(xid, 'commit')
      const ended = await this.#timed('tm', i, fragmentOf(xid), (tm) => tm.commit(xid))
      if (ended) judge.told(xid, ended.globalStatus)
      else judge.abandoned(xid)
      this.done++
    }
  }

  /** Null: it failed. */
  async #timed<T extends Answer>(
    role: Role,
    i: number,
    fragment: number,
    ask: (client: SeataClient) => Promise<T>
  ): Promise<T | null> {
    const start = performance.now()
    try {
      const answer = await this.#asked(role, i, ask)
      if (answer.resultCode !== 1) throw new Error(answer.msg)
      const xid = (answer as { xid?: string }).xid
      this.samples.push({ start, end: performance.now(), fragment: xid ? fragmentOf(xid) : fragment })
      return answer
    } catch (error) {
      this.failures.push((error as Error).message)
      this.samples.push({ start, end: performance.now(), fragment })
      return null
    }
  }

  async #asked<T>(role: Role, i: number, ask: (client: SeataClient) => Promise<T>): Promise<T> {
    for (let n = 1; ; n++) {
      const client = await this.#client(role, i + n - 1)
      try {
        return await ask(client)
      } catch (error) {
        if (n === AGAIN || (error as Error).message !== 'connection closed') throw error
        this.again++
      }
    }
  }

  /** The caller's own, or the next that is up. */
  async #client(role: Role, i: number): Promise<SeataClient> {
    const lines = this.#lines[role]
    for (;;) {
      for (let n = 0; n < lines.length; n++) {
        const { client } = lines[(i + n) % lines.length]!
        if (client) return client
      }
      await sleep(REDIAL_MS)
    }
  }
}
