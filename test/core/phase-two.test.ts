// Phase two: the order of calls, what the first answers lead to, and what a branch must be to join.
import test from 'ava'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { Harness } from './harness.ts'

const { PhaseOne_Failed, PhaseOne_RDONLY, PhaseTwo_Committed, PhaseTwo_Rollbacked } = BranchStatus

test('TCC commits one branch after the other in the order of registration, and the TM hears when all are done', (t) => {
  const h = new Harness()
  const xid = h.begin()
  const ids = [h.tcc(xid, 'a'), h.tcc(xid, 'b'), h.tcc(xid, 'c')]
  t.is(h.commit(xid), undefined)
  const order: bigint[] = []
  t.is(h.calls[0]!.release, 'confirmed')
  for (const _ of [1, 2]) {
    t.is(h.calls.length, 1)
    order.push(h.calls[0]!.branchId)
    t.deepEqual(h.answer(PhaseTwo_Committed), [])
  }
  order.push(h.calls[0]!.branchId)
  const [told] = h.answer(PhaseTwo_Committed)
  t.is(told!.globalStatus, GlobalStatus.Committed)
  t.is(told!.release, 'now')
  t.deepEqual(order, ids)
  t.true(h.atRest)
  t.true(h.agrees)
})

test('rollback goes in the reverse order', (t) => {
  const h = new Harness()
  const xid = h.begin()
  const ids = [h.tcc(xid, 'a'), h.at(xid, 't:1', 'b'), h.tcc(xid, 'c')]
  h.rollback(xid)
  const order: bigint[] = []
  while (h.calls.length > 0) {
    order.push(h.calls[0]!.branchId)
    h.late.push(...h.answer(PhaseTwo_Rollbacked))
  }
  t.deepEqual(order, ids.reverse())
  t.deepEqual(
    h.late.map((a) => a.globalStatus),
    [GlobalStatus.Rollbacked]
  )
  t.true(h.atRest)
  t.true(h.agrees)
})

test('the call carries what the branch was registered with', (t) => {
  const h = new Harness()
  const xid = h.begin()
  const branchId = h.register(xid, BranchType.TCC, {
    resourceId: 'tccRes',
    applicationData: '{"actionContext":{}}',
    clientId: 'stock:10.0.0.9:4711'
  }).branchId!
  h.commit(xid)
  t.like(h.calls[0], {
    kind: 'commit',
    xid,
    branchId,
    branchType: BranchType.TCC,
    resourceId: 'tccRes',
    clientId: 'stock:10.0.0.9:4711',
    applicationData: '{"actionContext":{}}',
    anyApplication: false
  })
})

test('AT: Committed at once, all branches are called at once, and any application with the resource will do', (t) => {
  const h = new Harness()
  const xid = h.begin()
  const ids = [h.at(xid, 't:1', 'a'), h.at(xid, 't:2', 'b')]
  const answer = h.commit(xid)!
  t.is(answer.globalStatus, GlobalStatus.Committed)
  t.is(answer.release, 'confirmed')
  t.is(h.status(xid), GlobalStatus.AsyncCommitting)
  t.deepEqual(
    h.calls.map((c) => c.branchId),
    ids
  )
  t.true(h.calls.every((c) => c.anyApplication && c.release === 'confirmed'))
  h.answer(PhaseTwo_Committed)
  h.answer(PhaseTwo_Committed)
  t.is(h.status(xid), GlobalStatus.Committed)
  t.true(h.atRest)
  t.true(h.agrees)
})

test('AT beside TCC: TCC is waited for, AT comes later', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.at(xid, 't:1', 'at')
  h.tcc(xid, 'tcc')
  h.commit(xid)
  t.deepEqual(
    h.calls.map((c) => c.resourceId),
    ['tcc']
  )
  const [told] = h.answer(PhaseTwo_Committed)
  t.is(told!.globalStatus, GlobalStatus.Committed)
  t.is(h.status(xid), GlobalStatus.AsyncCommitting)
  t.deepEqual(
    h.calls.map((c) => c.resourceId),
    ['at']
  )
  h.answer(PhaseTwo_Committed)
  t.true(h.atRest)
  t.true(h.agrees)
})

test('branches that failed in phase one, and XA branches that only read, need no commit', (t) => {
  const h = new Harness()
  const xid = h.begin()
  const failed = h.tcc(xid, 'failed')
  const read = h.register(xid, BranchType.XA, { resourceId: 'read' }).branchId!
  h.report(xid, failed, PhaseOne_Failed)
  h.report(xid, read, PhaseOne_RDONLY)
  h.tcc(xid, 'good')
  h.commit(xid)
  t.deepEqual(
    h.calls.map((c) => c.resourceId),
    ['good']
  )
  t.is(h.answer(PhaseTwo_Committed)[0]!.globalStatus, GlobalStatus.Committed)
  t.true(h.atRest)
  t.true(h.agrees)
})

test('branches that failed in phase one are passed over by a rollback and their rows are free; an XA reader is called', (t) => {
  const h = new Harness()
  const xid = h.begin()
  const failed = h.at(xid, 't:1')
  const read = h.register(xid, BranchType.XA, { resourceId: 'read' }).branchId!
  h.report(xid, failed, PhaseOne_Failed)
  h.report(xid, read, PhaseOne_RDONLY)
  h.rollback(xid)
  t.deepEqual(
    h.calls.map((c) => c.resourceId),
    ['read']
  )
  h.answer(PhaseTwo_Rollbacked)
  t.true(h.atRest)
})

test("a branch cannot join when the decision is made, a saga's step can", (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.tcc(xid)
  h.rollback(xid)
  const refused = h.register(xid, BranchType.TCC)
  t.is(refused.transactionExceptionCode, 11)
  t.regex(
    refused.msg!,
    /Could not register branch into global session xid = .* status = Rollbacking, cause by globalSession not active/
  )
  t.is(h.register(xid, BranchType.SAGA).resultCode, 1)
})

test('branch ids never come twice, not even those that a lost leader handed out', (t) => {
  const h = new Harness()
  const seen = new Set<bigint>()
  for (let i = 0; i < 20; i++) {
    const xid = h.begin()
    const branchId = h.tcc(xid)
    t.false(seen.has(branchId))
    seen.add(branchId)
    if (i % 5 === 4) h.restart()
  }
})

test('a report keeps the application data when it brings none, and is refused for what is not there', (t) => {
  const h = new Harness()
  const xid = h.begin()
  const branchId = h.register(xid, BranchType.TCC, { applicationData: 'first' }).branchId!
  h.report(xid, branchId, BranchStatus.PhaseOne_Done)
  t.is(h.state.sessions.get(xid)!.branch(branchId)!.applicationData, 'first')
  h.report(xid, branchId, BranchStatus.PhaseOne_Done, 'second')
  t.is(h.state.sessions.get(xid)!.branch(branchId)!.applicationData, 'second')
  t.is(h.report('1:1:1', branchId, 2).transactionExceptionCode, 10)
  t.is(h.report(xid, 1n, 2).transactionExceptionCode, 9)
  t.regex(h.report(xid, 1n, 2).msg!, /Could not found branch session xid = .* branchId = 1/)
  t.true(h.agrees)
})

test('limits: branches of a transaction, application data, and what a branch needs', (t) => {
  const h = new Harness({ limits: { maxBranches: 2, maxApplicationDataBytes: 5 } })
  const xid = h.begin()
  t.regex(h.register(xid, BranchType.TCC, { applicationData: '123456' }).msg!, /6 bytes is above the limit of 5/)
  t.is(h.register(xid, BranchType.TCC, { applicationData: 'äää' }).transactionExceptionCode, 15)
  t.regex(h.register(xid, BranchType.TCC, { resourceId: '' }).msg!, /resourceId is empty/)
  t.is(h.register(xid, 9).msg, 'RuntimeException[unsupported type:9]')
  h.tcc(xid)
  const second = h.tcc(xid)
  t.regex(h.register(xid, BranchType.TCC).msg!, /it has 2 branches and that is the limit/)
  t.is(h.report(xid, second, 2, '123456').resultCode, 0)
  t.regex(h.register(xid, BranchType.AT, { lockKey: `t:${'x'.repeat(600_000)}` }).msg!, /limit/)
})
