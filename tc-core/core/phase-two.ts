// Phase two: a pass over a decided transaction's branches, and what each answer of an RM leads to. Java's order and rules:
// commit in the order of registration, AT's branches all at once and whenever; rollback in the reverse order, stopping at the first failure.
import { BranchStatus, BranchType, GlobalStatus, statusName } from '../wire/codes.ts'
import type { BranchCall, CallFailure } from '../wire/link.ts'
import { failure, status as statusOf } from './answers.ts'
import { BranchRemoved, StatusChanged } from './effects.ts'
import type { Fragment } from './fragment.ts'
import { needsNoCommit, needsNoRollback, servedByAnyApplication } from './modes/modes.ts'
import { answerSaga, isSaga, startSaga } from './modes/saga.ts'
import type { Release, Request } from './outputs.ts'
import { type Branch, canCommitAsync, type Session } from './session.ts'
import { end } from './tm.ts'
import { dropBranch, free } from './unlock.ts'

/** One pass. A transaction has one at a time; between two passes it waits in the timers. */
export interface Run {
  readonly kind: 'commit' | 'rollback'
  /** Not the first pass: its failures are tried again without telling anybody. */
  readonly retrying: boolean
  /** The TM that waits for the end of the first pass. */
  waiting: Request | null
  /** All branches were called at once. */
  parallel: boolean
  /** Place of the branch whose turn it is. */
  cursor: number
  /** Calls without an answer. */
  outstanding: number
}

type Start = Pick<Run, 'kind' | 'retrying' | 'waiting'>

/** Statuses in which phase two goes on, and in which direction. */
const DIRECTION: Readonly<Record<number, Run['kind'] | undefined>> = {
  [GlobalStatus.Committing]: 'commit',
  [GlobalStatus.CommitRetrying]: 'commit',
  [GlobalStatus.AsyncCommitting]: 'commit',
  [GlobalStatus.Rollbacking]: 'rollback',
  [GlobalStatus.RollbackRetrying]: 'rollback',
  [GlobalStatus.TimeoutRollbacking]: 'rollback',
  [GlobalStatus.TimeoutRollbackRetrying]: 'rollback'
}

/** Decided, and not done. Those that wait for a person are not. */
export function isUnfinished(session: Session): boolean {
  return DIRECTION[session.status] !== undefined
}

/** Begins a pass. `release`: `confirmed` when the decision was made in this very step. */
export function startPass(f: Fragment, session: Session, start: Start, release: Release): void {
  f.timers.remove(session)
  const run: Run = { ...start, parallel: false, cursor: 0, outstanding: 0 }
  session.run = run
  if (isSaga(session)) return startSaga(f, session, run, release)
  if (run.kind === 'rollback') {
    run.cursor = session.branches.length - 1
    nextRollback(f, session, run, release)
  } else if (session.status === GlobalStatus.AsyncCommitting) commitAll(f, session, run, release)
  else nextCommit(f, session, run, release)
}

/**
 * Another pass over a transaction that is decided and not done; nothing for those that wait for a person. The log may not say so yet: when
 * the store is slow a first pass can be over before its calls have left.
 */
export function resume(f: Fragment, session: Session): void {
  const kind = DIRECTION[session.status]
  if (!kind) return
  const age = f.now - session.beginTime
  const { maxCommitRetryTimeout, maxRollbackRetryTimeout, rollbackFailedUnlockEnable } = f.settings
  const asynchronous = session.status === GlobalStatus.AsyncCommitting
  if (kind === 'commit' && !asynchronous && maxCommitRetryTimeout >= 0 && age > maxCommitRetryTimeout) {
    return giveUp(f, session, GlobalStatus.CommitRetryTimeout)
  }
  if (kind === 'rollback' && maxRollbackRetryTimeout >= 0 && age > maxRollbackRetryTimeout) {
    if (rollbackFailedUnlockEnable) free(f, session, 0n)
    return giveUp(f, session, GlobalStatus.RollbackRetryTimeout)
  }
  startPass(f, session, { kind, retrying: true, waiting: null }, 'confirmed')
}

/**
 * A TM's request that was sent before: the pass that it waited for was cut off with its leader. It waits for the one that takes it up.
 * False: there is nothing to wait for.
 */
export function joinPass(f: Fragment, session: Session, request: Request): boolean {
  const { status, run } = session
  if (!request.again || (status !== GlobalStatus.Committing && status !== GlobalStatus.Rollbacking)) return false
  if (!run) startPass(f, session, { kind: DIRECTION[status]!, retrying: true, waiting: request }, 'confirmed')
  else if (run.waiting) return false
  else run.waiting = request
  return true
}

/** Calls the branch. */
function call(f: Fragment, session: Session, run: Run, branch: Branch, release: Release): void {
  run.outstanding++
  const { branchId, branchType, resourceId, clientId, applicationData } = branch
  const anyApplication = servedByAnyApplication(branchType)
  const target = {
    xid: session.xid,
    kind: run.kind,
    branchId,
    branchType,
    resourceId,
    clientId,
    applicationData,
    anyApplication
  }
  f.calls.start(f, session, run, branch, target, release)
}

/** One branch after the other, until one has to be waited for or all are done. */
function nextCommit(f: Fragment, session: Session, run: Run, release: Release): void {
  while (run.cursor < session.branches.length) {
    const branch = session.branches[run.cursor]!
    if (!run.retrying && canCommitAsync(branch)) run.cursor++
    else if (needsNoCommit(branch)) remove(f, session, branch)
    else return call(f, session, run, branch, release)
  }
  const { branches } = session
  if (branches.length === 0) return finish(f, session, run, GlobalStatus.Committed, release)
  if (run.retrying || !branches.every(canCommitAsync)) return retryLater(f, session)
  // Only AT is left: the transaction is committed as far as anyone outside can see.
  changeStatus(f, session, GlobalStatus.AsyncCommitting)
  tell(f, run, GlobalStatus.Committed, release)
  startPass(f, session, { kind: 'commit', retrying: true, waiting: null }, release)
}

/** AT's phase two only deletes undo logs: all branches at once, in order. */
function commitAll(f: Fragment, session: Session, run: Run, release: Release): void {
  run.parallel = true
  for (const branch of [...session.branches]) {
    if (needsNoCommit(branch)) remove(f, session, branch)
    else call(f, session, run, branch, release)
  }
  if (run.outstanding === 0) finish(f, session, run, GlobalStatus.Committed)
}

function nextRollback(f: Fragment, session: Session, run: Run, release: Release): void {
  for (; run.cursor >= 0; run.cursor--) {
    const branch = session.branches[run.cursor]!
    if (!needsNoRollback(branch)) return call(f, session, run, branch, release)
    dropBranch(f, session, branch)
  }
  const timeout = isTimeout(session.status)
  finish(f, session, run, timeout ? GlobalStatus.TimeoutRollbacked : GlobalStatus.Rollbacked, release)
}

/** The RM's answer to the call of a branch. */
export function answer(f: Fragment, session: Session, branch: Branch | null, branchStatus: number): void {
  const run = session.run!
  run.outstanding--
  if (!branch) return answerSaga(f, session, run, branchStatus)
  const effective = branch.branchType === BranchType.XA ? settleNota(f, session, branchStatus) : branchStatus
  if (run.kind === 'commit') commitAnswered(f, session, run, branch, effective)
  else rollbackAnswered(f, session, run, branch, effective)
}

function commitAnswered(f: Fragment, session: Session, run: Run, branch: Branch, branchStatus: number): void {
  switch (branchStatus) {
    case BranchStatus.PhaseTwo_Committed:
      if (session.branches.length === 1) return finish(f, session, run, GlobalStatus.Committed)
      remove(f, session, branch)
      return run.parallel ? parallelDone(f, session, run) : nextCommit(f, session, run, 'now')
    case BranchStatus.PhaseTwo_CommitFailed_Unretryable:
      return giveUp(f, session, GlobalStatus.CommitFailed)
    default:
      if (run.parallel) return parallelDone(f, session, run)
      if (!run.retrying) return retryStatus(f, session, run, GlobalStatus.CommitRetrying)
      if (!session.branches.every(canCommitAsync)) return retryLater(f, session)
      run.cursor++
      nextCommit(f, session, run, 'now')
  }
}

function rollbackAnswered(f: Fragment, session: Session, run: Run, branch: Branch, branchStatus: number): void {
  switch (branchStatus) {
    case BranchStatus.PhaseTwo_Rollbacked:
      dropBranch(f, session, branch)
      run.cursor--
      return nextRollback(f, session, run, 'now')
    case BranchStatus.PhaseTwo_RollbackFailed_Unretryable:
      if (f.settings.rollbackFailedUnlockEnable) free(f, session, 0n)
      return giveUp(
        f,
        session,
        isTimeout(session.status) ? GlobalStatus.TimeoutRollbackFailed : GlobalStatus.RollbackFailed
      )
    default:
      if (run.retrying) return retryLater(f, session)
      retryStatus(f, session, run, rollbackRetryStatus(session))
  }
}

/** The call came to nothing. The first pass ends with it, and the TM is told why; later passes go on with the next commit. */
export function failed(
  f: Fragment,
  session: Session,
  branch: Branch | null,
  request: BranchCall,
  reason: CallFailure
): void {
  const run = session.run!
  run.outstanding--
  if (run.parallel) return parallelDone(f, session, run)
  if (run.retrying) {
    if (run.kind === 'rollback' || !branch) return retryLater(f, session)
    run.cursor++
    // Nobody knows whether the call has left: the decision may not be in the log.
    return nextCommit(f, session, run, 'confirmed')
  }
  const retrying = run.kind === 'commit' ? GlobalStatus.CommitRetrying : rollbackRetryStatus(session)
  changeStatus(f, session, retrying)
  if (run.waiting) {
    const { message, client } = run.waiting
    const { xid, branchId, resourceId, clientId } = request
    const answered =
      reason === 'not-connected'
        ? failure(message, client, 'SEATA_RM_NOT_CONNECTED', [resourceId, clientId], retrying)
        : run.kind === 'commit'
          ? failure(message, client, 'SEATA_SEND_COMMIT_FAILED', [xid, branchId], retrying)
          : failure(message, client, 'SEATA_SEND_ROLLBACK_FAILED', [xid, branchId], retrying)
    f.reply(run.waiting, answered, 'confirmed')
    run.waiting = null
  }
  retryLater(f, session)
}

/** An answer of a parallel pass is in, whatever it was. */
function parallelDone(f: Fragment, session: Session, run: Run): void {
  if (run.outstanding > 0) return
  if (session.branches.length === 0) finish(f, session, run, GlobalStatus.Committed)
  else retryLater(f, session)
}

function remove(f: Fragment, session: Session, branch: Branch): void {
  f.emit({ type: BranchRemoved.code, xid: session.xid, branchId: branch.branchId })
}

/**
 * All branches are done. The TM hears of it at once: the decision is in the log and every RM has carried it out. Where no RM had to be
 * asked the decision may be of this very step: `release` says so.
 */
export function finish(f: Fragment, session: Session, run: Run, status: number, release: Release = 'now'): void {
  tell(f, run, status, release)
  end(f, session, status)
}

/** The pass failed in a way that another may mend. */
export function retryStatus(f: Fragment, session: Session, run: Run, status: number): void {
  changeStatus(f, session, status)
  tell(f, run, status, 'confirmed')
  retryLater(f, session)
}

export function retryLater(f: Fragment, session: Session): void {
  if (session.run) tell(f, session.run, session.status, 'confirmed')
  session.run = null
  f.timers.set(session, f.now + f.settings.retryPeriod)
}

/** No pass will mend it: the session stays, for a person to look at, and so do its rows. */
export function giveUp(f: Fragment, session: Session, status: number): void {
  const { run } = session
  session.run = null
  f.timers.remove(session)
  changeStatus(f, session, status)
  const text = `The Global session ${session.xid} has changed the status to ${statusName(status)}, need to be handled it manually.`
  f.note('error', session.xid, text)
  if (run) tell(f, run, status, 'confirmed')
}

function tell(f: Fragment, run: Run, status: number, release: Release = 'now'): void {
  if (!run.waiting) return
  f.reply(run.waiting, statusOf(run.waiting.message, run.waiting.client, status), release)
  run.waiting = null
}

export function changeStatus(f: Fragment, session: Session, status: number): void {
  if (session.status !== status) f.emit({ type: StatusChanged.code, xid: session.xid, status })
}

function rollbackRetryStatus(session: Session): number {
  return isTimeout(session.status) ? GlobalStatus.TimeoutRollbackRetrying : GlobalStatus.RollbackRetrying
}

export function isTimeout(status: number): boolean {
  return status === GlobalStatus.TimeoutRollbacking || status === GlobalStatus.TimeoutRollbackRetrying
}

/** An XA branch that its database does not know, long after the transaction's end: it is done. */
function settleNota(f: Fragment, session: Session, branchStatus: number): number {
  const wait = Math.max(f.settings.xaerNotaRetryTimeout, session.timeout)
  if (f.now <= session.beginTime + session.timeout + wait) return branchStatus
  if (branchStatus === BranchStatus.PhaseTwo_CommitFailed_XAER_NOTA_Retryable) return BranchStatus.PhaseTwo_Committed
  if (branchStatus === BranchStatus.PhaseTwo_RollbackFailed_XAER_NOTA_Retryable) return BranchStatus.PhaseTwo_Rollbacked
  return branchStatus
}
