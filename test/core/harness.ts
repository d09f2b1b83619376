// Drives a fragment by hand: time stands still unless told, calls are answered by the test, and a second replica follows the effects
// through their bytes, so that every test also shows that replay gives the same state.

import { readEffects, writeEffect } from '../../tc-core/core/effects.ts'
import { DEFAULT_SETTINGS, Fragment, type Settings } from '../../tc-core/core/fragment.ts'
import { type Input, Outputs, type Release } from '../../tc-core/core/outputs.ts'
import { restore, Snapshot, stateHash } from '../../tc-core/core/snapshot.ts'
import { State } from '../../tc-core/core/state.ts'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { BranchType } from '../../tc-core/wire/codes.ts'
import { DEFAULT_LIMITS, type Limits } from '../../tc-core/wire/limits.ts'
import type { BranchCall, Client } from '../../tc-core/wire/link.ts'
import type { AnyMessage } from '../../tc-core/wire/message.ts'
import { parseVersion } from '../../tc-core/wire/version.ts'

export interface Answer extends AnyMessage {
  readonly resultCode: number
  readonly msg?: string
  readonly transactionExceptionCode?: number
  readonly globalStatus?: number
  readonly xid?: string
  readonly branchId?: bigint
  readonly lockable?: boolean
  readonly release: Release
}

export interface HarnessOptions extends Partial<Omit<Settings, 'limits'>> {
  readonly limits?: Partial<Limits>
  readonly version?: string
}

export class Harness {
  now = 1_800_000_000_000
  fragment: Fragment
  readonly #settings: Settings
  readonly #follower: State
  /** Calls that are not answered yet, in order. */
  readonly calls: (BranchCall & { release: Release })[] = []
  /** Answers that no helper picked up: to requests whose answer came later. */
  readonly late: Answer[] = []
  readonly notes: string[] = []
  client: Client
  #id = 0

  constructor(options: HarnessOptions = {}) {
    const { limits, version = '2.6.0', ...settings } = options
    this.#settings = { ...DEFAULT_SETTINGS, ...settings, limits: { ...DEFAULT_LIMITS, ...limits } }
    const state = new State(0, this.#settings.limits)
    state.led()
    this.#follower = new State(0, this.#settings.limits)
    this.#follower.led()
    this.fragment = new Fragment(state, this.#settings)
    this.fragment.lead(this.now)
    this.client = clientOf(version)
  }

  get state(): State {
    return this.fragment.state
  }

  /** One step; returns the answers that it gave. */
  step(input: Input): Answer[] {
    const out = new Outputs()
    this.fragment.step(this.now, input, out)
    const w = new Writer()
    for (const effect of out.effects) writeEffect(w, effect)
    readEffects(Buffer.from(w.written), (effect) => this.#follower.apply(effect))
    for (const { call, release } of out.calls) this.calls.push({ ...call, release })
    this.notes.push(...out.notes.map((note) => note.text))
    return out.replies.map(({ message, release }) => ({ ...(message as Answer), release }))
  }

  /** A request whose answer is expected at once, or undefined when it comes later (see `late`). */
  request(message: { type: number; [field: string]: unknown }, client = this.client): Answer | undefined {
    const proposed = `127.0.0.1:8091:${++this.#id}`
    const answers = this.step({ kind: 'request', request: { client, message, proposed } })
    const [first, ...rest] = answers
    this.late.push(...rest)
    return first
  }

  begin(timeout = 60_000, transactionName = 'tx'): string {
    return this.request({ type: 1, timeout, transactionName })!.xid!
  }

  register(
    xid: string,
    branchType: number,
    more: { resourceId?: string; lockKey?: string; applicationData?: string; clientId?: string } = {}
  ): Answer {
    const { resourceId = 'r', lockKey = '', applicationData = '', clientId } = more
    const client = clientId === undefined ? this.client : { ...this.client, clientId }
    return this.request({ type: 11, xid, branchType, resourceId, lockKey, applicationData }, client)!
  }

  /** An AT branch that must get its rows. */
  at(xid: string, lockKey: string, resourceId = 'r'): bigint {
    const answer = this.register(xid, BranchType.AT, { resourceId, lockKey })
    if (answer.resultCode !== 1) throw new Error(answer.msg)
    return answer.branchId!
  }

  tcc(xid: string, resourceId = 'r'): bigint {
    return this.register(xid, BranchType.TCC, { resourceId }).branchId!
  }

  report(xid: string, branchId: bigint, branchStatus: number, applicationData = ''): Answer {
    return this.request({ type: 13, xid, branchId, branchStatus, resourceId: '', applicationData, branchType: 0 })!
  }

  commit(xid: string): Answer | undefined {
    return this.request({ type: 7, xid, extraData: '' })
  }

  rollback(xid: string): Answer | undefined {
    return this.request({ type: 9, xid, extraData: '' })
  }

  status(xid: string): number {
    return this.request({ type: 15, xid, extraData: '' })!.globalStatus!
  }

  globalReport(xid: string, globalStatus: number): number {
    return this.request({ type: 17, xid, extraData: '', globalStatus })!.globalStatus!
  }

  lockable(xid: string, lockKey: string, resourceId = 'r', branchType: number = BranchType.AT): boolean {
    return this.request({ type: 21, xid, branchType, resourceId, lockKey, applicationData: '' })!.lockable!
  }

  /** Answers the oldest call; returns what that brought to whom waits. */
  answer(branchStatus: number): Answer[] {
    const call = this.calls.shift()
    if (!call) throw new Error('no call is waiting')
    return this.step({ kind: 'answered', call: call.id, branchStatus })
  }

  fail(reason: 'not-connected' | 'no-answer'): Answer[] {
    const call = this.calls.shift()
    if (!call) throw new Error('no call is waiting')
    return this.step({ kind: 'failed', call: call.id, reason })
  }

  /** Time passes. */
  pass(ms: number): Answer[] {
    const until = this.now + ms
    const answers: Answer[] = []
    while (this.fragment.timers.next <= until) {
      this.now = Math.max(this.now, this.fragment.timers.next)
      answers.push(...this.step({ kind: 'tick' }))
    }
    this.now = until
    return answers
  }

  /** The leader is gone; another takes over with what is in the log. */
  restart(): void {
    const chunks: Buffer[] = []
    const snapshot = new Snapshot(this.state)
    for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) chunks.push(chunk)
    const state = new State(0, this.#settings.limits)
    restore(state, chunks)
    state.led()
    this.#follower.led()
    this.calls.length = 0
    this.fragment = new Fragment(state, this.#settings)
    this.fragment.lead(this.now)
    this.pass(0)
  }

  /** The state of the leader and of the replica that followed its effects are one. */
  get agrees(): boolean {
    return stateHash(this.state) === stateHash(this.#follower)
  }

  /** Nothing is left: no session, no lock, no call. */
  get atRest(): boolean {
    return this.state.sessions.size === 0 && this.state.locks.count === 0 && this.fragment.calls.size === 0
  }
}

export function clientOf(version: string, applicationId = 'app'): Client {
  return {
    applicationId,
    transactionServiceGroup: 'default_tx_group',
    clientId: `${applicationId}:10.0.0.1:5000`,
    version: parseVersion(version)
  }
}
