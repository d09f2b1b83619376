// Phase two when RMs refuse, are silent or are gone: retries, giving up, restarts, and what stays for a person.
import test from 'ava'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { MAX_CALLS_IN_LINE, MAX_CALLS_PER_RESOURCE } from '../../tc-core/wire/limits.ts'
import { Harness } from './harness.ts'

const {
  PhaseTwo_Committed,
  PhaseTwo_CommitFailed_Retryable,
  PhaseTwo_CommitFailed_Unretryable,
  PhaseTwo_CommitFailed_XAER_NOTA_Retryable,
  PhaseTwo_Rollbacked,
  PhaseTwo_RollbackFailed_Retryable,
  PhaseTwo_RollbackFailed_Unretryable,
  PhaseTwo_RollbackFailed_XAER_NOTA_Retryable
} = BranchStatus

test('a commit that an RM refuses for now: CommitRetrying, then again every second until it agrees', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.tcc(xid)
  h.commit(xid)
  const [told] = h.answer(PhaseTwo_CommitFailed_Retryable)
  t.is(told!.resultCode, 1)
  t.is(told!.globalStatus, GlobalStatus.CommitRetrying)
  for (const _ of [1, 2, 3]) {
    t.is(h.status(xid), GlobalStatus.CommitRetrying)
    t.is(h.calls.length, 0)
    h.pass(999)
    t.is(h.calls.length, 0)
    h.pass(1)
    t.is(h.calls.length, 1)
    h.answer(PhaseTwo_CommitFailed_Retryable)
  }
  h.pass(1000)
  t.deepEqual(h.answer(PhaseTwo_Committed), [])
  t.is(h.status(xid), GlobalStatus.Committed)
  t.true(h.atRest)
  t.true(h.agrees)
})

test('a rollback that an RM refuses for now: RollbackRetrying, the rows stay, then again every second', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.at(xid, 't:1')
  h.rollback(xid)
  t.is(h.answer(PhaseTwo_RollbackFailed_Retryable)[0]!.globalStatus, GlobalStatus.RollbackRetrying)
  t.is(h.state.locks.count, 1)
  h.pass(1000)
  h.answer(PhaseTwo_Rollbacked)
  t.is(h.status(xid), GlobalStatus.Rollbacked)
  t.true(h.atRest)
})

test("a silent RM: the TM is told after the RM's time that the call failed, with the status that the transaction has", (t) => {
  const h = new Harness()
  const commit = h.begin()
  const branch = h.tcc(commit)
  h.commit(commit)
  t.deepEqual(h.pass(14_999), [])
  const [told] = h.pass(1)
  t.is(told!.resultCode, 0)
  t.is(told!.globalStatus, GlobalStatus.CommitRetrying)
  t.is(
    told!.msg,
    `TransactionException[org.apache.seata.core.exception.BranchTransactionException: Send branch commit failed, xid = ${commit} branchId = ${branch}]`
  )
  h.calls.length = 0
  const rollback = h.begin()
  h.tcc(rollback)
  h.rollback(rollback)
  h.calls.splice(0, h.calls.length - 1)
  const [answer] = h.fail('no-answer')
  t.is(answer!.globalStatus, GlobalStatus.RollbackRetrying)
  t.regex(answer!.msg!, /Send branch rollback failed/)
})

test('no RM: the TM is told at once, and phase two goes on the moment one registers the resource', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.tcc(xid, 'gone')
  h.commit(xid)
  const [told] = h.fail('not-connected')
  t.is(told!.globalStatus, GlobalStatus.CommitRetrying)
  t.regex(told!.msg!, /rm client is not connected. dbkey:gone,clientId:app:10.0.0.1:5000/)
  h.pass(10)
  h.step({ kind: 'resources', resourceIds: ['other'] })
  h.pass(0)
  t.is(h.calls.length, 0)
  h.step({ kind: 'resources', resourceIds: ['gone'] })
  h.pass(0)
  t.is(h.calls.length, 1)
  h.answer(PhaseTwo_Committed)
  t.true(h.atRest)
})

test('a later answer to a call that was given up changes nothing', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.tcc(xid)
  h.commit(xid)
  const late = h.calls[0]!
  h.pass(15_000)
  t.deepEqual(h.step({ kind: 'answered', call: late.id, branchStatus: PhaseTwo_Committed }), [])
  t.is(h.status(xid), GlobalStatus.CommitRetrying)
  t.deepEqual(h.step({ kind: 'answered', call: 4711, branchStatus: PhaseTwo_Committed }), [])
  t.true(h.agrees)
})

test('a retry pass of a commit goes on behind a branch that does not answer, a rollback stops there', (t) => {
  const h = new Harness()
  const commit = h.begin()
  h.tcc(commit, 'a')
  h.tcc(commit, 'b')
  h.commit(commit)
  h.fail('no-answer')
  h.pass(1000)
  t.deepEqual(
    h.calls.map((c) => c.resourceId),
    ['a']
  )
  h.fail('no-answer')
  t.deepEqual(
    h.calls.map((c) => c.resourceId),
    ['b']
  )
  h.answer(PhaseTwo_Committed)
  h.pass(1000)
  t.deepEqual(
    h.calls.map((c) => c.resourceId),
    ['a']
  )
  h.answer(PhaseTwo_Committed)

  const rollback = h.begin()
  h.tcc(rollback, 'a')
  h.tcc(rollback, 'b')
  h.rollback(rollback)
  h.fail('no-answer')
  h.pass(1000)
  t.deepEqual(
    h.calls.map((c) => c.resourceId),
    ['b']
  )
  h.fail('no-answer')
  t.is(h.calls.length, 0)
})

test('M27: failures that no retry mends stay visible, over a restart too, with their rows', (t) => {
  const h = new Harness()
  const commit = h.begin()
  h.tcc(commit)
  h.commit(commit)
  t.is(h.answer(PhaseTwo_CommitFailed_Unretryable)[0]!.globalStatus, GlobalStatus.CommitFailed)
  const rollback = h.begin()
  h.at(rollback, 't:1')
  h.rollback(rollback)
  t.is(h.answer(PhaseTwo_RollbackFailed_Unretryable)[0]!.globalStatus, GlobalStatus.RollbackFailed)
  const timeout = h.begin(1000)
  h.at(timeout, 't:2')
  h.pass(1001)
  h.answer(PhaseTwo_RollbackFailed_Unretryable)
  const asynchronous = h.begin()
  h.at(asynchronous, 't:3')
  h.commit(asynchronous)
  h.answer(PhaseTwo_CommitFailed_Unretryable)
  for (const _ of ['before', 'after a restart']) {
    t.is(h.status(commit), GlobalStatus.CommitFailed)
    t.is(h.status(rollback), GlobalStatus.RollbackFailed)
    t.is(h.status(timeout), GlobalStatus.TimeoutRollbackFailed)
    t.is(h.status(asynchronous), GlobalStatus.CommitFailed)
    t.is(h.state.locks.count, 2)
    h.pass(100_000)
    t.is(h.calls.length, 0)
    h.restart()
  }
  t.is(h.notes.filter((note) => note.includes('need to be handled it manually')).length, 4)
  t.true(h.agrees)
})

test("a timeout's rollback that has to be tried again stays TimeoutRollbacking, as on the Java server", (t) => {
  const h = new Harness()
  const xid = h.begin(1000)
  h.tcc(xid)
  h.pass(1001)
  h.answer(PhaseTwo_RollbackFailed_Retryable)
  t.is(h.status(xid), GlobalStatus.TimeoutRollbacking)
  h.pass(1000)
  h.answer(PhaseTwo_Rollbacked)
  t.is(h.status(xid), GlobalStatus.TimeoutRollbacked)
})

test('giving up: commits and rollbacks after the times that the operator set', (t) => {
  const h = new Harness({
    maxCommitRetryTimeout: 5000,
    maxRollbackRetryTimeout: 5000,
    rollbackFailedUnlockEnable: true
  })
  const commit = h.begin()
  const rollback = h.begin()
  h.tcc(commit)
  h.at(rollback, 't:1')
  h.commit(commit)
  h.answer(PhaseTwo_CommitFailed_Retryable)
  h.rollback(rollback)
  h.answer(PhaseTwo_RollbackFailed_Retryable)
  for (let i = 0; i < 6; i++) {
    h.pass(1000)
    while (h.calls.length > 0) {
      const commits = h.calls[0]!.kind === 'commit'
      h.answer(commits ? PhaseTwo_CommitFailed_Retryable : PhaseTwo_RollbackFailed_Retryable)
    }
  }
  t.is(h.status(commit), GlobalStatus.CommitRetryTimeout)
  t.is(h.status(rollback), GlobalStatus.RollbackRetryTimeout)
  t.is(h.state.locks.count, 0)
  h.restart()
  t.is(h.calls.length, 0)
})

test('XA: a branch that its database does not know counts as done, long enough after the timeout', (t) => {
  for (const [kind, nota, done] of [
    ['commit', PhaseTwo_CommitFailed_XAER_NOTA_Retryable, GlobalStatus.Committed],
    ['rollback', PhaseTwo_RollbackFailed_XAER_NOTA_Retryable, GlobalStatus.Rollbacked]
  ] as const) {
    const h = new Harness()
    const xid = h.begin(30_000)
    h.register(xid, BranchType.XA)
    h[kind](xid)
    h.answer(nota)
    for (let seconds = 1; seconds <= 90; seconds++) {
      t.not(h.status(xid), done)
      h.pass(1000)
      if (h.calls.length > 0) h.answer(nota)
    }
    h.pass(1000)
    if (h.calls.length > 0) h.answer(nota)
    t.is(h.status(xid), done)
  }
})

test('a restart takes up at once what was decided: commits, rollbacks, and what is owed to AT', (t) => {
  const h = new Harness()
  const committing = h.begin()
  h.tcc(committing, 'c')
  h.commit(committing)
  const rolling = h.begin()
  h.tcc(rolling, 'r')
  h.rollback(rolling)
  const owed = h.begin()
  h.at(owed, 't:1', 'a')
  h.commit(owed)
  const open = h.begin()
  h.tcc(open, 'o')
  h.restart()
  t.deepEqual(h.calls.map((c) => `${c.kind} ${c.resourceId}`).sort(), ['commit a', 'commit c', 'rollback r'])
  while (h.calls.length > 0) h.answer(h.calls[0]!.kind === 'commit' ? PhaseTwo_Committed : PhaseTwo_Rollbacked)
  t.deepEqual(
    [committing, rolling, owed, open].map((xid) => h.status(xid)),
    [GlobalStatus.Committed, GlobalStatus.Rollbacked, GlobalStatus.Committed, GlobalStatus.Begin]
  )
  t.true(h.agrees)
})

test('a slow RM delays nobody else: its calls wait in their own line, bounded, and the next go when some are answered', (t) => {
  const h = new Harness()
  const count = MAX_CALLS_PER_RESOURCE + 10
  for (let i = 0; i < count; i++) {
    const xid = h.begin()
    h.tcc(xid, 'slow')
    h.commit(xid)
  }
  t.is(h.calls.length, MAX_CALLS_PER_RESOURCE)
  const xid = h.begin()
  h.tcc(xid, 'quick')
  h.commit(xid)
  t.is(h.calls.at(-1)!.resourceId, 'quick')
  h.calls.unshift(h.calls.pop()!)
  t.is(h.answer(PhaseTwo_Committed)[0]!.globalStatus, GlobalStatus.Committed)
  for (let i = 0; i < count; i++) h.answer(PhaseTwo_Committed)
  t.true(h.atRest)
  t.true(h.agrees)
})

test('limit: calls in line for RMs that answer well; one more begin is refused, until the line is shorter or they answer few', (t) => {
  const h = new Harness()
  const owe = (count: number) => {
    const xids = Array.from({ length: count }, () => h.begin())
    for (const xid of xids) {
      h.tcc(xid, 'slow')
      h.commit(xid)
    }
  }
  const answer = (count: number) => {
    for (let i = 0; i < count; i++) h.answer(PhaseTwo_Committed)
  }
  const refused = () => h.request({ type: 1, timeout: 60_000, transactionName: 'one more' })?.resultCode === 0
  // Who never answers, or hardly, is waited for by nobody else.
  owe(MAX_CALLS_PER_RESOURCE + MAX_CALLS_IN_LINE)
  t.false(refused())
  h.pass(1000)
  answer(1)
  owe(1)
  t.false(refused())
  answer(99)
  h.pass(1000)
  answer(1)
  owe(99)
  t.false(refused())
  owe(1)
  const refusal = h.request({ type: 1, timeout: 60_000, transactionName: 'one more' })!
  t.like(refusal, { resultCode: 0, release: 'now' })
  t.regex(refusal.msg!, /resource managers do not keep up/)
  answer(1)
  t.false(refused())
  owe(1)
  h.pass(999)
  t.true(refused())
  h.pass(1)
  t.false(refused(), 'they are silent')
  answer(1)
  owe(1)
  t.false(refused(), 'they answer few')
  t.true(h.agrees)
})

test('RMs that answer much get as many calls at a time as they answered in a second; silent ones get no more', (t) => {
  const h = new Harness()
  for (let i = 0; i < 4 * MAX_CALLS_PER_RESOURCE; i++) {
    const xid = h.begin()
    h.tcc(xid, 'quick')
    h.commit(xid)
  }
  t.is(h.calls.length, MAX_CALLS_PER_RESOURCE)
  for (let i = 0; i < 2 * MAX_CALLS_PER_RESOURCE; i++) h.answer(PhaseTwo_Committed)
  t.is(h.calls.length, MAX_CALLS_PER_RESOURCE)
  h.pass(1000)
  h.answer(PhaseTwo_Committed)
  t.is(h.calls.length, 2 * MAX_CALLS_PER_RESOURCE - 1)
  h.pass(1000)
  h.answer(PhaseTwo_Committed)
  t.is(h.calls.length, 2 * MAX_CALLS_PER_RESOURCE - 2)
})
