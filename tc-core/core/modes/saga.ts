// SAGA: the state machine engine at the RM leads. Phase two is one call for the whole transaction, its steps are not called one by one,
// and the engine reports how it ended.
import { BranchStatus, BranchType, GlobalStatus, statusName } from '../../wire/codes.ts'
import type { Fragment } from '../fragment.ts'
import type { Release } from '../outputs.ts'
import { changeStatus, finish, giveUp, isTimeout, type Run, retryLater, retryStatus } from '../phase-two.ts'
import { canCommitAsync, type Session } from '../session.ts'
import { end } from '../tm.ts'

/** Of a saga transaction that has no branch yet, the name tells. */
const NAME_PREFIX = '$Saga_'

export function isSaga(session: Session): boolean {
  const first = session.branches[0]
  return first ? first.branchType === BranchType.SAGA : session.transactionName.startsWith(NAME_PREFIX)
}

/** One call, to any RM of `application#group`, with the status as its data. */
export function startSaga(f: Fragment, session: Session, run: Run, release: Release): void {
  run.outstanding++
  f.calls.start(
    f,
    session,
    run,
    null,
    {
      xid: session.xid,
      kind: run.kind,
      branchId: -1n,
      branchType: BranchType.SAGA,
      resourceId: `${session.applicationId}#${session.transactionServiceGroup}`,
      clientId: `${session.applicationId}:`,
      applicationData: statusName(session.status),
      anyApplication: true
    },
    release
  )
}

export function answerSaga(f: Fragment, session: Session, run: Run, branchStatus: number): void {
  if (run.kind === 'commit') commitAnswered(f, session, run, branchStatus)
  else rollbackAnswered(f, session, run, branchStatus)
}

function commitAnswered(f: Fragment, session: Session, run: Run, branchStatus: number): void {
  switch (branchStatus) {
    case BranchStatus.PhaseTwo_Committed:
      return finish(f, session, run, GlobalStatus.Committed)
    case BranchStatus.PhaseTwo_Rollbacked:
      return finish(f, session, run, GlobalStatus.Rollbacked)
    case BranchStatus.PhaseOne_Failed:
      return finish(f, session, run, GlobalStatus.Finished)
    case BranchStatus.PhaseTwo_RollbackFailed_Retryable:
      // The engine compensates: it leads.
      return retryStatus(f, session, run, GlobalStatus.RollbackRetrying)
    case BranchStatus.PhaseTwo_CommitFailed_Unretryable:
      if (!session.branches.every(canCommitAsync)) return giveUp(f, session, GlobalStatus.CommitFailed)
      return retryLater(f, session)
    default:
      retryStatus(f, session, run, GlobalStatus.CommitRetrying)
  }
}

function rollbackAnswered(f: Fragment, session: Session, run: Run, branchStatus: number): void {
  const timeout = isTimeout(session.status)
  switch (branchStatus) {
    case BranchStatus.PhaseTwo_Rollbacked:
      return finish(f, session, run, timeout ? GlobalStatus.TimeoutRollbacked : GlobalStatus.Rollbacked)
    case BranchStatus.PhaseTwo_RollbackFailed_Unretryable:
      return giveUp(f, session, timeout ? GlobalStatus.TimeoutRollbackFailed : GlobalStatus.RollbackFailed)
    case BranchStatus.PhaseTwo_CommitFailed_Retryable:
      // The engine goes forward.
      return retryStatus(f, session, run, GlobalStatus.CommitRetrying)
    default:
      retryStatus(f, session, run, timeout ? GlobalStatus.TimeoutRollbackRetrying : GlobalStatus.RollbackRetrying)
  }
}

/** What the engine reports; returns the status that the transaction has then. A status that the engine cannot know changes nothing. */
export function reportSaga(f: Fragment, session: Session, status: number): number {
  switch (status) {
    case GlobalStatus.Committed:
    case GlobalStatus.TimeoutRollbacked:
      return ended(f, session, status)
    case GlobalStatus.Rollbacked:
    case GlobalStatus.Finished:
      return ended(f, session, GlobalStatus.Rollbacked)
    case GlobalStatus.UnKnown:
      return goOn(
        f,
        session,
        isTimeout(session.status) ? GlobalStatus.TimeoutRollbackRetrying : GlobalStatus.RollbackRetrying
      )
    case GlobalStatus.CommitRetrying:
    case GlobalStatus.RollbackRetrying:
    case GlobalStatus.TimeoutRollbackRetrying:
      return goOn(f, session, status)
    case GlobalStatus.CommitFailed:
    case GlobalStatus.RollbackFailed:
    case GlobalStatus.TimeoutRollbackFailed:
      giveUp(f, session, status)
      return status
    default:
      return session.status
  }
}

function ended(f: Fragment, session: Session, status: number): number {
  session.run = null
  end(f, session, status)
  return status
}

function goOn(f: Fragment, session: Session, status: number): number {
  changeStatus(f, session, status)
  retryLater(f, session)
  return status
}
