// Row locks: all of a request or none, whose they are, and when they go.
import test from 'ava'
import { parseLockKey } from '../../tc-core/core/lock-key.ts'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { clientOf, Harness } from './harness.ts'

test('the grammar of a lock key, with the rules by which the Java parser gives up', (t) => {
  const rows = (key: string) => parseLockKey(key).map((row) => `${row.table}/${row.pk}`)
  t.deepEqual(rows('t_order:1,2;t_item:7'), ['t_order/1', 't_order/2', 't_item/7'])
  t.deepEqual(rows('t:1_a,2_b'), ['t/1_a', 't/2_b'])
  t.deepEqual(rows('t:1;'), ['t/1'])
  t.deepEqual(rows('t:a:b'), ['t/a:b'])
  t.deepEqual(rows('t:1,,2, '), ['t/1', 't/2'])
  t.deepEqual(rows('t:1;broken;u:2'), ['t/1'])
  t.deepEqual(rows('t:1;u:;v:2'), ['t/1'])
  t.deepEqual(rows(''), [])
})

test('a row that another transaction owns is refused with its holder, and none of the request is locked', (t) => {
  const h = new Harness()
  const a = h.begin()
  const b = h.begin()
  const holder = h.at(a, 't:1,2')
  const refused = h.register(b, BranchType.AT, { lockKey: 't:3,2' })
  t.is(refused.resultCode, 0)
  t.is(refused.transactionExceptionCode, 2)
  t.true(refused.msg!.includes(`Global lock acquire failed xid = ${b} branchId = `))
  t.true(refused.msg!.includes(`Global lock on [t:2] is holding by xid ${a} branchId ${holder}`))
  t.is(h.state.locks.count, 2)
  t.true(h.lockable(b, 't:3'))
  t.false(h.lockable(b, 't:2'))
  t.true(h.agrees)
})

test('rows of another resource or table, or of modes that lock nothing here, do not conflict', (t) => {
  const h = new Harness()
  const a = h.begin()
  const b = h.begin()
  h.at(a, 't:1')
  t.is(h.register(b, BranchType.AT, { resourceId: 'other', lockKey: 't:1' }).resultCode, 1)
  t.is(h.register(b, BranchType.AT, { lockKey: 'u:1' }).resultCode, 1)
  for (const branchType of [BranchType.TCC, BranchType.XA, BranchType.SAGA, BranchType.SAGA_ANNOTATION]) {
    t.is(h.register(b, branchType, { lockKey: 't:1' }).resultCode, 1)
    t.true(h.lockable(b, 't:1', 'r', branchType))
  }
  t.is(h.state.locks.count, 3)
})

test("a row taken again by a later branch of the same transaction stays its first branch's", (t) => {
  const h = new Harness()
  const a = h.begin()
  const b = h.begin()
  h.at(a, 't:1,2')
  h.at(a, 't:2,3')
  t.is(h.state.locks.count, 3)
  h.rollback(a)
  t.is(h.calls[0]!.kind, 'rollback')
  h.answer(BranchStatus.PhaseTwo_Rollbacked)
  t.true(h.lockable(b, 't:3'))
  t.false(h.lockable(b, 't:2'))
  h.answer(BranchStatus.PhaseTwo_Rollbacked)
  t.true(h.lockable(b, 't:1,2,3'))
  h.commit(b)
  t.true(h.atRest)
  t.true(h.agrees)
})

test('a commit frees all rows with the decision, before phase two', (t) => {
  const h = new Harness()
  const a = h.begin()
  const b = h.begin()
  h.at(a, 't:1')
  h.tcc(a, 'tcc')
  h.commit(a)
  t.is(h.status(a), GlobalStatus.Committing)
  t.is(h.state.locks.count, 0)
  t.is(h.register(b, BranchType.AT, { lockKey: 't:1' }).resultCode, 1)
})

test("who meets the rows of a transaction that rolls back fails fast, if its local transaction holds rows; the code is the client's", (t) => {
  const h = new Harness()
  const a = h.begin()
  const b = h.begin()
  h.at(a, 't:1')
  const waits = '{"autoCommit":false}'
  const code = (version: string, applicationData: string) =>
    h.request({ type: 11, xid: b, branchType: 0, resourceId: 'r', lockKey: 't:1', applicationData }, clientOf(version))!
      .transactionExceptionCode
  t.is(code('2.6.0', waits), 2)
  h.rollback(a)
  t.is(code('2.6.0', waits), 20)
  t.is(code('2.0.0', waits), 20)
  t.is(code('1.8.0', waits), 19)
  t.is(code('1.5.2', waits), 19)
  t.is(code('1.4.2', waits), 2)
  t.is(code('', waits), 2)
  for (const data of [
    '',
    '{}',
    '{"autoCommit":true}',
    '{"autoCommit":"false"}',
    'no json autoCommit',
    'null autoCommit'
  ]) {
    t.is(code('2.6.0', data), 2, data)
  }
  h.restart()
  t.is(code('2.6.0', waits), 20)
})

test('rows of a rollback that failed for good stay, unless the operator has it otherwise', (t) => {
  for (const rollbackFailedUnlockEnable of [false, true]) {
    const h = new Harness({ rollbackFailedUnlockEnable })
    const a = h.begin()
    h.at(a, 't:1')
    h.rollback(a)
    h.answer(BranchStatus.PhaseTwo_RollbackFailed_Unretryable)
    t.is(h.status(a), GlobalStatus.RollbackFailed)
    t.is(h.state.locks.count, rollbackFailedUnlockEnable ? 0 : 1)
    h.restart()
    t.is(h.status(a), GlobalStatus.RollbackFailed)
    t.is(h.state.locks.count, rollbackFailedUnlockEnable ? 0 : 1)
  }
})

test('an empty xid (@GlobalLock) owns nothing: it conflicts with every holder', (t) => {
  const h = new Harness()
  h.at(h.begin(), 't:1')
  t.false(h.lockable('', 't:1'))
  t.true(h.lockable('', 't:2'))
  t.true(h.lockable('', ''))
})

test('after a restart the rows are owned by whom they were, through the branches they were', (t) => {
  const h = new Harness()
  const a = h.begin()
  const b = h.begin()
  h.at(a, 't:1')
  h.at(a, 't:1,2')
  h.restart()
  t.false(h.lockable(b, 't:1'))
  t.false(h.lockable(b, 't:2'))
  t.true(h.lockable(a, 't:1,2'))
  h.rollback(a)
  h.answer(BranchStatus.PhaseTwo_Rollbacked)
  t.true(h.lockable(b, 't:2'))
  t.false(h.lockable(b, 't:1'))
  t.true(h.agrees)
})

test('limit: rows of one lock key', (t) => {
  const h = new Harness({ limits: { maxLockKeys: 2 } })
  const a = h.begin()
  t.is(h.register(a, BranchType.AT, { lockKey: 't:1,2' }).resultCode, 1)
  const refused = h.register(a, BranchType.AT, { lockKey: 't:3,4,5' })
  t.is(refused.transactionExceptionCode, 15)
  t.regex(refused.msg!, /3 rows is above the limit of 2/)
  t.is(h.state.locks.count, 2)
})
