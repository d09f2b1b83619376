// Phase-two calls on their way to RMs: how many at a time, how long, and who waits for an RM to come back.
import { MAX_CALLS_IN_LINE, MAX_CALLS_PER_RESOURCE } from '../wire/limits.ts'
import type { BranchCall, CallFailure } from '../wire/link.ts'
import { Table } from '../wire/table.ts'
import type { Fragment } from './fragment.ts'
import type { Release } from './outputs.ts'
import { answer, failed, type Run } from './phase-two.ts'
import type { Branch, Session } from './session.ts'
import type { Timed } from './timers.ts'

export class Call implements Timed {
  readonly id: number
  readonly session: Session
  readonly run: Run
  /** Null for a saga, which is called as a whole. */
  readonly branch: Branch | null
  readonly request: BranchCall
  readonly lane: Lane
  /** When it may leave, were it made now or later. */
  readonly release: Release
  at = 0
  heapIndex = -1

  constructor(session: Session, run: Run, branch: Branch | null, request: BranchCall, lane: Lane, release: Release) {
    this.id = request.id
    this.session = session
    this.run = run
    this.branch = branch
    this.request = request
    this.lane = lane
    this.release = release
  }
}

/** The calls to one resource of one application: a slow RM fills its own lane and delays nobody else. */
interface Lane {
  readonly key: string
  sent: number
  /** May be on the way: RMs that answer much get much, so that how long the way is does not say how much passes. */
  window: number
  /** Answers in a second, by the last that is over; and those since `since`, ms. */
  rate: number
  answers: number
  since: number
  answeredAt: number
  /** In line; those before `head` are gone. */
  queue: Call[]
  head: number
}

const WINDOW_MS = 1_000
/** RMs that gave no answer for so long are silent, ms: who does not need them need not wait for them. */
const SILENT_MS = 1_000
/** RMs that answer fewer calls in a second have a trouble of their own: the line is theirs, and others begin on. */
const LEAST_RATE = 100

export class Calls {
  readonly #calls = new Table<number, Call>()
  readonly #lanes = new Map<string, Lane>()
  /** Those with a long line. */
  readonly #long = new Set<Lane>()
  /** Sessions whose last pass met no RM, by resource. */
  readonly #blocked = new Map<string, Set<Session>>()
  #lastId = 0

  /** Calls that wait for an answer. */
  get size(): number {
    return this.#calls.size
  }

  /** RMs that answer well have so much in line that nothing more should begin: what is owed to them would grow without end. */
  behind(now: number): boolean {
    for (const { answeredAt, rate } of this.#long) if (rate >= LEAST_RATE && now - answeredAt < SILENT_MS) return true
    return false
  }

  /** Calls the RM of a branch, or gets in line behind calls to the same RMs. */
  start(
    f: Fragment,
    session: Session,
    run: Run,
    branch: Branch | null,
    target: Omit<BranchCall, 'id' | 'timeout'>,
    release: Release
  ): void {
    const id = ++this.#lastId
    const key = `${target.resourceId}\n${target.clientId.slice(0, target.clientId.indexOf(':'))}`
    let lane = this.#lanes.get(key)
    if (!lane) this.#lanes.set(key, (lane = newLane(key, f.now)))
    const call = new Call(
      session,
      run,
      branch,
      { ...target, id, timeout: f.settings.rpcTcRequestTimeout },
      lane,
      release
    )
    this.#calls.set(id, call)
    if (lane.sent < lane.window) return this.#send(f, call)
    lane.queue.push(call)
    if (inLine(lane) >= MAX_CALLS_IN_LINE) this.#long.add(lane)
  }

  #send(f: Fragment, call: Call): void {
    call.lane.sent++
    f.timers.set(call, f.now + f.settings.rpcTcRequestTimeout)
    f.out.calls.push({ call: call.request, release: call.release })
  }

  answered(f: Fragment, id: number, branchStatus: number): void {
    const call = this.#finish(f, id, true)
    if (call && call.session.run === call.run) answer(f, call.session, call.branch, branchStatus)
  }

  failed(f: Fragment, id: number, reason: CallFailure): void {
    const call = this.#finish(f, id, false)
    if (!call || call.session.run !== call.run) return
    if (reason === 'not-connected') this.#block(call)
    failed(f, call.session, call.branch, call.request, reason)
  }

  /** Takes a call out and lets the next of its lane go. Null: it is over already, this is a late answer. */
  #finish(f: Fragment, id: number, isAnswered: boolean): Call | null {
    const call = this.#calls.get(id)
    if (!call) return null
    this.#calls.delete(id)
    f.timers.remove(call)
    const { lane } = call
    lane.sent--
    if (isAnswered) count(lane, f.now)
    this.#sendNext(f, lane)
    if (lane.sent === 0) this.#lanes.delete(lane.key)
    return call
  }

  #sendNext(f: Fragment, lane: Lane): void {
    while (lane.sent < lane.window && lane.head < lane.queue.length) {
      const next = lane.queue[lane.head++]!
      if (next.session.run === next.run) this.#send(f, next)
      else this.#calls.delete(next.id)
    }
    if (inLine(lane) < MAX_CALLS_IN_LINE) this.#long.delete(lane)
    if (lane.head === lane.queue.length) lane.queue.length = lane.head = 0
    else if (lane.head > 1024 && lane.head * 2 > lane.queue.length) {
      lane.queue = lane.queue.slice(lane.head)
      lane.head = 0
    }
  }

  #block(call: Call): void {
    const { resourceId } = call.request
    let sessions = this.#blocked.get(resourceId)
    if (!sessions) this.#blocked.set(resourceId, (sessions = new Set()))
    sessions.add(call.session)
  }

  /** The sessions that waited for an RM of these resources and have no pass under way. */
  unblock(resourceIds: readonly string[]): Session[] {
    const free = new Set<Session>()
    for (const resourceId of resourceIds) {
      for (const session of this.#blocked.get(resourceId) ?? []) free.add(session)
      this.#blocked.delete(resourceId)
    }
    return [...free].filter((session) => session.run === null && session.heapIndex >= 0)
  }

  /** The session is over. */
  forget(session: Session): void {
    if (this.#blocked.size === 0) return
    for (const [resourceId, sessions] of this.#blocked) {
      if (sessions.delete(session) && sessions.size === 0) this.#blocked.delete(resourceId)
    }
  }
}

function newLane(key: string, now: number): Lane {
  const window = MAX_CALLS_PER_RESOURCE
  return { key, sent: 0, window, rate: 0, answers: 0, since: now, answeredAt: 0, queue: [], head: 0 }
}

function inLine({ queue, head }: Lane): number {
  return queue.length - head
}

function count(lane: Lane, now: number): void {
  lane.answers++
  lane.answeredAt = now
  if (now - lane.since < WINDOW_MS) return
  lane.rate = Math.round((lane.answers * WINDOW_MS) / (now - lane.since))
  lane.window = Math.max(MAX_CALLS_PER_RESOURCE, lane.rate)
  lane.answers = 0
  lane.since = now
}
