// The way from a leader to an RM: which gateway a call goes to, and what its outcome is when gateways come, go, and answer late.
import test from 'ava'
import { RmDirectory } from '../../tc-core/host/rm-directory.ts'
import type { BranchCall, CallOutcome } from '../../tc-core/wire/link.ts'
import { Call, type LinkFrame } from '../../tc-core/wire/link-frames.ts'
import type { MessageOf } from '../../tc-core/wire/message.ts'

class FakeGateway {
  readonly calls: MessageOf<typeof Call>[] = []

  send(frame: LinkFrame): void {
    if (frame.type === Call.code) this.calls.push(frame)
  }

  get last(): MessageOf<typeof Call> {
    return this.calls.at(-1)!
  }
}

const branch: BranchCall = {
  id: 900,
  kind: 'commit',
  xid: '1.1.1.1:8091:5',
  branchId: 7n,
  branchType: 0,
  resourceId: 'db',
  clientId: 'shop:10.0.0.1:5000',
  applicationData: '{"a":1}',
  anyApplication: false,
  timeout: 1000
}

function start() {
  const time = { now: 0 }
  const directory = new RmDirectory(() => time.now)
  const outcomes: CallOutcome[] = []
  const call = (more: Partial<BranchCall> = {}) =>
    directory.call({ ...branch, ...more }, (outcome) => void outcomes.push(outcome))
  return { time, directory, outcomes, call, a: new FakeGateway(), b: new FakeGateway(), c: new FakeGateway() }
}

test('a call goes out as it is, under a number of the directory, and its outcome comes back', (t) => {
  const { directory, outcomes, call, a } = start()
  directory.serves(a, branch.clientId, ['db'])
  call()
  call({ kind: 'rollback' })
  t.like(a.calls[0], { ...branch, type: Call.code, kind: 0, id: a.calls[0]!.id })
  t.is(a.calls[1]!.kind, 1)
  t.not(a.calls[0]!.id, a.calls[1]!.id)
  directory.called(a, a.calls[1]!.id, 8)
  directory.called(a, a.calls[0]!.id, -1)
  t.deepEqual(outcomes, [8, 'not-connected'])
  t.is(directory.size, 0)
})

test('a connection that serves nothing any more, for its gateway is about to end, is passed by: also by its own branches', (t) => {
  const { directory, outcomes, call, a, b } = start()
  directory.serves(a, branch.clientId, ['db', 'other'])
  directory.serves(b, 'shop:10.0.0.1:6000', ['db'])
  directory.drops(a, branch.clientId, ['other'])
  call()
  t.deepEqual([a.calls.length, b.calls.length], [1, 0])
  directory.drops(a, branch.clientId, ['db'])
  call()
  t.deepEqual([a.calls.length, b.calls.length], [1, 1])
  t.deepEqual(outcomes, [])
})

test('a gateway that no longer reaches the RM: the call goes to one that does, once, with what was left of its time', (t) => {
  const { time, directory, outcomes, call, a, b } = start()
  directory.serves(a, branch.clientId, ['db'])
  directory.serves(b, 'shop:10.0.0.1:6000', ['db'])
  call()
  t.is(a.calls.length, 1)
  // What a says of itself was on its way when it was called.
  directory.drops(a, branch.clientId, ['db'])
  directory.called(a, a.last.id, -1)
  t.deepEqual(outcomes, [])
  t.like(b.last, { xid: branch.xid, branchId: branch.branchId, kind: 0 })
  directory.called(a, b.last.id, 6)
  t.deepEqual(outcomes, [], 'a was asked before, and has no say now')
  directory.called(b, b.last.id, 5)
  t.deepEqual(outcomes, [5])
  // Nobody has it: it is told, and does not go in circles.
  call()
  directory.serves(a, branch.clientId, ['db'])
  directory.called(b, b.last.id, -1)
  directory.gone(a, branch.clientId)
  directory.called(a, a.last.id, -1)
  t.deepEqual(outcomes, [5, 'not-connected'])
  // A time that was up meanwhile starts no new one.
  call()
  directory.serves(a, branch.clientId, ['db'])
  time.now = 900
  directory.called(b, b.last.id, -1)
  time.now = 1000
  directory.sweep()
  t.is(directory.size, 0)
})

test("the gateway is chosen in Java's order: the connection, its host, its application, and any where that will do", (t) => {
  const { directory, outcomes, call, a, b, c } = start()
  directory.serves(a, 'bank:10.0.0.1:1', ['db'])
  call()
  t.deepEqual(outcomes, ['not-connected'])
  call({ anyApplication: true })
  t.is(a.calls.length, 1)
  directory.serves(b, 'shop:10.0.0.2:1', ['db'])
  call({ anyApplication: true })
  t.is(b.calls.length, 1)
  directory.serves(c, 'shop:10.0.0.1:1', ['db'])
  call({ anyApplication: true })
  t.is(c.calls.length, 1)
  directory.serves(a, branch.clientId, ['another'])
  call()
  t.is(a.calls.length, 2)
  directory.serves(b, 'shopping:10.0.0.1:9', ['db'])
  call({ clientId: 'shop:10.0.0.9:1' })
  t.is(b.calls.length + c.calls.length, 3, 'an application that only begins with the same letters is another')
})

test('connections that are equally near take turns', (t) => {
  const { directory, call, a, b } = start()
  directory.serves(a, 'shop:10.0.0.3:1', ['db'])
  directory.serves(b, 'shop:10.0.0.4:1', ['db'])
  for (let i = 0; i < 10; i++) call()
  t.deepEqual([a.calls.length, b.calls.length], [5, 5])
})

test('a resource that an RM serves no more is not looked for there', (t) => {
  const { directory, outcomes, call, a } = start()
  directory.serves(a, 'shop:10.0.0.3:1', ['db', 'other'])
  directory.drops(a, 'shop:10.0.0.3:1', ['db'])
  call()
  t.deepEqual(outcomes, ['not-connected'])
  call({ resourceId: 'other' })
  t.is(a.calls.length, 1)
})

test('a client that moved is called over its new gateway, and what the old one still says of it does not count', (t) => {
  const { directory, outcomes, call, a, b } = start()
  directory.serves(a, branch.clientId, ['db', 'old'])
  directory.serves(b, branch.clientId, ['db'])
  directory.drops(a, branch.clientId, ['db'])
  directory.gone(a, branch.clientId)
  call()
  call({ clientId: 'shop:10.0.0.8:1' })
  t.deepEqual([a.calls.length, b.calls.length], [0, 2])
  call({ clientId: 'shop:10.0.0.8:1', resourceId: 'old' })
  t.deepEqual(outcomes, ['not-connected'], 'what it served over the old gateway it need not serve now')
  directory.gatewayGone(a)
  call()
  t.is(b.calls.length, 3)
})

test('a gateway that is gone: nobody knows what became of its calls, and no more go there', (t) => {
  const { directory, outcomes, call, a, b } = start()
  directory.serves(a, branch.clientId, ['db'])
  directory.serves(b, 'shop:10.0.0.2:1', ['db'])
  call()
  call()
  call({ clientId: 'shop:10.0.0.2:1' })
  directory.gatewayGone(a)
  t.deepEqual(outcomes, ['no-answer', 'no-answer'])
  t.is(directory.size, 1)
  directory.called(a, a.last.id, 8)
  t.is(outcomes.length, 2)
  call()
  t.is(b.calls.length, 2)
  directory.gatewayGone(b)
  call()
  t.deepEqual(outcomes.slice(2), ['no-answer', 'no-answer', 'not-connected'])
})

test('words of a link that is gone already come late: they go with it, and what the new link said stays', (t) => {
  const { directory, outcomes, call, a, b } = start()
  const [old, now] = [a, b]
  directory.serves(now, branch.clientId, ['db', 'other'])
  directory.serves(old, branch.clientId, ['db'])
  directory.gatewayGone(old)
  call()
  call({ clientId: 'shop:10.0.0.9:1' })
  call({ clientId: 'shop:10.0.0.9:1', resourceId: 'other' })
  t.is(now.calls.length, 3)
  directory.gatewayGone(now)
  call()
  call({ clientId: 'shop:10.0.0.9:1', anyApplication: true })
  t.deepEqual(outcomes.slice(-2), ['not-connected', 'not-connected'])
})

test('a call that is made because another ended is taken up, also while a gateway goes', (t) => {
  const { directory, a, b } = start()
  directory.serves(a, branch.clientId, ['db'])
  directory.serves(b, 'shop:10.0.0.2:1', ['db'])
  const outcomes: CallOutcome[] = []
  directory.call(branch, () => directory.call(branch, (outcome) => void outcomes.push(outcome)))
  directory.gatewayGone(a)
  t.is(b.calls.length, 1)
  directory.called(b, b.last.id, 6)
  t.deepEqual(outcomes, [6])
})

test('an outcome counts once, and only from the gateway that was asked', (t) => {
  const { directory, outcomes, call, a, b } = start()
  directory.serves(a, branch.clientId, ['db'])
  call()
  directory.called(b, a.last.id, 9)
  t.deepEqual(outcomes, [])
  directory.called(a, a.last.id, 8)
  directory.called(a, a.last.id, 9)
  directory.called(a, 12345, 9)
  t.deepEqual(outcomes, [8])
})

test('a failure that this version does not know is no answer', (t) => {
  const { directory, outcomes, call, a } = start()
  directory.serves(a, branch.clientId, ['db'])
  call()
  directory.called(a, a.last.id, -77)
  t.deepEqual(outcomes, ['no-answer'])
})

test('limit: a call is forgotten when its time is up, and who answers then is not heard', (t) => {
  const { time, directory, outcomes, call, a } = start()
  directory.serves(a, branch.clientId, ['db'])
  call({ timeout: 1000 })
  call({ timeout: 2000 })
  time.now = 999
  directory.sweep()
  t.is(directory.size, 2)
  time.now = 1000
  directory.sweep()
  t.is(directory.size, 1)
  directory.called(a, a.calls[0]!.id, 8)
  directory.called(a, a.calls[1]!.id, 9)
  t.deepEqual(outcomes, [9])
})
