// What a TM asks for: begin, commit, rollback, status, report; and the timeout that comes instead.
import { GlobalStatus } from '../wire/codes.ts'
import type { Client } from '../wire/link.ts'
import type { MessageOf } from '../wire/message.ts'
import type {
  GlobalBegin,
  GlobalCommit,
  GlobalReport,
  GlobalRollback,
  GlobalStatus as GlobalStatusRequest
} from '../wire/messages/index.ts'
import { begun, failure, status as statusOf } from './answers.ts'
import { SessionBegun, SessionEnded, SessionTraced, StatusChanged } from './effects.ts'
import type { Fragment } from './fragment.ts'
import { failWaiting } from './homes.ts'
import { isSaga, reportSaga } from './modes/saga.ts'
import type { Request } from './outputs.ts'
import { joinPass, startPass } from './phase-two.ts'
import { keeps } from './rules.ts'
import { canCommitAsync, type Session } from './session.ts'
import { free, tellRollbacking } from './unlock.ts'

export function begin(f: Fragment, request: Request, message: MessageOf<typeof GlobalBegin>): void {
  const { client } = request
  const { limits } = f.settings
  const xid = request.proposed!
  const refuse = (code: Parameters<typeof failure>[2], ...details: unknown[]) =>
    f.reply(request, failure(message, client, code, details), 'confirmed')

  const long = longName(message.transactionName, client, limits.maxNameBytes)
  if (long) return refuse('SEATA_NAME_TOO_LONG', ...long, limits.maxNameBytes)
  const taken = f.state.sessions.get(xid)
  if (taken && isSame(taken, request) && keeps(f, 'same-begin')) return f.reply(request, begun(xid), 'confirmed')
  if (taken || f.state.outcomes.get(xid) !== 0) return f.reply(request, XID_TAKEN, 'now')
  if (f.state.sessions.size >= limits.maxTransactions) {
    return refuse('SEATA_TOO_MANY_TRANSACTIONS', limits.maxTransactions)
  }
  // At once: it promises nothing, and the gateway is to know it as soon as can be.
  if (f.calls.behind(f.now)) return f.reply(request, failure(message, client, 'SEATA_RM_BEHIND', []), 'now')
  f.emit({
    type: SessionBegun.code,
    xid,
    applicationId: client.applicationId,
    transactionServiceGroup: client.transactionServiceGroup,
    transactionName: message.transactionName,
    timeout: message.timeout,
    beginTime: f.now,
    identity: request.identity ?? 0n
  })
  if (request.origin) f.emit({ type: SessionTraced.code, xid, origin: request.origin })
  const session = f.state.sessions.get(xid)!
  f.timers.set(session, session.deadline + 1)
  f.reply(request, begun(xid), 'confirmed')
}

/** The same begin again. Not if the transaction has timed out since: what nobody can join is of no use to who begins. */
function isSame(session: Session, { identity = 0n }: Request): boolean {
  return identity !== 0n && session.identity === identity && session.status === GlobalStatus.Begin
}

/** The first name of more than `max` bytes, and how many it has. */
function longName(transactionName: string, client: Client, max: number): [string, number] | null {
  const { applicationId, transactionServiceGroup } = client
  // A character is at most three bytes: most names need no counting.
  if ((transactionName.length + applicationId.length + transactionServiceGroup.length) * 3 <= max) return null
  for (const [what, text] of Object.entries({ transactionName, applicationId, transactionServiceGroup })) {
    const bytes = Buffer.byteLength(text)
    if (bytes > max) return [what, bytes]
  }
  return null
}

/** Not a message: the proposed XID is in use, the gateway proposes another. */
export const XID_TAKEN = Object.freeze({ type: 0 })

export function commit(f: Fragment, request: Request, message: MessageOf<typeof GlobalCommit>): void {
  const { client } = request
  const session = f.state.live(message.xid)
  if (!session) {
    const ended = f.state.outcome(message.xid) || GlobalStatus.Finished
    return f.reply(request, statusOf(message, client, ended), 'confirmed')
  }
  if (session.status !== GlobalStatus.Begin) {
    if (joinPass(f, session, request)) return
    const known = session.status === GlobalStatus.AsyncCommitting ? GlobalStatus.Committed : session.status
    return f.reply(request, statusOf(message, client, known), 'confirmed')
  }
  if (f.now > session.deadline) {
    timedOut(f, session)
    return f.reply(request, statusOf(message, client, GlobalStatus.TimeoutRollbacking), 'confirmed')
  }
  f.timers.remove(session)
  failWaiting(f, session, GlobalStatus.Committing)
  if (session.branches.every(canCommitAsync) && !isSaga(session)) {
    f.reply(request, statusOf(message, client, GlobalStatus.Committed), 'confirmed')
    if (session.branches.length === 0) return end(f, session, GlobalStatus.Committed)
    decide(f, session, GlobalStatus.AsyncCommitting)
    return startPass(f, session, { kind: 'commit', retrying: true, waiting: null }, 'confirmed')
  }
  decide(f, session, GlobalStatus.Committing)
  startPass(f, session, { kind: 'commit', retrying: false, waiting: request }, 'confirmed')
}

export function rollback(f: Fragment, request: Request, message: MessageOf<typeof GlobalRollback>): void {
  const { client } = request
  const session = f.state.live(message.xid)
  if (!session) {
    const ended = f.state.outcome(message.xid) || GlobalStatus.Finished
    return f.reply(request, statusOf(message, client, ended), 'confirmed')
  }
  if (session.status !== GlobalStatus.Begin) {
    if (joinPass(f, session, request)) return
    return f.reply(request, statusOf(message, client, session.status), 'confirmed')
  }
  f.timers.remove(session)
  failWaiting(f, session, GlobalStatus.Rollbacking)
  if (session.branches.length === 0 && !isSaga(session)) {
    f.reply(request, statusOf(message, client, GlobalStatus.Rollbacked), 'confirmed')
    return end(f, session, GlobalStatus.Rollbacked)
  }
  decide(f, session, GlobalStatus.Rollbacking)
  startPass(f, session, { kind: 'rollback', retrying: false, waiting: request }, 'confirmed')
}

/** The deadline has passed and nobody decided: the decision is rollback. */
export function timedOut(f: Fragment, session: Session): void {
  f.timers.remove(session)
  f.note('warn', session.xid, `Global transaction[${session.xid}] is timeout and will be rollback`)
  failWaiting(f, session, GlobalStatus.TimeoutRollbacking)
  if (session.branches.length === 0 && !isSaga(session)) return end(f, session, GlobalStatus.TimeoutRollbacked)
  decide(f, session, GlobalStatus.TimeoutRollbacking)
  startPass(f, session, { kind: 'rollback', retrying: true, waiting: null }, 'confirmed')
}

/** The decision. A commit frees all rows with it: phase one's data is final from here on. */
function decide(f: Fragment, session: Session, status: number): void {
  f.emit({ type: StatusChanged.code, xid: session.xid, status })
  if (status === GlobalStatus.AsyncCommitting || status === GlobalStatus.Committing) free(f, session, 0n)
  else tellRollbacking(f, session)
}

/** The transaction is over. While homes of its rows have not confirmed it is kept, with its last status. */
export function end(f: Fragment, session: Session, status: number): void {
  failWaiting(f, session, status)
  f.timers.remove(session)
  f.calls.forget(session)
  if (session.debts.length === 0 && session.branches.every((branch) => branch.homes.length === 0)) {
    return f.emit({ type: SessionEnded.code, xid: session.xid, status })
  }
  free(f, session, 0n)
  f.emit({ type: StatusChanged.code, xid: session.xid, status })
}

export function status(f: Fragment, request: Request, message: MessageOf<typeof GlobalStatusRequest>): void {
  const { client } = request
  if (message.xid === '') return f.reply(request, failure(message, client, 'SEATA_XID_INVALID', ['']), 'now')
  const session = f.state.sessions.get(message.xid)
  const known = session?.status ?? (f.state.outcomes.get(message.xid) || GlobalStatus.Finished)
  f.reply(request, statusOf(message, client, known), 'confirmed')
}

export function globalReport(f: Fragment, request: Request, message: MessageOf<typeof GlobalReport>): void {
  const { client } = request
  const session = f.state.live(message.xid)
  const asked = message.globalStatus < 0 ? GlobalStatus.UnKnown : message.globalStatus
  if (!session) return f.reply(request, statusOf(message, client, asked), 'confirmed')
  if (!isSaga(session)) return f.reply(request, statusOf(message, client, session.status), 'confirmed')
  const result = reportSaga(f, session, asked)
  f.reply(request, statusOf(message, client, result), 'confirmed')
}
