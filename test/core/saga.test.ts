// SAGA: one call for the whole transaction, and the engine's report decides.
import test from 'ava'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { Harness } from './harness.ts'

function saga(h: Harness, timeout = 60_000): string {
  const xid = h.begin(timeout, '$Saga_order')
  h.register(xid, BranchType.SAGA, { resourceId: 'order#group' })
  return xid
}

test('phase two of a saga is one call with branchId -1 to application#group, the status as data', (t) => {
  const h = new Harness()
  const xid = saga(h)
  h.register(xid, BranchType.SAGA, { resourceId: 'stock#group' })
  h.commit(xid)
  t.like(h.calls[0], {
    branchId: -1n,
    branchType: BranchType.SAGA,
    resourceId: 'app#default_tx_group',
    applicationData: 'Committing',
    anyApplication: true
  })
  t.is(h.answer(BranchStatus.PhaseTwo_Committed)[0]!.globalStatus, GlobalStatus.Committed)
  t.true(h.atRest)
  t.true(h.agrees)
})

test('a saga without a branch is told by its name', (t) => {
  const h = new Harness()
  const xid = h.begin(60_000, '$Saga_empty')
  t.is(h.commit(xid), undefined)
  t.is(h.calls.length, 1)
})

test('what the engine answers decides: it may turn a commit into a rollback and a rollback into a commit', (t) => {
  const h = new Harness()
  const compensates = saga(h)
  h.commit(compensates)
  t.is(h.answer(BranchStatus.PhaseTwo_RollbackFailed_Retryable)[0]!.globalStatus, GlobalStatus.RollbackRetrying)
  h.pass(1000)
  t.is(h.calls[0]!.kind, 'rollback')
  t.is(h.calls[0]!.applicationData, 'RollbackRetrying')
  h.answer(BranchStatus.PhaseTwo_Rollbacked)
  t.is(h.status(compensates), GlobalStatus.Rollbacked)

  const forward = saga(h)
  h.rollback(forward)
  t.is(h.answer(BranchStatus.PhaseTwo_CommitFailed_Retryable)[0]!.globalStatus, GlobalStatus.CommitRetrying)
  h.pass(1000)
  t.is(h.calls[0]!.kind, 'commit')
  h.answer(BranchStatus.PhaseTwo_Committed)
  t.is(h.status(forward), GlobalStatus.Committed)
  t.true(h.agrees)
})

test("other answers to a saga's phase two", (t) => {
  const h = new Harness()
  const end = (kind: 'commit' | 'rollback', status: number) => {
    const xid = saga(h)
    h[kind](xid)
    h.answer(status)
    const result = h.status(xid)
    h.globalReport(xid, GlobalStatus.Committed)
    return result
  }
  t.is(end('commit', BranchStatus.PhaseTwo_Rollbacked), GlobalStatus.Rollbacked)
  t.is(end('commit', BranchStatus.PhaseOne_Failed), GlobalStatus.Finished)
  t.is(end('commit', BranchStatus.PhaseTwo_CommitFailed_Unretryable), GlobalStatus.CommitFailed)
  t.is(end('commit', BranchStatus.PhaseTwo_CommitFailed_Retryable), GlobalStatus.CommitRetrying)
  t.is(end('rollback', BranchStatus.PhaseTwo_RollbackFailed_Unretryable), GlobalStatus.RollbackFailed)
  t.is(end('rollback', BranchStatus.PhaseTwo_RollbackFailed_Retryable), GlobalStatus.RollbackRetrying)
})

test('no RM for a saga: it is tried again, and the decision stands', (t) => {
  const h = new Harness()
  const xid = saga(h)
  h.commit(xid)
  t.is(h.fail('not-connected')[0]!.globalStatus, GlobalStatus.CommitRetrying)
  h.pass(1000)
  h.fail('no-answer')
  h.pass(1000)
  h.answer(BranchStatus.PhaseTwo_Committed)
  t.is(h.status(xid), GlobalStatus.Committed)
})

test("the engine's report: ends, goes on, or gives up; what it cannot know changes nothing", (t) => {
  const h = new Harness()
  const report = (status: number) => {
    const xid = saga(h)
    return [h.globalReport(xid, status), h.status(xid)]
  }
  const { Committed, Rollbacked, Finished, UnKnown, CommitRetrying, RollbackRetrying, RollbackFailed, Begin } =
    GlobalStatus
  t.deepEqual(report(Committed), [Committed, Committed])
  t.deepEqual(report(Rollbacked), [Rollbacked, Rollbacked])
  t.deepEqual(report(Finished), [Rollbacked, Rollbacked])
  t.deepEqual(report(UnKnown), [RollbackRetrying, RollbackRetrying])
  t.deepEqual(report(-1), [RollbackRetrying, RollbackRetrying])
  t.deepEqual(report(CommitRetrying), [CommitRetrying, CommitRetrying])
  t.deepEqual(report(RollbackFailed), [RollbackFailed, RollbackFailed])
  t.deepEqual(report(Begin), [Begin, Begin])
  t.deepEqual(report(99), [Begin, Begin])
  t.true(h.agrees)
})

test('a report on a transaction that is no saga changes nothing', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.tcc(xid)
  t.is(h.globalReport(xid, GlobalStatus.Committed), GlobalStatus.Begin)
})

test('a saga that times out is rolled back by its engine', (t) => {
  const h = new Harness()
  const xid = saga(h, 1000)
  h.pass(1001)
  t.is(h.calls[0]!.applicationData, 'TimeoutRollbacking')
  h.answer(BranchStatus.PhaseTwo_Rollbacked)
  t.is(h.status(xid), GlobalStatus.TimeoutRollbacked)
})
