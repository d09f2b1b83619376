// The clients of a run: applications that are TM and RM at once, with the habits of Java's: commit and rollback are tried five times, a
// register that meets a lock again every 10 ms thirty times, a report five times.
import { BranchStatus, BranchType } from '../../tc-core/wire/codes.ts'
import type { Random } from '../core/random.ts'
import { Connection, type Message } from './client.ts'
import { rowsOf } from './history.ts'
import type { Judges } from './judges.ts'
import type { Machine } from './machine.ts'

const TRIES = 5
const LOCK_TRIES = 30
export const LOCK_PAUSE_MS = 10
/** TransactionExceptionCode of a lock that is another's, and of one whose owner rolls back. */
const LOCK_CONFLICT = 2
export const RESOURCES = ['db1', 'db2'] as const
export const ROWS = 7

export interface WorkloadOptions {
  readonly gateways: readonly { readonly host: string; readonly port: number }[]
  readonly judges: Judges
  readonly random: Random
  /** What must not happen with a client of this name. */
  silent(name: string, type: number, since: number): void
  trace(text: string): void
}

export class App {
  readonly name: string
  readonly connection: Connection
  readonly #machine: Machine
  readonly #options: WorkloadOptions
  /** Loops under way. */
  busy = 0
  /** No new transactions. */
  stopping = false
  /** RMs do all that they are told. */
  obedient = false
  #names = 0

  constructor(machine: Machine, options: WorkloadOptions) {
    this.name = machine.name
    this.#machine = machine
    this.#options = options
    this.connection = new Connection(machine, {
      applicationId: `app-${machine.name}`,
      resources: RESOURCES,
      gateways: options.gateways,
      called: (message, answer) => this.#called(message, answer),
      silent: (type, since) => options.silent(machine.name, type, since)
    })
  }

  #called(message: Message, answer: (branchStatus: number) => void): void {
    const { random, judges, trace } = this.#options
    const kind = message.type === 3 ? 'commit' : 'rollback'
    const chance = this.obedient ? 1 : random.next()
    const done = chance > 0.06
    this.#machine.timer(0.3 + random.next() * 2, () => {
      trace(`${this.name} is told to ${kind} ${message.branchId} of ${message.xid}${done ? '' : ', and cannot'}`)
      judges.called(kind, message.xid, message.branchId, done)
      if (chance < 0.02) return
      if (kind === 'commit')
        answer(done ? BranchStatus.PhaseTwo_Committed : BranchStatus.PhaseTwo_CommitFailed_Retryable)
      else answer(done ? BranchStatus.PhaseTwo_Rollbacked : BranchStatus.PhaseTwo_RollbackFailed_Retryable)
    })
  }

  #ask(message: Message): Promise<Message | null> {
    return new Promise((resolve) => this.connection.request(message, resolve))
  }

  /** One transaction after the other, until it is stopped. */
  async loop(): Promise<void> {
    this.busy++
    const { random } = this.#options
    while (!this.stopping) {
      await this.#machine.sleep(random.below(random.next() < 0.7 ? 20 : 120))
      await this.#transaction()
    }
    this.busy--
  }

  async #transaction(): Promise<void> {
    const { random } = this.#options
    const xid = await this.begin(600 + random.below(2_400))
    if (!xid) return
    let failed = false
    for (let wants = random.below(4); wants > 0 && !failed; wants--) {
      if (random.next() < 0.08) await this.status(xid)
      if (random.next() < 0.05) await this.#query(xid)
      const type = random.next() < 0.85 ? BranchType.AT : BranchType.TCC
      const branchId = await this.register(xid, type, random.pick(RESOURCES), this.#someRows())
      failed = branchId === null
      if (branchId !== null && random.next() < 0.04) {
        await this.#report(xid, branchId, BranchStatus.PhaseOne_Failed)
        failed = true
      }
      if (random.next() < 0.1) await this.#machine.sleep(random.below(150))
    }
    const chance = random.next()
    // A TM that dies leaves its transaction to the timeout.
    if (chance < 0.03) return
    await this.end(xid, failed || chance < 0.25 ? 'rollback' : 'commit')
    if (random.next() < 0.2) await this.status(xid)
  }

  #someRows(): string {
    const { random } = this.#options
    const rows = new Set(Array.from({ length: 1 + random.below(2) }, () => random.below(ROWS)))
    return `t:${[...rows].join(',')}`
  }

  async begin(timeout: number): Promise<string | null> {
    const transactionName = `${this.name}-${++this.#names}`
    const answer = await this.#ask({ type: 1, timeout, transactionName })
    if (answer?.resultCode !== 1) return null
    this.#options.trace(`${this.name} has begun ${answer.xid}`)
    this.#options.judges.begun(answer.xid)
    return answer.xid
  }

  /** The branch's id; null when it could not be had. */
  async register(
    xid: string,
    branchType: number,
    resourceId: string,
    key: string,
    pause = LOCK_PAUSE_MS
  ): Promise<bigint | null> {
    const { judges, trace } = this.#options
    const lockKey = branchType === BranchType.AT ? key : ''
    const rows = rowsOf(resourceId, lockKey)
    for (let tries = 0; tries < LOCK_TRIES; tries++) {
      const since = this.#machine.time.now
      const applicationData = `${this.name}-${++this.#names}`
      const answer = await this.#ask({ type: 11, xid, branchType, resourceId, lockKey, applicationData })
      if (answer?.resultCode === 1) {
        trace(`${this.name} has branch ${answer.branchId} of ${xid} with ${rows}`)
        judges.registered(xid, answer.branchId, rows)
        return answer.branchId
      }
      if (answer?.transactionExceptionCode !== LOCK_CONFLICT) return null
      judges.conflict(rows, since)
      await this.#machine.sleep(pause)
    }
    return null
  }

  async #report(xid: string, branchId: bigint, status: number): Promise<void> {
    this.#options.judges.reported(branchId, status)
    for (let tries = 0; tries < TRIES; tries++) {
      const message = {
        type: 13,
        xid,
        branchId,
        branchStatus: status,
        resourceId: 'db1',
        applicationData: '',
        branchType: 0
      }
      const answer = await this.#ask(message)
      if (answer?.resultCode === 1) return
    }
  }

  /** True: the coordinator has said how it ended. */
  async end(xid: string, how: 'commit' | 'rollback'): Promise<boolean> {
    const { judges, trace } = this.#options
    for (let tries = 0; tries < TRIES; tries++) {
      const answer = await this.#ask({ type: how === 'commit' ? 7 : 9, xid, extraData: '' })
      if (answer?.resultCode !== 1) continue
      trace(`${this.name} hears of its ${how} of ${xid}: ${answer.globalStatus}`)
      judges.ended(xid, answer.globalStatus)
      return true
    }
    return false
  }

  async status(xid: string): Promise<void> {
    const since = this.#machine.time.now
    const answer = await this.#ask({ type: 15, xid, extraData: '' })
    if (answer?.resultCode === 1) this.#options.judges.status(xid, answer.globalStatus, since)
  }

  async #query(xid: string): Promise<void> {
    const resourceId = this.#options.random.pick(RESOURCES)
    const lockKey = this.#someRows()
    const judged = this.#options.judges.asks(xid, rowsOf(resourceId, lockKey))
    const message = { type: 21, xid, branchType: BranchType.AT, resourceId, lockKey, applicationData: '' }
    const answer = await this.#ask(message)
    if (answer?.resultCode === 1) judged(answer.lockable)
  }
}
