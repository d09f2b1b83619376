// A register that comes again while or after its homes are asked: a branch that may have been acknowledged is never taken back by guess.
import test from 'ava'
import { holds, locked, lose, named, onTheWay, open, scripted } from './script.ts'

const request = (packet: { kind: string }) => packet.kind === 'request'
const answer = (packet: { kind: string }) => packet.kind === 'answer'

test('a new leader keeps what may have been acknowledged: the same request gets the same branch when the homes have confirmed', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const register = x.register(['1', '2'])
  w.settle((packet) => packet.kind !== 'answer')
  const branches = () =>
    w
      .leader(0)
      .core.state.sessions.get(x.xid)!
      .branches.map(({ branchId }) => branchId)
  const before = branches()
  lose(w, answer)
  w.takeOver(0)
  w.clients.askAgain(register.ask)
  w.pass(request)
  t.deepEqual(onTheWay(w), ['lockRows', 'lockRows'])
  w.settle()
  t.is(register.state, 'holds')
  t.deepEqual([register.answer!.branchId!], before)
  t.deepEqual(branches(), before)
})

test('the same request while its homes are asked: one branch, one question, and both sendings are answered', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const register = x.register(['1'])
  w.clients.askAgain(register.ask)
  w.pass(request)
  w.pass(request)
  t.deepEqual(onTheWay(w), ['lockRows'])
  t.is(w.leader(0).core.rounds.waiting, 2)
  t.is([...w.leader(0).core.unanswered()].length, 2)
  w.settle((packet) => packet.kind !== 'answer')
  t.is(w.net.filter(answer).length, 2)
  t.is(w.leader(0).core.rounds.waiting, 0)
})

test('the same request again, and a home is silent: the request fails, the branch stays, for it may have been acknowledged', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const register = x.register(['1'])
  w.settle((packet) => packet.kind !== 'answer')
  lose(w, answer)
  w.takeOver(0)
  w.clients.askAgain(register.ask)
  w.pass(request)
  for (let ms = 0; ms < 5000; ms += 500) {
    lose(w, named('lockRows'))
    w.elapse(500)
  }
  w.settle()
  t.is(register.state, 'failed')
  t.is(w.leader(0).core.state.sessions.get(x.xid)!.branches.length, 1)
  t.is(locked(w, 1), 1)
  x.end('rollback')
  w.settle()
  t.is(locked(w, 1), 0)
})

test('the same request again, and a home has given the rows to another: nobody was told that the branch has them, so it goes', (t) => {
  const w = scripted()
  const x = open(w, 0)
  const y = open(w, 2)
  const register = x.register(['1'])
  w.pass(request)
  lose(w, named('lockRows'))
  w.write(0)
  holds(w, y, ['1'])
  w.takeOver(0)
  w.clients.askAgain(register.ask)
  w.settle()
  t.is(register.answer!.transactionExceptionCode, 2)
  t.is(w.leader(0).core.state.sessions.get(x.xid)!.branches.length, 0)
})

test("an answer to an earlier round, or to an earlier leader's, is not taken for one to this", (t) => {
  const w = scripted()
  const x = open(w, 0)
  const y = open(w, 2)
  holds(w, y, ['1'])
  const register = x.register(['1'])
  // The first question meets the holder; its answer is slow. The second comes when the rows are free.
  w.settle((packet) => !named('lockResult')(packet) && packet.kind !== 'answer')
  const conflict = w.net.find(named('lockResult'))!
  lose(w, named('lockResult'))
  y.end('commit')
  w.settle()
  w.elapse(100)
  w.settle((packet) => packet.kind !== 'answer')
  lose(w, answer)
  for (const leads of ['still', 'newly']) {
    if (leads === 'newly') w.takeOver(0)
    w.clients.askAgain(register.ask)
    w.pass(request)
    w.deliver(conflict)
    w.settle((packet) => packet.kind !== 'answer')
    t.is(w.leader(0).core.state.sessions.get(x.xid)!.branches.length, 1, leads)
    if (leads === 'still') lose(w, answer)
  }
  w.settle()
  t.is(register.state, 'holds')
})
