// A register whose rows have their homes in other fragments: when it is acknowledged, when it fails, and that nothing is left of it then.
import test from 'ava'
import { BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { Rollbacking } from '../../tc-core/wire/home.ts'
import { MAX_WAITING_FOR_HOMES } from '../../tc-core/wire/limits.ts'
import { Harness } from './harness.ts'
import { ask, holds, locked, lose, named, onTheWay, open, scripted, status } from './script.ts'

const request = (packet: { kind: string }) => packet.kind === 'request'
const answer = (packet: { kind: string }) => packet.kind === 'answer'

test('acknowledged only when the branch is in the log of the owner and the rows in the log of their home', (t) => {
  for (const ownerFirst of [true, false]) {
    const w = scripted()
    const x = open(w, 0)
    const register = x.register(['1'])
    w.pass(request)
    if (ownerFirst) w.write(0)
    w.pass(named('lockRows'))
    t.deepEqual(onTheWay(w), [])
    w.write(1)
    w.pass(named('lockResult'))
    if (!ownerFirst) t.false(w.net.some(answer))
    w.write(0)
    w.pass(answer)
    t.is(register.state, 'holds')
    t.is(locked(w, 1), 1)
    t.is(locked(w, 0), 0)
  }
})

test('rows of three homes: here with the branch, elsewhere all or none each, and all must confirm', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const register = x.register(['0', '1', '2', '4'])
  w.pass(request)
  t.deepEqual(onTheWay(w), ['lockRows', 'lockRows'])
  w.pass(named('lockRows'))
  w.write(1)
  w.pass(named('lockResult'))
  w.write(0)
  t.is(register.state, 'asked')
  t.false(w.net.some(answer))
  w.settle()
  t.is(register.state, 'holds')
  t.deepEqual(
    [0, 1, 2].map((fragment) => locked(w, fragment)),
    [1, 2, 1]
  )
  const branch = w.leader(0).core.state.sessions.get(x.xid)!.branches[0]!
  t.is(branch.lockKey, 't:0;t:1,4;t:2')
  t.deepEqual(branch.homes, [
    { home: 1, rows: 2 },
    { home: 2, rows: 1 }
  ])
})

test('a conflict with rows that have their home here is refused at once: no home is asked and nothing is logged', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const y = open(w, 0)
  holds(w, x, ['0'])
  const records = w.logs[0]!.records.length
  const register = y.register(['1', '0'])
  w.pass(request)
  t.deepEqual(onTheWay(w), [])
  w.settle()
  t.is(register.answer!.transactionExceptionCode, 2)
  t.is(w.logs[0]!.records.length, records)
})

test('a conflict at one home: refused with the holder, and the rows here and at the other home are free again', (t) => {
  const w = scripted()
  const x = open(w, 1)
  const y = open(w, 0)
  const holder = holds(w, x, ['2'])
  const register = y.register(['0', '1', '2'])
  w.settle()
  t.is(register.answer!.transactionExceptionCode, 2)
  t.regex(register.answer!.msg!, new RegExp(`Global lock on \\[t:2\\] is holding by xid ${x.xid} branchId ${holder}`))
  t.deepEqual(
    [0, 1, 2].map((fragment) => locked(w, fragment)),
    [0, 0, 1]
  )
  const session = w.leader(0).core.state.sessions.get(y.xid)!
  t.deepEqual(session.branches, [])
  t.deepEqual(session.debts, [])
  t.is(w.leader(0).core.rounds.waiting, 0)
})

test('a conflict with a transaction that rolls back fails fast, if the local transaction holds rows, at its home and at the asker alike', (t) => {
  const waits = '{"autoCommit":false}'
  for (const asker of [0, 2]) {
    const w = scripted()
    const x = open(w, 1)
    const y = open(w, asker)
    holds(w, x, ['2'])
    const code = (applicationData: string) => {
      const register = y.register(['2'], applicationData)
      w.settle((packet) => packet.kind !== 'call')
      return register.answer!.transactionExceptionCode
    }
    t.is(code(waits), 2)
    x.end('rollback')
    w.settle((packet) => packet.kind !== 'call')
    t.is(code(waits), 20)
    t.is(code(''), 2)
    w.leader(2).core.state.locks.owners.get(x.xid)!.rollbacking = false
    w.leader(2).input({ kind: 'between', from: 0, term: 1, message: { type: Rollbacking.code, xid: x.xid } })
    t.is(code(waits), 2, 'only its own fragment can say so')
    // Whoever leads the home next has not heard of it, and does not guess; asked once more, the owner says so.
    w.takeOver(2)
    t.is(code(waits), 2)
    t.is(code(waits), 20)
  }
})

test('a home that does not answer is asked again, and given up after its time: a code that RMs try again on', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const register = x.register(['0', '1', '2'])
  w.settle((packet) => !named('lockRows')(packet) || packet.to === 2)
  let asked = 0
  for (let ms = 0; ms < 4900; ms += 100) {
    asked += w.net.filter(named('lockRows')).length
    t.true(
      w.net.every((packet) => packet.to !== 2),
      'who has answered is not asked again'
    )
    lose(w, named('lockRows'))
    w.elapse(100)
  }
  t.is(asked, 6)
  t.is(register.state, 'asked')
  w.elapse(100)
  lose(w, named('lockRows'))
  w.settle((packet) => packet.to !== 1)
  t.is(register.answer!.transactionExceptionCode, 2)
  t.regex(register.answer!.msg!, /fragment 1 that guards some of the rows does not answer/)
  t.deepEqual(
    [0, 1, 2].map((fragment) => locked(w, fragment)),
    [0, 0, 0]
  )
  // It may have locked them all the same, so it is owed the word.
  t.is(w.leader(0).core.state.sessions.get(x.xid)!.debts.length, 1)
  w.settle()
  t.is(w.leader(0).core.state.sessions.get(x.xid)!.debts.length, 0)
})

test('a lost question or answer costs a moment, not the register', (t) => {
  for (const name of ['lockRows', 'lockResult']) {
    const w = scripted()
    const register = open(w, 0).register(['1'])
    w.settle((packet) => !named(name)(packet))
    lose(w, named(name))
    w.elapse(100)
    w.settle()
    t.is(register.state, 'holds', name)
    t.is(locked(w, 1), 1)
  }
})

test('a transaction that is decided while homes are asked: the register fails, and its branch is no part of it', (t) => {
  for (const how of ['commit', 'rollback', 'timeout'] as const) {
    const w = scripted()
    const x = open(w, 0, 1000)
    const register = x.register(['0', '1'])
    w.pass(request)
    w.write(0)
    if (how === 'timeout') w.elapse(1001)
    else x.end(how)
    w.settle((packet) => !named('lockRows')(packet))
    t.is(register.answer!.transactionExceptionCode, 11, how)
    w.settle()
    t.is(
      status(w, x),
      GlobalStatus[({ commit: 'Committed', rollback: 'Rollbacked', timeout: 'TimeoutRollbacked' } as const)[how]]
    )
    t.is(locked(w, 0), 0)
    w.rest()
    t.is(locked(w, 1), 0)
  }
})

test('only the first answer of a home counts', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const y = open(w, 2)
  holds(w, y, ['1'])
  const register = x.register(['1', '2'])
  // Asked twice: the first time there is a holder, the second time there is none; the answers come in the other order.
  w.settle((packet) => packet.to !== 2 && !named('lockResult')(packet))
  const conflict = w.net.find(named('lockResult'))!
  lose(w, named('lockResult'))
  y.end('commit')
  w.settle((packet) => packet.kind !== 'between' || packet.from !== 0)
  w.elapse(100)
  w.settle((packet) => packet.to !== 2)
  w.deliver(conflict)
  t.is(w.leader(0).core.rounds.waiting, 1)
  w.settle()
  t.is(register.state, 'holds')
})

test('a question that comes again is answered again, and logs nothing', (t) => {
  const w = scripted()
  open(w, 0).register(['1'])
  w.settle((packet) => packet.kind !== 'between')
  const question = w.net.find(named('lockRows'))!
  w.settle()
  const records = w.logs[1]!.records.length
  w.deliver(question)
  w.write(1)
  t.deepEqual(onTheWay(w), ['lockResult'])
  t.is(w.logs[1]!.records.length, records)
})

test("F3, F6: two branches of one transaction on one row: when one of them fails elsewhere, the row stays its other's", (t) => {
  for (const row of ['0', '1']) {
    const w = scripted()
    const x = open(w, 0)
    const y = open(w, 1)
    holds(w, y, ['2'])
    const fails = x.register([row, '2'])
    w.settle((packet) => packet.to !== 2)
    const second = x.register([row])
    w.settle((packet) => packet.to !== 2)
    t.is(second.state, 'holds')
    w.settle()
    t.is(fails.state, 'failed')
    t.is(locked(w, Number(row)), 1)
    const z = open(w, 2)
    const third = z.register([row])
    w.settle()
    t.regex(third.answer!.msg!, new RegExp(`holding by xid ${x.xid} branchId ${second.answer!.branchId}`))
  }
})

test('F3: where every row has its home here, a register is one step and one record, whatever the ring says', (t) => {
  const w = scripted()
  const x = open(w, 1)
  const records = w.logs[1]!.records.length
  const register = x.register(['1', '4', '7'])
  w.pass(request)
  t.deepEqual(onTheWay(w), [])
  w.settle()
  t.is(register.state, 'holds')
  t.is(w.logs[1]!.records.length, records + 1)
  t.is(w.leader(1).core.state.sessions.get(x.xid)!.branches[0]!.lockKey, 't:1,4,7')
})

test('limit: requests that wait for homes; one more is refused, and nothing of it is logged', (t) => {
  const h = new Harness({ homes: { of: () => 1 } })
  const xids = Array.from({ length: 10 }, () => h.begin())
  const ask = (n: number) =>
    h.request({
      type: 11,
      xid: xids[n % 10]!,
      branchType: BranchType.AT,
      resourceId: 'r',
      lockKey: `t:${n}`,
      applicationData: ''
    })
  for (let n = 0; n < MAX_WAITING_FOR_HOMES; n++) t.is(ask(n), undefined)
  t.is(ask(MAX_WAITING_FOR_HOMES)!.transactionExceptionCode, 18)
  t.is(h.state.sessions.get(xids[9]!)!.branches.length, MAX_WAITING_FOR_HOMES / 10)
  t.is(
    h.request({ type: 21, xid: '', branchType: 0, resourceId: 'r', lockKey: 't:1', applicationData: '' })!.resultCode,
    0
  )
  const again = { type: 11, xid: xids[1]!, branchType: 0, resourceId: 'r', lockKey: 't:x', applicationData: '' }
  const send = () => h.step({ kind: 'request', request: { client: h.client, message: again, identity: 9n } })
  h.rollback(xids[0]!)
  t.deepEqual(send(), [])
  for (let n = h.fragment.rounds.waiting; n < MAX_WAITING_FOR_HOMES; n++) t.deepEqual(send(), [])
  t.is(send()[0]!.transactionExceptionCode, 18, 'nor may the same request wait without end')
  h.rollback(xids[2]!)
  t.is(ask(MAX_WAITING_FOR_HOMES + 1), undefined)
})

test('limit: what homes are owed counts as branches do', (t) => {
  const h = new Harness({ homes: { of: () => 1 }, limits: { maxBranches: 3 } })
  const xid = h.begin()
  for (let n = 0; n < 3; n++) {
    h.request({ type: 11, xid, branchType: BranchType.AT, resourceId: 'r', lockKey: `t:${n}`, applicationData: '' })
    t.is(h.pass(5000).length, 1)
  }
  t.is(h.state.sessions.get(xid)!.branches.length, 0)
  t.regex(h.register(xid, BranchType.TCC).msg!, /it has 3 branches and that is the limit/)
  t.true(h.agrees)
})

test('limit: a lock key that is too large once it is ordered by homes', (t) => {
  const h = new Harness({ homes: { of: (_r, _t, pk) => 1 + Number(pk) } })
  const xid = h.begin()
  const refused = h.register(xid, BranchType.AT, { lockKey: `${'t'.repeat(100_000)}:0,1,2,3,4,5` })
  t.regex(refused.msg!, /600017 bytes are above the limit/)
})

test('a lock query asks every home of the rows, and is false when any of them is taken', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const y = open(w, 1)
  holds(w, y, ['2'])
  const lockable = (lockKey: string, xid: string) =>
    ask(w, 0, { type: 21, xid, branchType: BranchType.AT, resourceId: 'r', lockKey, applicationData: '' }).lockable
  t.true(lockable('t:0,1,4', x.xid))
  t.false(lockable('t:0,1,2', x.xid))
  t.false(lockable('t:2', ''))
  t.true(lockable('t:2,5,0', y.xid))
  t.is(w.leader(0).core.rounds.waiting, 0)
})

test('a lock query that a home does not answer fails after its time, with a code that RMs try again on', (t) => {
  const w = scripted()
  let code: number | undefined
  const query = { type: 21, xid: '', branchType: 0, resourceId: 'r', lockKey: 't:1', applicationData: '' }
  w.clients.ask(0, query, '', (answer) => {
    code = answer.transactionExceptionCode
  })
  w.pass(request)
  for (let ms = 0; ms < 5000; ms += 500) {
    lose(w, named('lockQuery'))
    w.elapse(500)
  }
  w.settle()
  t.is(code, 2)
  t.is(w.leader(0).core.timers.size, 0)
})
