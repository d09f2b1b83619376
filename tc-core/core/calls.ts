// Phase-two calls on their way to RMs: how many at a time, how long, and who waits for an RM to come back.
import { MAX_CALLS_PER_RESOURCE } from '../wire/limits.ts'
import type { BranchCall, CallFailure } from '../wire/link.ts'
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
  /** In line; those before `head` are gone. */
  queue: Call[]
  head: number
}

export class Calls {
  readonly #calls = new Map<number, Call>()
  readonly #lanes = new Map<string, Lane>()
  /** Sessions whose last pass met no RM, by resource. */
  readonly #blocked = new Map<string, Set<Session>>()
  #lastId = 0

  /** Calls that wait for an answer. */
  get size(): number {
    return this.#calls.size
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
    if (!lane) this.#lanes.set(key, (lane = { key, sent: 0, queue: [], head: 0 }))
    const call = new Call(
      session,
      run,
      branch,
      { ...target, id, timeout: f.settings.rpcTcRequestTimeout },
      lane,
      release
    )
    this.#calls.set(id, call)
    if (lane.sent >= MAX_CALLS_PER_RESOURCE) lane.queue.push(call)
    else this.#send(f, call)
  }

  #send(f: Fragment, call: Call): void {
    call.lane.sent++
    f.timers.set(call, f.now + f.settings.rpcTcRequestTimeout)
    f.out.calls.push({ call: call.request, release: call.release })
  }

  answered(f: Fragment, id: number, branchStatus: number): void {
    const call = this.#finish(f, id)
    if (call && call.session.run === call.run) answer(f, call.session, call.branch, branchStatus)
  }

  failed(f: Fragment, id: number, reason: CallFailure): void {
    const call = this.#finish(f, id)
    if (!call || call.session.run !== call.run) return
    if (reason === 'not-connected') this.#block(call)
    failed(f, call.session, call.branch, call.request, reason)
  }

  /** Takes a call out and lets the next of its lane go. Null: it is over already, this is a late answer. */
  #finish(f: Fragment, id: number): Call | null {
    const call = this.#calls.get(id)
    if (!call) return null
    this.#calls.delete(id)
    f.timers.remove(call)
    const { lane } = call
    lane.sent--
    this.#sendNext(f, lane)
    if (lane.sent === 0) this.#lanes.delete(lane.key)
    return call
  }

  #sendNext(f: Fragment, lane: Lane): void {
    while (lane.head < lane.queue.length) {
      const next = lane.queue[lane.head++]!
      if (next.session.run === next.run) {
        this.#send(f, next)
        break
      }
      this.#calls.delete(next.id)
    }
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
