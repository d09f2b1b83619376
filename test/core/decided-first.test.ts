// Nothing that follows from a decision leaves before the decision is in the log: not where no RM has to be asked, not on a second pass, and
// not when a call has waited in line. The simulator found each; here each is by itself.
import test from 'ava'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { MAX_CALLS_PER_RESOURCE } from '../../tc-core/wire/limits.ts'
import { Harness } from './harness.ts'

const { PhaseOne_Failed, PhaseOne_RDONLY, PhaseTwo_Committed } = BranchStatus

test('a rollback whose branches all failed is answered when its decision is in the log', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.report(xid, h.tcc(xid), PhaseOne_Failed)
  const answer = h.rollback(xid)!
  t.is(answer.globalStatus, GlobalStatus.Rollbacked)
  t.is(answer.release, 'confirmed')
  t.deepEqual(h.calls, [])
})

test('a commit whose branches only read is answered when its decision is in the log, also when AT is left for later', (t) => {
  for (const more of [false, true]) {
    const h = new Harness()
    const xid = h.begin()
    h.report(xid, h.register(xid, BranchType.XA).branchId!, PhaseOne_RDONLY)
    if (more) h.at(xid, 't:1')
    const answer = h.commit(xid)!
    t.is(answer.globalStatus, GlobalStatus.Committed)
    t.is(answer.release, 'confirmed')
    t.true(h.calls.every(({ release }) => release === 'confirmed'))
  }
})

test('a second pass waits for the log as the first did: its calls may never have left', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.tcc(xid, 'a')
  h.commit(xid)
  // The store is silent, and nothing has left: to the core this is an RM that does not answer.
  h.pass(15_000)
  t.is(h.status(xid), GlobalStatus.CommitRetrying)
  h.pass(1_000)
  t.deepEqual(
    h.calls.map(({ kind, release }) => [kind, release]),
    [
      ['commit', 'confirmed'],
      ['commit', 'confirmed']
    ]
  )
})

test('a commit that goes on with the next branch because one does not answer waits for the log as well', (t) => {
  const h = new Harness()
  const xid = h.begin()
  h.tcc(xid, 'a')
  h.tcc(xid, 'b')
  h.commit(xid)
  h.fail('no-answer')
  h.pass(1_000)
  h.fail('no-answer')
  t.deepEqual(
    h.calls.map(({ resourceId, release }) => [resourceId, release]),
    [['b', 'confirmed']]
  )
})

test('a call that waited in line leaves when its decision is in the log, however soon its turn comes', (t) => {
  const h = new Harness()
  for (let n = 0; n <= MAX_CALLS_PER_RESOURCE; n++) {
    const xid = h.begin()
    h.tcc(xid)
    h.commit(xid)
  }
  t.is(h.calls.length, MAX_CALLS_PER_RESOURCE)
  h.answer(PhaseTwo_Committed)
  t.is(h.calls.length, MAX_CALLS_PER_RESOURCE)
  t.is(h.calls.at(-1)!.release, 'confirmed')
})
