// Locks that nobody needs are found and freed, those that somebody needs stay, and the looking is bounded.
import test from 'ava'
import { Outputs } from '../../tc-core/core/outputs.ts'
import { LockRows } from '../../tc-core/wire/home.ts'
import { Harness } from './harness.ts'
import { holds, locked, named, onTheWay, open, scripted } from './script.ts'
import type { World } from './world-of-fragments.ts'

/** A lock request that comes when its branch is long gone. */
function leaveOrphan(w: World): void {
  const x = open(w, 0)
  x.register(['1'])
  w.settle((packet) => !named('lockRows')(packet))
  const late = w.net.find(named('lockRows'))!
  w.settle()
  x.end('commit')
  w.settle()
  w.deliver(late)
  w.settle()
}

test('a lock that came back late and blocks somebody is asked about when it is a second old, and freed', (t) => {
  const w = scripted()
  leaveOrphan(w)
  t.is(locked(w, 1), 1)
  const y = open(w, 2)
  const tries = () => {
    const register = y.register(['1'])
    w.settle((packet) => !named('branchNeeded')(packet))
    return register.state
  }
  w.elapse(999)
  t.is(tries(), 'failed')
  t.deepEqual(onTheWay(w), [])
  w.elapse(1)
  t.is(tries(), 'failed')
  t.deepEqual(onTheWay(w), ['branchNeeded'])
  t.is(tries(), 'failed')
  t.deepEqual(onTheWay(w), ['branchNeeded'], 'once a second is enough')
  w.settle()
  t.is(locked(w, 1), 0)
  t.is(tries(), 'holds')
})

test('who is blocked at home or only asks whether it would be finds such a lock as well', (t) => {
  for (const fragment of [1, 2]) {
    const w = scripted()
    leaveOrphan(w)
    w.elapse(1000)
    const query = { type: 21, xid: '', branchType: 0, resourceId: 'r', lockKey: 't:1', applicationData: '' }
    const answers: (boolean | undefined)[] = []
    for (let n = 0; n < 2; n++) {
      w.clients.ask(fragment, query, '', (answer) => answers.push(answer.lockable))
      w.settle()
    }
    t.deepEqual(answers, [false, true])
  }
})

test('a lock that blocks nobody is found by the slow round', (t) => {
  const w = scripted()
  leaveOrphan(w)
  for (let ms = 0; ms < 9000; ms += 1000) {
    w.elapse(1000)
    t.deepEqual(onTheWay(w), [])
  }
  w.elapse(2000)
  w.settle()
  t.is(locked(w, 1), 0)
  w.elapse(2000)
  t.is(w.leader(1).core.timers.size, 0, 'the round rests when there is nothing to look at')
})

test('a lock that is needed stays, however often it is asked about, and over changes of leaders', (t) => {
  const w = scripted()
  const x = open(w, 0)
  holds(w, x, ['1'])
  for (let n = 0; n < 55; n++) {
    if (n % 10 === 5) w.takeOver(n % 20 === 5 ? 0 : 1)
    w.elapse(1000)
    w.settle()
  }
  t.is(locked(w, 1), 1)
  w.elapse(6000)
  w.settle()
  t.is(locked(w, 1), 0, 'its transaction has timed out')
})

test('a register under way is needed: its lock is not freed by a question', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const register = x.register(['1', '2'])
  w.settle((packet) => packet.to !== 2)
  w.takeOver(1)
  open(w, 2).register(['1'])
  w.settle((packet) => packet.to !== 2)
  t.is(locked(w, 1), 1)
  w.settle()
  t.is(register.state, 'holds')
})

test('the answer of a leader that was deposed does not leave, and what it said before is not heard once its successor was', (t) => {
  const w = scripted()
  const old = w.leader(0)
  w.takeOver(0)
  const x = open(w, 0)
  const branchId = holds(w, x, ['1'])
  const { xid } = x
  old.input({ kind: 'between', from: 1, term: 1, message: { type: 6, xid, branchId } })
  t.deepEqual(onTheWay(w), [])
  old.land()
  t.false(w.leaders.includes(old))
  const no = { type: 7, xid, branchId, needed: false, rollbacking: false } as const
  w.leader(1).input({ kind: 'between', from: 0, term: 1, message: no })
  t.is(locked(w, 1), 1)
  w.leader(1).input({ kind: 'between', from: 2, term: 9, message: no })
  t.is(locked(w, 1), 1, 'nor is another fragment’s word')
  w.leader(1).input({ kind: 'between', from: 0, term: 2, message: no })
  t.is(locked(w, 1), 0)
})

test('limit: one look of the slow round takes in 256 transactions', (t) => {
  const h = new Harness()
  const lock = (n: number) =>
    h.step({
      kind: 'between',
      from: 1,
      term: 1,
      message: {
        type: LockRows.code,
        term: 1,
        round: n,
        xid: `h:1:${n}`,
        branchId: BigInt(n),
        resourceId: 'r',
        lockKey: `t:${n}`
      }
    })
  for (let n = 1; n <= 600; n++) lock(n)
  const asked: number[] = []
  h.now += 20_000
  for (let n = 0; n < 4; n++) {
    const out = new Outputs()
    h.fragment.step(h.now, { kind: 'tick' }, out)
    asked.push(out.sends.length)
    h.now += 1000
  }
  t.deepEqual(asked, [256, 256, 88, 0])
  t.true(h.agrees)
})

test('a fragment that nobody else’s transactions lock rows in looks at nothing', (t) => {
  const h = new Harness()
  h.at(h.begin(), 't:1')
  h.restart()
  t.is(h.fragment.timers.size, 1, 'the timeout of the transaction')
})
