// Phase two's way to the RMs: which connection serves a branch, and which call an answer belongs to.
import { Reader, Writer } from '../tc-core/wire/bytes.ts'
import { MessageType, ResultCode } from '../tc-core/wire/codes.ts'
import type { Dialect } from '../tc-core/wire/fields.ts'
import type { BranchCall, CallOutcome } from '../tc-core/wire/link.ts'
import type { MessageOf } from '../tc-core/wire/message.ts'
import {
  BranchCommit,
  type BranchCommitResult,
  BranchRollback,
  isBadBody,
  readBody,
  UndoLogDelete,
  writeBody
} from '../tc-core/wire/messages/index.ts'
import { Table } from '../tc-core/wire/table.ts'
import { V0_7_1 } from '../tc-core/wire/version.ts'
import type { ClientSession } from './session.ts'

/**
 * The coordinator's own request ids start here: seata-go keeps its requests and its answers to ours in one table by id, so ours
 * must not meet its small ones.
 */
const FIRST_ID = 0x4000_0000
const LAST_ID = 0x7fff_ffff

interface Waiting {
  readonly session: ClientSession
  readonly done: (outcome: CallOutcome) => void
  /** When nobody waits any more, ms. */
  readonly until: number
}

export class PhaseTwo {
  readonly #now: () => number
  readonly #byClientId = new Map<string, ClientSession>()
  readonly #byResource = new Map<string, Set<ClientSession>>()
  readonly #waiting = new Table<number, Waiting>()
  readonly #scratch = new Writer(1024)
  #lastId = FIRST_ID
  #turn = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** Calls that wait for their RM. */
  get size(): number {
    return this.#waiting.size
  }

  /** The connection serves these resources from now on. */
  add(session: ClientSession, resourceIds: readonly string[]): void {
    this.#byClientId.set(session.client!.clientId, session)
    for (const resourceId of resourceIds) {
      session.resources.add(resourceId)
      let sessions = this.#byResource.get(resourceId)
      if (!sessions) this.#byResource.set(resourceId, (sessions = new Set()))
      sessions.add(session)
    }
  }

  drop(session: ClientSession, resourceIds: Iterable<string>): void {
    for (const resourceId of [...resourceIds]) {
      session.resources.delete(resourceId)
      const sessions = this.#byResource.get(resourceId)
      if (sessions?.delete(session) && sessions.size === 0) this.#byResource.delete(resourceId)
    }
  }

  /** The connection says by now that it is another. */
  renamed(session: ClientSession, before: string): void {
    if (this.#byClientId.get(before) === session) this.#byClientId.delete(before)
    this.add(session, [])
  }

  /** The connection is gone: who waits for an answer over it need not wait any longer. */
  gone(session: ClientSession): void {
    this.drop(session, session.resources)
    const clientId = session.client?.clientId
    if (clientId !== undefined && this.#byClientId.get(clientId) === session) this.#byClientId.delete(clientId)
    for (const id of [...session.calls]) this.lost(id)
  }

  call(call: BranchCall, done: (outcome: CallOutcome) => void): void {
    const session = this.#channelFor(call)
    if (!session) return done('not-connected')
    const id = this.#newId()
    this.#waiting.set(id, { session, done, until: this.#now() + call.timeout })
    session.calls.add(id)
    const { xid, branchId, branchType, resourceId, applicationData } = call
    const type = call.kind === 'commit' ? BranchCommit.code : BranchRollback.code
    this.#send(session, { type, xid, branchId, branchType, resourceId, applicationData }, MessageType.Request, id)
  }

  #send(
    session: ClientSession,
    message: { type: number; [field: string]: unknown },
    messageType: number,
    id: number
  ): void {
    const { dialect, codec } = session
    this.#scratch.pos = 0
    writeBody(this.#scratch, message, dialect)
    session.send({ version: dialect.version, messageType, codec, compressor: 0, id }, this.#scratch.written)
  }

  #newId(): number {
    do this.#lastId = this.#lastId === LAST_ID ? FIRST_ID : this.#lastId + 1
    while (this.#waiting.has(this.#lastId))
    return this.#lastId
  }

  /**
   * Java's search: the very connection; the same application on the same host; the same application anywhere; and where any application
   * will do, whoever has the resource. Among equals they take turns. A connection that does not read counts as gone.
   */
  #channelFor(call: BranchCall): ClientSession | null {
    const exact = this.#byClientId.get(call.clientId)
    if (exact && !exact.closed && !exact.stuck) return exact
    const sessions = [...(this.#byResource.get(call.resourceId) ?? [])].filter((s) => !s.closed && !s.stuck)
    const application = call.clientId.slice(0, call.clientId.indexOf(':'))
    const ip = call.clientId.slice(application.length + 1, call.clientId.lastIndexOf(':'))
    const same = sessions.filter((s) => s.client!.applicationId === application)
    const near = same.filter((s) => s.ip === ip)
    const fitting = near.length > 0 ? near : same.length > 0 || !call.anyApplication ? same : sessions
    return fitting[this.#turn++ % fitting.length] ?? null
  }

  /** An RM's answer; it may come over another connection than the call went. Of what it says, only the branch status counts. */
  result(id: number, bytes: Buffer, start: number, end: number, dialect: Dialect): void {
    const status = branchStatusOf(bytes, start, end, dialect)
    const waiting = this.#take(id)
    waiting?.done(status ?? 'no-answer')
  }

  /** There will be no answer to this call. */
  lost(id: number): void {
    this.#take(id)?.done('no-answer')
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id)
    if (!waiting) return undefined
    this.#waiting.delete(id)
    waiting.session.calls.delete(id)
    return waiting
  }

  /** Forgets calls for which nobody waits any more. */
  sweep(): void {
    const now = this.#now()
    for (const [id, waiting] of this.#waiting) {
      if (waiting.until > now) return
      this.#take(id)
    }
  }

  /** Tells one RM of each resource to delete undo logs older than `saveDays`; clients before 0.7.1 do not know how. */
  deleteUndoLogs(saveDays: number): void {
    for (const [resourceId, sessions] of this.#byResource) {
      const session = [...sessions].find((s) => !s.stuck && s.client!.version >= V0_7_1 && s.dialect.version !== 0)
      const message = { type: UndoLogDelete.code, branchType: 0, resourceId, saveDays }
      if (session) this.#send(session, message, MessageType.OneWay, this.#newId())
    }
  }
}

/** The branch status of a BranchCommitResult or BranchRollbackResult; undefined when it cannot be read. */
function branchStatusOf(bytes: Buffer, start: number, end: number, dialect: Dialect): number | undefined {
  // seata-go writes the message of a failure with one byte of length: what the usual form does not use up to the byte is read in that.
  for (const shortMsg of [false, true]) {
    const reader = new Reader(bytes, start, end)
    try {
      const message = readBody(reader, { ...dialect, shortMsg }) as MessageOf<typeof BranchCommitResult>
      if (reader.left === 0 || message.resultCode === ResultCode.Success) return message.branchStatus
    } catch (error) {
      if (!isBadBody(error)) throw error
    }
  }
  return undefined
}
