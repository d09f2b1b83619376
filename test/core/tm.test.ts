// What a TM sees: begin, commit, rollback, status, timeouts, and the outcome of what is over.
import test from 'ava'
import { XID_TAKEN } from '../../tc-core/core/tm.ts'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { clientOf, Harness } from './harness.ts'

test('begin answers the proposed xid once it is in the log, and the session is there', (t) => {
  const h = new Harness()
  const answer = h.request({ type: 1, timeout: 60_000, transactionName: 'create-order' })!
  t.is(answer.resultCode, 1)
  t.is(answer.release, 'confirmed')
  t.is(h.status(answer.xid!), GlobalStatus.Begin)
  const session = h.state.sessions.get(answer.xid!)!
  t.is(session.transactionName, 'create-order')
  t.is(session.applicationId, 'app')
  t.is(session.beginTime, h.now)
  t.true(h.agrees)
})

test('begin with an xid that lives, or lived lately, is refused so that the gateway proposes another', (t) => {
  const h = new Harness()
  const xid = h.begin()
  const again = { client: h.client, message: { type: 1, timeout: 1, transactionName: '' }, proposed: xid }
  t.deepEqual(
    h.step({ kind: 'request', request: again }).map((a) => a.type),
    [XID_TAKEN.type]
  )
  h.commit(xid)
  t.deepEqual(
    h.step({ kind: 'request', request: again }).map((a) => a.type),
    [XID_TAKEN.type]
  )
})

test('a transaction without branches commits and rolls back in one record', (t) => {
  const h = new Harness()
  const committed = h.begin()
  t.is(h.commit(committed)!.globalStatus, GlobalStatus.Committed)
  const rolledBack = h.begin()
  t.is(h.rollback(rolledBack)!.globalStatus, GlobalStatus.Rollbacked)
  t.true(h.atRest)
  t.true(h.agrees)
})

test('a retried commit or rollback of an ended transaction gets the true outcome, not Finished', (t) => {
  const h = new Harness()
  const committed = h.begin()
  h.commit(committed)
  const rolledBack = h.begin()
  h.rollback(rolledBack)
  for (const _ of [1, 2]) {
    t.is(h.commit(committed)!.globalStatus, GlobalStatus.Committed)
    t.is(h.rollback(rolledBack)!.globalStatus, GlobalStatus.Rollbacked)
    t.is(h.rollback(committed)!.globalStatus, GlobalStatus.Committed)
    t.is(h.commit(rolledBack)!.globalStatus, GlobalStatus.Rollbacked)
    t.is(h.status(committed), GlobalStatus.Committed)
    h.restart()
  }
})

test('an xid that never was is Finished, and a report on it echoes what was asked', (t) => {
  const h = new Harness()
  for (const xid of ['127.0.0.1:8091:999999', 'nonsense', 'a:b:c', '::', '1:2:99999999999999999999999']) {
    t.is(h.commit(xid)!.globalStatus, GlobalStatus.Finished, xid)
    t.is(h.rollback(xid)!.globalStatus, GlobalStatus.Finished, xid)
    t.is(h.status(xid), GlobalStatus.Finished, xid)
    t.is(h.globalReport(xid, GlobalStatus.Committed), GlobalStatus.Committed, xid)
  }
})

test('the status of an empty xid fails, and the status says that nothing is known', (t) => {
  const h = new Harness()
  const answer = h.request({ type: 15, xid: '', extraData: '' })!
  t.is(answer.resultCode, 0)
  t.is(answer.globalStatus, GlobalStatus.UnKnown)
})

test('a transaction times out at its deadline and rolls back; its outcome says so', (t) => {
  const h = new Harness()
  const xid = h.begin(1000)
  h.pass(1000)
  t.is(h.status(xid), GlobalStatus.Begin)
  h.pass(1)
  t.is(h.status(xid), GlobalStatus.TimeoutRollbacked)
  t.is(h.commit(xid)!.globalStatus, GlobalStatus.TimeoutRollbacked)
  t.true(h.notes.some((note) => note.includes('is timeout and will be rollback')))
  t.true(h.agrees)
})

test('timeouts of zero and below are over with the next tick, as on the Java server', (t) => {
  const h = new Harness()
  const xids = [h.begin(0), h.begin(-1)]
  h.pass(1)
  for (const xid of xids) t.is(h.status(xid), GlobalStatus.TimeoutRollbacked)
})

test('a commit past the deadline is answered TimeoutRollbacking and decides the rollback for good', (t) => {
  const h = new Harness()
  const xid = h.begin(1000)
  h.tcc(xid)
  h.now += 1001
  t.is(h.commit(xid)!.globalStatus, GlobalStatus.TimeoutRollbacking)
  t.is(h.calls[0]?.kind, 'rollback')
  h.now -= 500
  t.is(h.commit(xid)!.globalStatus, GlobalStatus.TimeoutRollbacking)
  h.answer(BranchStatus.PhaseTwo_Rollbacked)
  t.is(h.status(xid), GlobalStatus.TimeoutRollbacked)
  t.true(h.agrees)
})

test('a repeated commit of a transaction whose AT branches are still owed is Committed, even past its timeout', (t) => {
  const h = new Harness()
  const xid = h.begin(1000)
  h.at(xid, 't:1')
  t.is(h.commit(xid)!.globalStatus, GlobalStatus.Committed)
  h.now += 5000
  t.is(h.commit(xid)!.globalStatus, GlobalStatus.Committed)
  t.is(h.rollback(xid)!.globalStatus, GlobalStatus.AsyncCommitting)
  t.is(h.status(xid), GlobalStatus.AsyncCommitting)
})

test('a deadline survives a restart: it is absolute', (t) => {
  const h = new Harness()
  const xid = h.begin(10_000)
  h.pass(9_000)
  h.restart()
  t.is(h.status(xid), GlobalStatus.Begin)
  h.pass(1_001)
  t.is(h.status(xid), GlobalStatus.TimeoutRollbacked)
})

test('limit: transactions of a fragment; one more begin is refused with BeginFailed and the next is taken when one has ended', (t) => {
  const h = new Harness({ limits: { maxTransactions: 2 } })
  const first = h.begin()
  h.begin()
  const refused = h.request({ type: 1, timeout: 1000, transactionName: 'x' })!
  t.is(refused.resultCode, 0)
  t.is(refused.transactionExceptionCode, 1)
  t.regex(refused.msg!, /^TransactionException\[.*2 transactions/)
  h.commit(first)
  t.is(h.request({ type: 1, timeout: 1000, transactionName: 'x' })!.resultCode, 1)
})

test('limit: names; what is too long is refused at begin, counted in bytes', (t) => {
  const h = new Harness({ limits: { maxNameBytes: 20 } })
  const begin = (transactionName: string, client = h.client) =>
    h.request({ type: 1, timeout: 1, transactionName }, client)!
  t.is(begin('x'.repeat(20)).resultCode, 1)
  t.is(begin('x'.repeat(21)).transactionExceptionCode, 1)
  t.regex(begin('x'.repeat(21)).msg!, /transactionName of 21 bytes is above the limit of 20/)
  t.regex(begin('ä'.repeat(11)).msg!, /transactionName of 22 bytes/)
  t.regex(begin('x', clientOf('2.0.0', 'an-application-name-too-long')).msg!, /applicationId of 28 bytes/)
})

test('limit: remembered outcomes; at least half of the limit, the youngest, are kept', (t) => {
  const h = new Harness({ limits: { maxOutcomes: 10 } })
  const xids = Array.from({ length: 30 }, () => h.begin())
  for (const xid of xids) h.commit(xid)
  t.true(h.state.outcomes.size <= 10)
  for (const xid of xids.slice(-5)) t.is(h.status(xid), GlobalStatus.Committed)
  t.is(h.status(xids[0]!), GlobalStatus.Finished)
  h.restart()
  for (const xid of xids.slice(-5)) t.is(h.status(xid), GlobalStatus.Committed)
})

test('statuses that a client cannot decode come as the nearest it can', (t) => {
  const h = new Harness({ maxCommitRetryTimeout: 1000 })
  const xid = h.begin(60_000)
  h.tcc(xid)
  h.commit(xid)
  h.answer(BranchStatus.PhaseTwo_CommitFailed_Retryable)
  h.pass(1001)
  h.answer(BranchStatus.PhaseTwo_CommitFailed_Retryable)
  h.pass(2000)
  const status = (version: string) => h.request({ type: 15, xid, extraData: '' }, clientOf(version))!.globalStatus
  t.is(status('2.6.0'), GlobalStatus.CommitRetryTimeout)
  t.is(status('1.4.2'), GlobalStatus.CommitRetrying)
  t.is(status(''), GlobalStatus.CommitRetrying)
})

test('a failed commit tells a Java TM that the outcome is open, other failures that nothing is known', (t) => {
  const h = new Harness()
  t.is(h.register('1:1:77', BranchType.AT).transactionExceptionCode, 10)
  t.regex(
    h.register('1:1:77', BranchType.AT).msg!,
    /^TransactionException\[Could not found global transaction xid = 1:1:77, may be has finished.\]$/
  )
})
