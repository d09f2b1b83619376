// A load that lives through the coordinator's deaths: TMs that retry, RMs that answer, everything told to a judge.
import { BranchStatus, BranchType } from '../../tc-core/wire/codes.ts'
import { SeataClient } from '../client/client.ts'
import { type Random, random } from '../core/random.ts'
import type { Decision, Judge } from './judge.ts'

const AT_RESOURCE = 'jdbc:db'
const TCC_RESOURCE = 'tcc'
const ROWS = 120
/** Of which each row is in one: together they have their homes in many fragments. */
const TABLES = 16
/** Ms after which a transaction that its TM gave up is rolled back. */
const TIMEOUT_MS = 5_000

export class Load {
  readonly #port: () => number
  readonly #judge: Judge
  readonly #r: Random
  #tm: Promise<SeataClient> | null = null
  #rm: Promise<SeataClient> | null = null
  #running = true
  #killed = false
  /** Transactions that came to an end, by their TM's account. */
  done = 0
  /** Answers that did not come. */
  lost = 0

  /** @param port of the coordinator; a function where it may be another with the next connection */
  constructor(port: number | (() => number), judge: Judge, seed: number) {
    this.#port = typeof port === 'number' ? () => port : port
    this.#judge = judge
    this.#r = random(seed)
  }

  /** `callers` transactions at a time, until `stop`. */
  async run(callers: number): Promise<void> {
    await Promise.all(Array.from({ length: callers }, () => this.#caller()))
  }

  stop(): void {
    this.#running = false
  }

  async close(): Promise<void> {
    for (const client of [await this.#tm, await this.#rm]) client?.close()
  }

  /** At once, however things stand: for teardowns, after which nobody may be left who dials. */
  kill(): void {
    this.#running = false
    this.#killed = true
    for (const client of [this.#tm, this.#rm]) void client?.then((one) => one.close()).catch(() => {})
  }

  /** Connects as often as it takes. */
  async connect(): Promise<void> {
    await Promise.all([this.#client('tm'), this.#client('rm')])
  }

  #client(role: 'tm' | 'rm'): Promise<SeataClient> {
    if (role === 'tm') return (this.#tm ??= this.#dial(role))
    return (this.#rm ??= this.#dial(role))
  }

  async #dial(role: 'tm' | 'rm'): Promise<SeataClient> {
    while (!this.#killed) {
      try {
        const client = await SeataClient.connect({ port: this.#port(), timeoutMs: 30_000 })
        if (this.#killed) client.close()
        client.socket.once('close', () => {
          if (role === 'tm') this.#tm = null
          else this.#rm = null
        })
        if (role === 'rm') client.onBranch = (request, kind) => this.#branch(request.xid, request.branchId, kind)
        await (role === 'tm' ? client.registerTM() : client.registerRM(AT_RESOURCE, TCC_RESOURCE))
        return client
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    throw new Error('the load was killed')
  }

  #branch(xid: string, branchId: bigint, kind: Decision): number {
    this.#judge.called(xid, branchId, kind)
    const again = this.#r.next() < 0.02
    if (kind === 'commit') return again ? BranchStatus.PhaseTwo_CommitFailed_Retryable : BranchStatus.PhaseTwo_Committed
    return again ? BranchStatus.PhaseTwo_RollbackFailed_Retryable : BranchStatus.PhaseTwo_Rollbacked
  }

  async #caller(): Promise<void> {
    while (this.#running) {
      try {
        await this.#transaction()
        this.done++
      } catch {
        this.lost++
      }
    }
  }

  async #transaction(): Promise<void> {
    const judge = this.#judge
    const begun = await (await this.#client('tm')).begin('load', TIMEOUT_MS)
    if (begun.resultCode !== 1) throw new Error(begun.msg)
    const { xid } = begun
    judge.begun(xid)
    let decision: Decision = this.#r.next() < 0.3 ? 'rollback' : 'commit'
    try {
      for (let branches = this.#r.below(4); branches > 0; branches--)
        if (!(await this.#register(xid))) decision = 'rollback'
    } catch (error) {
      if (this.#r.next() < 0.5) {
        judge.abandoned(xid)
        throw error
      }
      decision = 'rollback'
    }
    await this.#end(xid, decision)
  }

  async #register(xid: string): Promise<boolean> {
    const at = this.#r.next() < 0.5
    const rows = at ? Array.from({ length: 1 + this.#r.below(3) }, () => `${this.#r.below(ROWS)}`) : []
    const lockKey = rows.map((row) => `t${Number(row) % TABLES}:${row}`).join(';')
    const branchType = at ? BranchType.AT : BranchType.TCC
    const rm = await this.#client('rm')
    const answer = await rm.register(xid, at ? AT_RESOURCE : TCC_RESOURCE, branchType, lockKey)
    if (answer.resultCode !== 1) {
      this.#judge.conflicts++
      return false
    }
    this.#judge.registered(xid, answer.branchId, rows)
    return true
  }

  /** As Java's TM does: asks again when no answer came. */
  async #end(xid: string, decision: Decision): Promise<void> {
    this.#judge.asks(xid, decision)
    for (let attempt = 0; attempt < 5; attempt++) {
      try {
        const answer = await (await this.#client('tm')).end(decision === 'commit' ? 7 : 9, xid)
        if (answer.resultCode === 1) return this.#judge.told(xid, answer.globalStatus)
      } catch {
        this.lost++
      }
    }
    this.#judge.abandoned(xid)
  }
}
