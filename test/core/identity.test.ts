// The same request sent again: executed once, answered every time.
import test from 'ava'
import { XID_TAKEN } from '../../tc-core/core/tm.ts'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { type Answer, Harness } from './harness.ts'

/** A request as the gateway sends it. */
function send(h: Harness, identity: bigint, message: { type: number; [field: string]: unknown }, proposed = '') {
  const [answer, ...more] = h.step({
    kind: 'request',
    request: { client: h.client, message, proposed, identity, again: true }
  })
  h.late.push(...more)
  return answer as Answer
}

const begin = (h: Harness, identity: bigint, xid: string, timeout = 60_000) =>
  send(h, identity, { type: 1, timeout, transactionName: 'tx' }, xid)

const register = (h: Harness, identity: bigint, xid: string, branchType: number = BranchType.AT, lockKey = 't:1') =>
  send(h, identity, { type: 11, xid, branchType, resourceId: 'r', lockKey, applicationData: '' })

const XID = '127.0.0.1:8091:77'

test('a begin that comes again gets its xid again, over a restart too', (t) => {
  const h = new Harness({ limits: { maxTransactions: 1 } })
  t.is(begin(h, 5n, XID).xid, XID)
  for (const _ of ['before', 'after']) {
    const again = begin(h, 5n, XID)
    t.is(again.resultCode, 1)
    t.is(again.xid, XID)
    t.is(again.release, 'confirmed')
    h.restart()
  }
  t.is(h.state.sessions.size, 1)
  t.true(h.agrees)
})

test('another begin for the same xid is told that it is taken, and so is one that cannot be told from others', (t) => {
  const h = new Harness()
  begin(h, 5n, XID)
  t.is(begin(h, 6n, XID).type, XID_TAKEN.type)
  t.is(begin(h, 0n, XID).type, XID_TAKEN.type)
  begin(h, 0n, '127.0.0.1:8091:78')
  t.is(begin(h, 0n, '127.0.0.1:8091:78').type, XID_TAKEN.type)
})

test('a begin never gives an xid that has ended meanwhile, or can only end: another one is to be proposed', (t) => {
  const ended = new Harness()
  begin(ended, 5n, XID, 1000)
  ended.pass(1001)
  t.is(ended.status(XID), GlobalStatus.TimeoutRollbacked)
  t.is(begin(ended, 5n, XID).type, XID_TAKEN.type)
  t.is(begin(ended, 5n, '127.0.0.1:8091:78').xid, '127.0.0.1:8091:78')

  const ending = new Harness()
  begin(ending, 5n, XID, 1000)
  ending.tcc(XID)
  ending.pass(1001)
  t.is(ending.status(XID), GlobalStatus.TimeoutRollbacking)
  t.is(begin(ending, 5n, XID).type, XID_TAKEN.type)
})

test('a branch that is registered again is the same branch: in every mode, over a restart, and at the limit', (t) => {
  for (const branchType of [BranchType.AT, BranchType.TCC, BranchType.XA, BranchType.SAGA]) {
    const h = new Harness({ limits: { maxBranches: 1 } })
    begin(h, 5n, XID)
    const { branchId } = register(h, 6n, XID, branchType)
    for (const _ of ['before', 'after']) {
      const again = register(h, 6n, XID, branchType)
      t.is(again.resultCode, 1)
      t.is(again.branchId, branchId)
      t.is(again.release, 'confirmed')
      h.restart()
    }
    t.is(h.state.sessions.get(XID)!.branches.length, 1)
    t.is(register(h, 7n, XID, branchType).transactionExceptionCode, 15)
    t.true(h.agrees)
  }
})

test('requests without an identity, or with their own, are branches of their own', (t) => {
  const h = new Harness()
  begin(h, 5n, XID)
  const ids = [0n, 0n, 6n, 7n].map((identity) => register(h, identity, XID, BranchType.TCC).branchId)
  t.is(new Set(ids).size, 4)
})

test('a first sending that comes in after the second is the same request all the same', (t) => {
  const h = new Harness()
  begin(h, 5n, XID)
  const { branchId } = register(h, 6n, XID, BranchType.TCC)
  const message = { type: 11, xid: XID, branchType: BranchType.TCC, resourceId: 'r', lockKey: '', applicationData: '' }
  const [late] = h.step({ kind: 'request', request: { client: h.client, message, identity: 6n } })
  t.is(late!.branchId, branchId)
  t.is(h.state.sessions.get(XID)!.branches.length, 1)
})

test('a register that comes again when the transaction is decided or over fails as any other', (t) => {
  const h = new Harness()
  begin(h, 5n, XID)
  register(h, 6n, XID, BranchType.TCC)
  h.rollback(XID)
  t.is(register(h, 6n, XID, BranchType.TCC).transactionExceptionCode, 11)
  h.answer(BranchStatus.PhaseTwo_Rollbacked)
  t.is(register(h, 6n, XID, BranchType.TCC).transactionExceptionCode, 10)
  const saga = '127.0.0.1:8091:88'
  begin(h, 7n, saga)
  const { branchId } = register(h, 8n, saga, BranchType.SAGA)
  h.rollback(saga)
  t.is(register(h, 8n, saga, BranchType.SAGA).branchId, branchId, 'sagas may join at any time')
})

test('a commit or rollback whose answer was lost is answered as it was, whatever has become of it and whoever leads', (t) => {
  const { Committed, Committing, CommitRetrying, Rollbacked, Rollbacking } = GlobalStatus
  const commits: readonly number[] = [Committed, Committing, CommitRetrying]
  const rollbacks: readonly number[] = [Rollbacked, Rollbacking, GlobalStatus.RollbackRetrying]
  for (const how of ['commit', 'rollback'] as const) {
    for (const branchTypes of [[], [BranchType.AT], [BranchType.TCC], [BranchType.AT, BranchType.XA]]) {
      const h = new Harness()
      begin(h, 5n, XID)
      for (const [n, branchType] of branchTypes.entries()) register(h, BigInt(6 + n), XID, branchType, `t:${n}`)
      h[how](XID)
      const agree = () => (how === 'commit' ? commits : rollbacks).includes(h[how](XID)!.globalStatus!)
      t.true(agree())
      h.restart()
      t.true(agree())
      while (h.calls.length > 0) h.fail('no-answer')
      t.true(agree())
      for (let n = 0; n < 5; n++) {
        h.pass(1000)
        while (h.calls.length > 0) {
          h.answer(how === 'commit' ? BranchStatus.PhaseTwo_Committed : BranchStatus.PhaseTwo_Rollbacked)
          t.true(agree())
        }
      }
      t.true(h.atRest)
      t.is(h[how](XID)!.globalStatus, how === 'commit' ? Committed : Rollbacked)
    }
  }
})

test('the requests that wait for phase two can be told when the leader is deposed', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.tcc(xid)
  t.deepEqual([...h.fragment.unanswered()], [])
  h.commit(xid)
  t.deepEqual(
    [...h.fragment.unanswered()].map(({ message }) => message.type),
    [7]
  )
  h.answer(BranchStatus.PhaseTwo_Committed)
  t.deepEqual([...h.fragment.unanswered()], [])
})

for (const [type, rows, decided, done] of [
  [7, 'commit', BranchStatus.PhaseTwo_Committed, GlobalStatus.Committed],
  [9, 'rollback', BranchStatus.PhaseTwo_Rollbacked, GlobalStatus.Rollbacked]
] as const) {
  test(`a ${rows} whose pass was cut off with its leader waits for the next pass when it comes again`, (t) => {
    const h = new Harness()
    const xid = h.begin()
    h.tcc(xid)
    h.tcc(xid)
    t.is(h.request({ type, xid, extraData: '' }), undefined)
    h.answer(decided)
    h.restart()
    t.falsy(send(h, 9n, { type, xid, extraData: '' }))
    t.is(h.calls.length, 1)
    const [answer] = h.answer(decided)
    t.is(answer!.globalStatus, done)
    t.true(h.atRest && h.agrees)
  })

  test(`a ${rows} that waits for a pass that fails hears how it stands`, (t) => {
    const h = new Harness()
    const xid = h.begin()
    h.tcc(xid)
    h.request({ type, xid, extraData: '' })
    h.restart()
    t.falsy(send(h, 9n, { type, xid, extraData: '' }))
    const [answer] = h.fail('no-answer')
    t.is(answer!.resultCode, 1)
    t.is(answer!.globalStatus, type === 7 ? GlobalStatus.Committing : GlobalStatus.Rollbacking)
    t.falsy(send(h, 9n, { type, xid, extraData: '' }), 'and may wait again')
    h.answer(decided)
    t.true(h.atRest && h.agrees)
  })
}
