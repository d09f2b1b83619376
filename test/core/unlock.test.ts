// Rows at other homes are freed when what frees them is in the log, and a transaction is kept until every home has confirmed.
import test from 'ava'
import { Session } from '../../tc-core/core/session.ts'
import { Snapshot, stateHash } from '../../tc-core/core/snapshot.ts'
import { Texts } from '../../tc-core/core/texts.ts'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { readHomeMessage, type UnlockRows } from '../../tc-core/wire/home.ts'
import type { MessageOf } from '../../tc-core/wire/message.ts'
import type { Transaction } from './clients.ts'
import { Harness } from './harness.ts'
import { fromChunks } from './leaders.ts'
import { ask, holds, locked, lose, named, onTheWay, open, scripted, status } from './script.ts'
import type { World } from './world-of-fragments.ts'

const request = (packet: { kind: string }) => packet.kind === 'request'
const isCall = (packet: { kind: string }) => packet.kind === 'call'
const session = (w: World, { fragment, xid }: Transaction) => w.leader(fragment).core.state.sessions.get(xid)

test('commit: homes are told when the decision is in the log, and the rows are free before phase two', (t) => {
  const w = scripted()
  const x = open(w, 0)
  holds(w, x, ['0', '1', '2'])
  x.end('commit')
  w.pass(request)
  t.deepEqual(onTheWay(w), [])
  w.write(0)
  t.deepEqual(onTheWay(w), ['unlockRows', 'unlockRows'])
  w.settle((packet) => !isCall(packet))
  t.deepEqual(
    [0, 1, 2].map((fragment) => locked(w, fragment)),
    [0, 0, 0]
  )
  t.is(x.globalStatus, GlobalStatus.Committed)
  t.is(session(w, x)!.status, GlobalStatus.AsyncCommitting)
  t.deepEqual(session(w, x)!.debts, [])
  w.settle()
  t.is(session(w, x), undefined)
  t.is(w.leader(0).core.timers.size, 0)
})

test('rollback: branch by branch, each home when the branch is rolled back; the transaction ends when all have confirmed', (t) => {
  const w = scripted()
  const x = open(w, 0)
  holds(w, x, ['1'])
  holds(w, x, ['2'])
  x.end('rollback')
  w.settle((packet) => !isCall(packet))
  t.deepEqual(
    [1, 2].map((fragment) => locked(w, fragment)),
    [1, 1]
  )
  w.pass(isCall)
  w.settle((packet) => !isCall(packet))
  t.deepEqual(
    [1, 2].map((fragment) => locked(w, fragment)),
    [1, 0]
  )
  w.pass(isCall)
  w.settle((packet) => !named('unlockRows')(packet))
  // Everything is done but for the home's word, and whoever asks hears how it ended.
  t.is(x.globalStatus, GlobalStatus.Rollbacked)
  t.true(session(w, x)!.over)
  t.is(status(w, x), GlobalStatus.Rollbacked)
  t.is(session(w, x), undefined)
  t.deepEqual(
    [1, 2].map((fragment) => locked(w, fragment)),
    [0, 0]
  )
  t.is(status(w, x), GlobalStatus.Rollbacked)
})

test('every branch of a home at once, and no home is told what it was told just now', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const ids = ['1', '4', '2'].map((row) => holds(w, x, [row]))
  const told = () =>
    w.net.flatMap((packet) => {
      if (!named('unlockRows')(packet) || packet.kind !== 'between') return []
      return [(readHomeMessage(packet.bytes) as MessageOf<typeof UnlockRows>).branchIds]
    })
  x.end('rollback')
  const wait = (packet: Parameters<ReturnType<typeof named>>[0]) => !named('unlockRows')(packet)
  w.settle(wait)
  t.deepEqual(told(), [[ids[2]], [ids[1]], [ids[0]]])
  lose(w, named('unlockRows'))
  w.elapse(200)
  w.settle(wait)
  t.deepEqual(told(), [[ids[2]], [ids[1], ids[0]]])
  w.settle()
  t.deepEqual(
    [1, 2].map((fragment) => locked(w, fragment)),
    [0, 0]
  )
})

test('a new debt is told and repeated soon, however long an older one has waited', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const y = open(w, 1)
  holds(w, y, ['2'])
  const unlockRows = (to: number) => (packet: Parameters<ReturnType<typeof named>>[0]) =>
    named('unlockRows')(packet) && packet.to === to
  x.register(['1', '2'])
  w.settle((packet) => !unlockRows(1)(packet))
  for (let ms = 0; ms < 7000; ms += 100) {
    lose(w, unlockRows(1))
    w.elapse(100)
    w.settle((packet) => !unlockRows(1)(packet))
  }
  lose(w, unlockRows(1))
  x.register(['1', '2'])
  w.settle((packet) => !unlockRows(1)(packet))
  lose(w, unlockRows(1))
  w.elapse(200)
  w.write(0)
  t.is(w.net.filter(unlockRows(1)).length, 1)
})

test('a saga that holds rows at other homes, though sagas lock none: they are free when its engine says that it is over', (t) => {
  const { Committed, CommitRetrying } = GlobalStatus
  for (const reported of [Committed, CommitRetrying]) {
    const w = scripted()
    const { xid } = ask(w, 0, { type: 1, timeout: 60_000, transactionName: '$Saga_x' }, '127.0.0.1:8091:6')
    const register = (branchType: number, lockKey: string) => {
      const got: (number | undefined)[] = []
      w.clients.ask(0, { type: 11, xid, branchType, resourceId: 'r', lockKey, applicationData: '' }, '', (answer) => {
        got.push(answer.transactionExceptionCode)
      })
      return got
    }
    register(BranchType.SAGA, '')
    register(BranchType.AT, 't:1')
    w.settle()
    const late = register(BranchType.AT, 't:2')
    w.settle((packet) => packet.to !== 2)
    const report = { type: 17, xid, extraData: '', globalStatus: reported }
    w.clients.ask(0, report, '', () => {})
    w.settle((packet) => packet.to !== 2)
    t.deepEqual(late, reported === Committed ? [11] : [], 'nobody waits for what is over')
    w.settle()
    t.deepEqual(late, [11])
    if (reported === CommitRetrying) {
      t.is(ask(w, 0, { type: 15, xid, extraData: '' }).globalStatus, CommitRetrying)
      t.deepEqual(
        [1, 2].map((fragment) => locked(w, fragment)),
        [1, 0]
      )
      ask(w, 0, { ...report, globalStatus: Committed })
    }
    w.settle()
    t.is(ask(w, 0, { type: 15, xid, extraData: '' }).globalStatus, Committed)
    t.deepEqual(
      [1, 2].map((fragment) => locked(w, fragment)),
      [0, 0]
    )
    w.rest()
  }
})

test('a snapshot that is being taken while a home confirms is the state of its moment', (t) => {
  const w = scripted()
  const x = open(w, 0)
  holds(w, x, ['1', '2'])
  x.end('commit')
  w.settle((packet) => packet.kind === 'request' || packet.kind === 'answer')
  const { state } = w.leader(0).core
  const before = stateHash(state)
  const snapshot = new Snapshot(state, 8)
  const chunks = [snapshot.next()!]
  w.settle((packet) => packet.kind === 'between' && (packet.to === 1 || packet.from === 1))
  t.not(stateHash(state), before)
  for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) chunks.push(chunk)
  t.is(stateHash(fromChunks(0, chunks)), before)
})

test('which statuses are an end, and in which a transaction rolls back', (t) => {
  const { Committed, Rollbacked, TimeoutRollbacked, Finished } = GlobalStatus
  const fields = { xid: 'h:1:1', applicationId: '', transactionServiceGroup: '', transactionName: '', timeout: 1 }
  const session = new Session({ ...fields, beginTime: 1, identity: 0n }, 1, new Texts())
  for (const [name, status] of Object.entries(GlobalStatus)) {
    session.status = status
    t.is(
      session.over,
      [Committed, Rollbacked, TimeoutRollbacked, Finished].some((end) => end === status),
      name
    )
    const goesBack = /Rollback/.test(name) && !/Rollbacked|Stop/.test(name)
    t.is(session.rollsBack, goesBack, name)
  }
})

test('a transaction that is over but for the word of its homes is over for everybody', (t) => {
  const w = scripted()
  const x = open(w, 0)
  holds(w, x, ['1'])
  x.end('commit')
  const held = (packet: Parameters<ReturnType<typeof named>>[0]) => !named('unlockRows')(packet)
  w.settle(held)
  t.true(session(w, x)!.over)
  const { xid } = x
  const asked = (type: number, more = {}) => {
    let got: any
    w.clients.ask(0, { type, xid, extraData: '', ...more }, xid, (answer) => {
      got = answer
    })
    w.settle(held)
    return got
  }
  t.is(asked(7).globalStatus, GlobalStatus.Committed)
  t.is(asked(9).globalStatus, GlobalStatus.Committed)
  t.is(asked(15).globalStatus, GlobalStatus.Committed)
  t.is(asked(17, { globalStatus: GlobalStatus.RollbackFailed }).globalStatus, GlobalStatus.RollbackFailed)
  t.is(asked(15).globalStatus, GlobalStatus.Committed)
  t.is(asked(1, { timeout: 1, transactionName: '' }).type, 0, 'its xid is taken')
  const branch = { branchType: 2, resourceId: 'r', lockKey: '', applicationData: '' }
  t.is(asked(11, branch).transactionExceptionCode, 10)
  t.is(asked(13, { branchId: 1n, branchStatus: 2, applicationData: '' }).transactionExceptionCode, 10)
  w.rest()
})

test('a word that is lost is repeated with longer and longer pauses, only to who has not confirmed', (t) => {
  const w = scripted()
  const x = open(w, 0)
  holds(w, x, ['1', '2'])
  x.end('commit')
  w.settle((packet) => !named('unlockRows')(packet) || packet.to === 2)
  const pauses: number[] = []
  let last = w.now
  for (let n = 0; n < 9; n++) {
    t.deepEqual(
      w.net.filter(named('unlockRows')).map(({ to }) => to),
      [1]
    )
    lose(w, named('unlockRows'))
    while (!w.net.some(named('unlockRows'))) {
      w.elapse(100)
      w.write(0)
    }
    pauses.push(w.now - last)
    last = w.now
  }
  t.deepEqual(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000])
  w.settle()
  t.is(session(w, x), undefined)
  t.is(locked(w, 1), 0)
})

test('a word does not leave before its effect is in the log, not even when it is repeated', (t) => {
  const w = scripted()
  const x = open(w, 0)
  holds(w, x, ['1'])
  x.end('commit')
  w.pass(request)
  w.elapse(5000)
  t.deepEqual(
    onTheWay(w).filter((name) => name === 'unlockRows'),
    []
  )
  w.write(0)
  t.true(onTheWay(w).includes('unlockRows'))
})

test('a new leader goes on telling the homes: after a commit, in a rollback, and when the transaction is over', (t) => {
  for (const how of ['commit', 'rollback'] as const) {
    const w = scripted()
    const x = open(w, 0)
    holds(w, x, ['0', '1', '2'])
    x.end(how)
    w.settle((packet) => !named('unlockRows')(packet))
    lose(w, named('unlockRows'))
    t.is(session(w, x)!.debts.length, 2)
    w.takeOver(0)
    t.is(session(w, x)!.debts.length, 2)
    w.elapse(1)
    w.settle()
    t.is(session(w, x), undefined)
    t.deepEqual(
      [0, 1, 2].map((fragment) => locked(w, fragment)),
      [0, 0, 0]
    )
  }
})

test('confirmations may come again, late, or for what was never owed', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const branchId = holds(w, x, ['1'])
  const { core } = w.leader(0)
  const freed = (xid: string, ids: bigint[], from = 1) =>
    w.leader(0).input({ kind: 'between', from, term: 9, message: { type: 4, xid, branchIds: ids } })
  freed(x.xid, [branchId])
  freed('127.0.0.1:8091:5', [1n])
  t.is(core.state.sessions.get(x.xid)!.branches[0]!.homes.length, 1)
  x.end('commit')
  w.settle((packet) => !named('unlockRows')(packet))
  freed(x.xid, [branchId], 2)
  t.is(session(w, x)!.debts.length, 1)
  freed(x.xid, [branchId])
  freed(x.xid, [branchId])
  w.settle()
  t.is(session(w, x), undefined)
  w.rest()
})

test('a rollback that failed for good keeps its rows at their homes, unless the operator has it otherwise', (t) => {
  for (const rollbackFailedUnlockEnable of [false, true]) {
    const w = scripted({}, { rollbackFailedUnlockEnable })
    const x = open(w, 0)
    holds(w, x, ['0', '1'])
    x.end('rollback')
    w.settle((packet) => !isCall(packet))
    const call = w.net.find(isCall)
    lose(w, isCall)
    const branchStatus = BranchStatus.PhaseTwo_RollbackFailed_Unretryable
    w.leader(0).input({ kind: 'answered', call: (call as { call: { id: number } }).call.id, branchStatus })
    w.settle()
    t.is(status(w, x), GlobalStatus.RollbackFailed)
    for (let n = 0; n < 40; n++) {
      w.elapse(1000)
      w.settle()
    }
    const left = rollbackFailedUnlockEnable ? 0 : 1
    t.deepEqual(
      [0, 1].map((fragment) => locked(w, fragment)),
      [left, left]
    )
    t.is(session(w, x)!.debts.length, 0)
  }
})

test('what homes are owed keeps a transaction in the count, so that dead homes cannot make it grow without end', (t) => {
  const h = new Harness({ homes: { of: () => 1 }, limits: { maxTransactions: 2 } })
  for (let n = 0; n < 2; n++) {
    const xid = h.begin()
    h.request({ type: 11, xid, branchType: 0, resourceId: 'r', lockKey: 't:1', applicationData: '' })
    t.is(h.rollback(xid)!.transactionExceptionCode, 11, 'the register that waits')
    t.is(h.status(xid), GlobalStatus.Rollbacked)
  }
  t.is(h.request({ type: 1, timeout: 1000, transactionName: 'x' })!.resultCode, 0)
  const [xid] = h.state.sessions.keys()
  const { branchId } = h.state.sessions.get(xid!)!.debts[0]!
  h.step({ kind: 'between', from: 1, term: 1, message: { type: 4, xid: xid!, branchIds: [branchId] } })
  t.is(h.request({ type: 1, timeout: 1000, transactionName: 'x' })!.resultCode, 1)
  t.true(h.agrees)
  h.restart()
  t.true(h.agrees)
})

test('the status of a transaction whose homes are owed nothing is asked of nobody else', (t) => {
  const w = scripted()
  const x = open(w, 0)
  holds(w, x, ['0'])
  t.is(ask(w, 0, { type: 15, xid: x.xid, extraData: '' }).globalStatus, GlobalStatus.Begin)
  t.deepEqual(onTheWay(w), [])
})
