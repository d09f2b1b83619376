// One replica by hand: what it takes in from its leader while it reads, and when it leaves the lead to another.
import test from 'ava'
import { DEFAULT_SETTINGS } from '../../tc-core/core/fragment.ts'
import { FragmentHost } from '../../tc-core/host/fragment-host.ts'
import { DEFAULT_SNAPSHOTS } from '../../tc-core/host/node.ts'
import { MemoryData } from '../../tc-core/storage/memory.ts'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { DEFAULT_LIMITS } from '../../tc-core/wire/limits.ts'
import { writeBody } from '../../tc-core/wire/messages/index.ts'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import { clientOf } from '../core/harness.ts'
import { controlled, eventually, recordingLog } from './harness.ts'

type T = { teardown(then: () => unknown): void }

/** Replicas of one fragment over one store. Every operation goes through `before`. */
function world(t: T) {
  const data = new MemoryData()
  const pushed: Buffer[] = []
  let readings = 0
  const control: { before: (node: string, kind: string) => Promise<void> | void } = { before: () => {} }
  const replica = (node: string): FragmentHost => {
    const storage = controlled(data, {
      before: (kind) => {
        if (kind === 'getMany') readings++
        return control.before(node, kind)
      }
    })
    const host = new FragmentHost({
      cluster: 'test',
      fragment: 0,
      node,
      writer: BigInt(node.charCodeAt(0)),
      window: 2,
      inflight: 1,
      storage,
      settings: { ...DEFAULT_SETTINGS, limits: DEFAULT_LIMITS },
      snapshots: DEFAULT_SNAPSHOTS,
      clock: systemRuntime,
      logger: recordingLog(),
      downstream: () => null,
      between: () => {},
      whenDeposed: 'follow',
      changed: () => {},
      confirmed: (bytes) => void pushed.push(bytes)
    })
    t.teardown(() => host.stop(0))
    return host
  }
  return { data, pushed, control, replica, count: () => readings }
}

let lastId = 0

/** A begin, confirmed: one record more. */
async function write(host: FragmentHost): Promise<void> {
  const w = new Writer()
  writeBody(w, { type: 1, timeout: 60_000, transactionName: 'x' } as never, { version: 1, shortMsg: false })
  const answered = await new Promise((resolve) =>
    host.request({
      client: clientOf('2.6.0'),
      fragment: 0,
      dialect: { version: 1, shortMsg: false },
      codec: 1,
      bytes: Buffer.from(w.written),
      start: 0,
      end: w.pos,
      proposed: `127.0.0.1:8091:${++lastId}`,
      identity: 0n,
      again: false,
      waited: 0,
      keep: () => {},
      answer: () => resolve('answered'),
      refuse: resolve
    })
  )
  if (answered !== 'answered') throw new Error(`the begin was refused: ${answered}`)
}

async function pair(t: T) {
  const w = world(t)
  const [leader, follower] = [w.replica('a'), w.replica('b')]
  await leader.start()
  await follower.follow()
  t.teardown(() => leader.stop(0))
  return { ...w, leader, follower }
}

test('a record that comes over a link is taken in its turn: once, and none before it is missing', async (t) => {
  const { leader, follower, pushed, count } = await pair(t)
  await write(leader)
  await write(leader)
  const [first, second] = pushed.slice(-2) as [Buffer, Buffer]
  const before = count()
  t.false(follower.appended(second), 'the first is missing')
  t.true(follower.appended(first))
  t.true(follower.appended(first), 'nothing is missing when it comes again')
  t.true(follower.appended(second))
  t.is(follower.index, leader.index)
  t.is(follower.hash, leader.hash)
  t.is(count(), before, 'without a reading')
})

test('records that come during a reading are taken when it ends: what it just missed need not be read', async (t) => {
  const { leader, follower, pushed, control, count } = await pair(t)
  const [before, readings] = [pushed.length, count()]
  let answer: (() => void) | null = null
  // The records were looked for before they were there; the reading ends later.
  control.before = (node, kind) =>
    node === 'b' && kind === 'read' ? new Promise((resolve) => void (answer = resolve)) : undefined
  const reading = follower.readOn()
  await eventually(() => answer !== null)
  for (let i = 0; i < 3; i++) {
    await write(leader)
    for (let n = 0; n < 2; n++) t.true(follower.appended(Buffer.from(pushed[before + i]!)))
  }
  t.true(follower.index < leader.index)
  answer!()
  await reading
  t.is(follower.index, leader.index)
  t.is(follower.hash, leader.hash)
  t.is(count(), readings + 1)
})

test('who was about to claim the lead leaves it to who claimed it a moment ago', async (t) => {
  const { leader, follower, control, replica } = await pair(t)
  const third = replica('c')
  await third.follow()
  await leader.handOver(1000, null)
  let other: Promise<boolean> | null = null
  control.before = async (node, kind) => {
    if (node !== 'c' || kind !== 'getMany' || other) return
    other = follower.lead()
    await other
  }
  t.false(await third.lead())
  t.true(await other!)
  t.is(follower.role, 'leader')
  t.is(third.role, 'follower')
  t.is(third.term, follower.term)
  t.is(third.lastLeader, 'b')
  t.true(await third.lead(), 'but when it is decided again, it may')
  await eventually(() => third.role === 'leader')
  follower.verify()
  await eventually(() => follower.role === 'follower')
})

test('R6: the lead is passed on in the log: the heir leads without a claim, and who passed it on follows without reading anew', async (t) => {
  const { data, leader, follower, pushed, count } = await pair(t)
  await write(leader)
  for (const bytes of pushed) follower.appended(Buffer.from(bytes))
  const [readings, begun, last] = [count(), pushed.length, leader.index]
  const stranger = { node: 'b', writer: 99n }
  const index = await leader.handOver(1000, { node: 'b', writer: BigInt('b'.charCodeAt(0)) })
  t.is(index, last + 1)
  t.is(leader.role, 'follower')
  t.is(leader.lastLeader, 'b')
  t.false(await follower.takeOver(index + 1), 'only with the record that says so')
  for (const bytes of pushed.slice(begun)) follower.appended(Buffer.from(bytes))
  t.true(await follower.takeOver(index))
  t.is(follower.role, 'leader')
  t.is(follower.index, index, 'nothing was written besides')
  t.is(count() - readings, 1, 'the one that found nothing')
  t.is(follower.hash, leader.hash)
  await write(follower)
  for (const bytes of pushed) leader.appended(Buffer.from(bytes))
  t.is(leader.hash, follower.hash)
  t.is([...data.values.keys()].filter((key) => key.includes(':e:')).length, follower.index)
  // A process of the same name that was started anew is another one.
  const passed = await follower.handOver(1000, stranger)
  for (const bytes of pushed) leader.appended(Buffer.from(bytes))
  t.is(leader.index, passed)
  t.false(await leader.takeOver(passed))
})

test('a leader that is deposed reads on as a follower and has the same state as the new one', async (t) => {
  const { leader, follower } = await pair(t)
  await write(leader)
  t.true(await follower.lead())
  await write(follower)
  leader.verify()
  await eventually(() => leader.role === 'follower')
  await leader.readOn()
  t.is(leader.index, follower.index)
  t.is(leader.hash, follower.hash)
  t.is(leader.lastLeader, 'b')
})

test('a claim that hung and was given up does not touch the state that was read anew', async (t) => {
  const { control, replica } = world(t)
  const [a, b, c] = [replica('a'), replica('b'), replica('c')]
  await a.start()
  await write(a)
  await b.follow()
  let goOn = () => {}
  const hung = new Promise<void>((resolve) => (goOn = resolve))
  let isHanging = false
  control.before = (node, kind) => {
    if (node !== 'b' || kind !== 'get' || isHanging) return
    isHanging = true
    return hung
  }
  const claimed = b.lead()
  await eventually(() => isHanging)
  await b.follow()
  goOn()
  t.false(await claimed)
  await c.follow()
  t.is(b.index, c.index)
  t.is(b.hash, c.hash)
})
