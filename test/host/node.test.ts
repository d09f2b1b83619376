// A node: durable before answered, group commit, restarts, snapshots, and what happens when the store fails.
import test from 'ava'
import { Keys } from '../../tc-core/replication/keys.ts'
import { MemoryData, openMemory } from '../../tc-core/storage/memory.ts'
import { StorageError } from '../../tc-core/storage/port.ts'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { controlled, eventually, gate, type Message, NodeHarness } from './harness.ts'

const keys = new Keys('test', 0)
const entries = (data: MemoryData) => [...data.values.keys()].filter((key) => key.includes(':e:')).length

function tcc(xid: string): Message {
  return { type: 11, xid, branchType: BranchType.TCC, resourceId: 'r', lockKey: '', applicationData: '' }
}

// What Seata's servers among themselves count as a majority is here a write that the store has confirmed.
test('R1: no answer and no phase-two call leaves before its record is confirmed', async (t) => {
  const appends = gate()
  const storage = controlled(new MemoryData(), {
    before: (kind) => (kind === 'setIfAbsent' ? appends.pass() : undefined)
  })
  const h = new NodeHarness({ storage })
  await h.node.start()
  const xid = await h.begin()
  await h.request(tcc(xid))
  appends.close()
  let begun = false
  const second = h.begin().then(() => (begun = true))
  const committed = h.request({ type: 7, xid, extraData: '' })
  await eventually(() => appends.waiting > 0)
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  t.false(begun)
  t.is(h.calls.length, 0)
  appends.open()
  await second
  await eventually(() => h.calls.length === 1)
  h.calls[0]!.done(BranchStatus.PhaseTwo_Committed)
  t.is(((await committed) as Message).globalStatus, GlobalStatus.Committed)
  await h.node.stop(1000)
})

test('the end of a transaction is answered without a record of its own, and is in the log a moment later all the same', async (t) => {
  const data = new MemoryData()
  const h = new NodeHarness({ storage: openMemory(data) })
  await h.node.start()
  const xid = await h.begin()
  await h.request(tcc(xid))
  const committed = h.request({ type: 7, xid, extraData: '' })
  await eventually(() => h.calls.length === 1)
  const before = entries(data)
  h.calls[0]!.done(BranchStatus.PhaseTwo_Committed)
  t.is(((await committed) as Message).globalStatus, GlobalStatus.Committed)
  t.is(entries(data), before)
  await eventually(() => entries(data) > before)
  t.is(entries(data), before + 1)
  await h.node.stop(1000)
})

test('group commit: requests of one turn share a record, and more gather while appends are on the way', async (t) => {
  const data = new MemoryData()
  const h = new NodeHarness({ storage: openMemory(data) })
  await h.node.start()
  const before = entries(data)
  await Promise.all(Array.from({ length: 500 }, () => h.begin()))
  t.true(entries(data) - before <= 3, `${entries(data) - before} records for 500 begins`)
  await h.node.stop(1000)
})

test('a restart finds everything that was acknowledged, from the log and from a snapshot', async (t) => {
  const data = new MemoryData()
  const snapshots = { records: 20 }
  const open: string[] = []
  const committed: string[] = []
  for (let round = 0; round < 5; round++) {
    const h = new NodeHarness({ storage: openMemory(data), snapshots })
    await h.node.start()
    for (const xid of open) t.is(await h.status(xid), GlobalStatus.Begin)
    for (const xid of committed) t.is(await h.status(xid), GlobalStatus.Committed)
    for (let i = 0; i < 15; i++) {
      open.push(await h.begin())
      const xid = await h.begin()
      await h.request({ type: 7, xid, extraData: '' })
      committed.push(xid)
    }
    await h.node.stop(1000)
  }
  t.true([...data.values.keys()].some((key) => key.includes(':s:')))
  t.true(entries(data) < 100, `${entries(data)} records are left`)
})

test('a snapshot is taken while requests go on, and the log below it is trimmed', async (t) => {
  const data = new MemoryData()
  const h = new NodeHarness({ storage: openMemory(data), snapshots: { records: 50 } })
  await h.node.start()
  const xids: string[] = []
  for (let i = 0; i < 300; i++) xids.push(await h.begin())
  await eventually(() => h.node.health.fragments[0]!.snapshotIndex > 100 && entries(data) < 120)
  await h.node.stop(1000)
  const again = new NodeHarness({ storage: openMemory(data) })
  await again.node.start()
  for (const xid of xids) t.is(await again.status(xid), GlobalStatus.Begin)
  await again.node.stop(1000)
})

test('the store fails: nothing is answered with success, health says why, requests are refused, and all goes on when it is back', async (t) => {
  let broken = false
  const storage = controlled(new MemoryData(), {
    before: () => {
      if (broken) throw new StorageError('no space left on device')
    }
  })
  const h = new NodeHarness({ storage })
  await h.node.start()
  const xid = await h.begin()
  t.true(h.node.health.ok)
  broken = true
  const inFlight = h.request({ type: 7, xid, extraData: '' })
  await eventually(() => !h.node.health.ok)
  t.is(h.node.health.fragments[0]!.trouble, 'no space left on device')
  t.is(await h.request({ type: 1, timeout: 1000, transactionName: 'x' }), 'unavailable')
  t.true(h.log.lines.some((line) => line.level === 'error' && line.text.includes('the store fails')))
  broken = false
  t.is(((await inFlight) as Message).globalStatus, GlobalStatus.Committed)
  await eventually(() => h.node.health.ok)
  t.deepEqual(h.serving.slice(-2), [false, true])
  t.is(await h.status(xid), GlobalStatus.Committed)
  await h.node.stop(1000)
})

test('a store that hangs is trouble after a second: requests are kept back until it goes on', async (t) => {
  const appends = gate()
  const storage = controlled(new MemoryData(), {
    before: (kind) => (kind === 'setIfAbsent' ? appends.pass() : undefined)
  })
  const h = new NodeHarness({ storage })
  await h.node.start()
  appends.close()
  const begun = h.begin()
  await eventually(() => !h.node.serves(0))
  t.regex(h.node.health.fragments[0]!.trouble!, /does not confirm/)
  t.is(await h.request({ type: 1, timeout: 1000, transactionName: 'x' }), 'unavailable')
  appends.open()
  await begun
  t.true(h.node.serves(0))
  await h.node.stop(1000)
})

test('R13: who has waited at a gateway is told of a log that stands still when its own time is over; others, and who waits for an RM, wait on', async (t) => {
  const appends = gate()
  const storage = controlled(new MemoryData(), {
    before: (kind) => (kind === 'setIfAbsent' ? appends.pass() : undefined)
  })
  const h = new NodeHarness({ storage })
  await h.node.start()
  const xid = await h.begin()
  await h.request(tcc(xid))
  const committing = h.request({ type: 7, xid, extraData: '' }, { waited: 5_000 })
  await eventually(() => h.calls.length === 1)
  for (const until = performance.now() + 150; performance.now() < until; ) await h.begin()
  h.calls[0]!.done(BranchStatus.PhaseTwo_Committed)
  t.like(await committing, { globalStatus: GlobalStatus.Committed })

  appends.close()
  const begin = { type: 1, timeout: 60_000, transactionName: 'x' }
  const open = new Set(['late', 'fresh'])
  const fresh = h.request(begin).finally(() => open.delete('fresh'))
  const late = h.request(begin, { waited: 4_900 }).finally(() => open.delete('late'))
  t.regex(((await late) as Message).msg, /the store does not answer/)
  t.deepEqual([...open], ['fresh'])
  appends.open()
  t.like(await fresh, { resultCode: 1 })
  await h.node.stop(1000)
})

test('R10: a damaged record stops the fragment, health names its key, and it serves again when the record is mended', async (t) => {
  const data = new MemoryData()
  const first = new NodeHarness({ storage: openMemory(data) })
  await first.node.start()
  const xid = await first.begin()
  await first.node.stop(1000)
  const key = keys.entry(3)
  const good = data.values.get(key)!
  const bad = Buffer.from(good)
  bad[bad.length >> 1]! ^= 4
  data.values.set(key, bad)
  const h = new NodeHarness({ storage: openMemory(data) })
  await h.node.start()
  t.false(h.node.health.ok)
  t.true(h.node.health.fragments[0]!.trouble!.includes(key))
  t.is(h.node.health.fragments[0]!.role, 'stopped')
  t.is(await h.request({ type: 15, xid, extraData: '' }), 'unavailable')
  data.values.set(key, good)
  await eventually(() => h.node.health.ok)
  t.is(await h.status(xid), GlobalStatus.Begin)
  await h.node.stop(1000)
})

test('two processes on one store: the second takes the lead, the first stops at once and acknowledges nothing more', async (t) => {
  const data = new MemoryData()
  const first = new NodeHarness({ storage: openMemory(data) })
  await first.node.start()
  const kept = await first.begin()
  const second = new NodeHarness({ storage: openMemory(data) })
  await second.node.start()
  t.is(await second.status(kept), GlobalStatus.Begin)
  const lost = await Promise.all([
    first.request({ type: 1, timeout: 1000, transactionName: 'x' }, { xid: '127.0.0.1:8091:777' }),
    first.request({ type: 7, xid: kept, extraData: '' })
  ])
  t.deepEqual(lost, ['lost', 'lost'])
  t.false(first.node.health.ok)
  t.is(await second.status(kept), GlobalStatus.Begin)
  t.is(await second.status('127.0.0.1:8091:777'), GlobalStatus.Finished)
  await Promise.all([first.node.stop(1000), second.node.stop(1000)])
})

test('a deposed leader answers no read from its old state', async (t) => {
  const data = new MemoryData()
  const first = new NodeHarness({ storage: openMemory(data) })
  await first.node.start()
  const xid = await first.begin()
  const second = new NodeHarness({ storage: openMemory(data) })
  await second.node.start()
  await second.request({ type: 9, xid, extraData: '' })
  t.is(await first.request({ type: 15, xid, extraData: '' }), 'lost')
  await Promise.all([first.node.stop(1000), second.node.stop(1000)])
})

test('reads on a store without linearizable reads are proven by an append', async (t) => {
  const data = new MemoryData()
  const h = new NodeHarness({ storage: { ...openMemory(data), linearizableReads: false } })
  await h.node.start()
  const xid = await h.begin()
  const before = entries(data)
  t.is(await h.status(xid), GlobalStatus.Begin)
  t.is(entries(data), before + 1)
  await h.node.stop(1000)
})

test('deadlines and retries are kept without any request coming in', async (t) => {
  const h = new NodeHarness({ storage: openMemory(), settings: { retryPeriod: 20 } })
  await h.node.start()
  const xid = await h.begin(30)
  await h.request(tcc(xid))
  for (let attempt = 0; attempt < 3; attempt++) {
    await eventually(() => h.calls.length > attempt)
    t.is(h.calls[attempt]!.call.kind, 'rollback')
    h.calls[attempt]!.done(attempt < 2 ? 'not-connected' : BranchStatus.PhaseTwo_Rollbacked)
  }
  await eventually(async () => (await h.status(xid)) === GlobalStatus.TimeoutRollbacked)
  t.pass()
  await h.node.stop(1000)
})

test('what leaves in a step may bring the next input at once: no answer is lost and no effect is logged twice', async (t) => {
  const data = new MemoryData()
  const h = new NodeHarness({ storage: openMemory(data), settings: { retryPeriod: 10 } })
  let refusals = 0
  h.node.downstream = {
    // No RM: it is said in the very call.
    call: (_call, done) => {
      refusals++
      done('not-connected')
    },
    servingChanged: () => {},
    fragmentsChanged: () => {}
  }
  await h.node.start()
  const xids = await Promise.all(Array.from({ length: 20 }, () => h.begin()))
  for (const xid of xids) {
    await h.request(tcc(xid))
    t.is(((await h.request({ type: 7, xid, extraData: '' })) as Message).globalStatus, GlobalStatus.CommitRetrying)
  }
  const before = refusals
  await eventually(() => refusals > before + 100)
  for (const xid of xids) t.is(await h.status(xid), GlobalStatus.CommitRetrying)
  await h.node.stop(1000)
  const again = new NodeHarness({ storage: openMemory(data) })
  await again.node.start()
  t.true(again.node.health.ok)
  await eventually(() => again.calls.length === 20)
  for (const { done } of again.calls) done(BranchStatus.PhaseTwo_Committed)
  for (const xid of xids) t.is(await again.status(xid), GlobalStatus.Committed)
  await again.node.stop(1000)
})

test('T4: 128 fragments in one process, each with its own counters, and one that stands still holds up no other', async (t) => {
  const stuck = gate()
  const storage = controlled(new MemoryData(), {
    before: (kind, key) => (kind === 'setIfAbsent' && key.startsWith('{test:5}') ? stuck.pass() : undefined)
  })
  const fragments = 128
  const h = new NodeHarness({ storage, fragments })
  await h.node.start()
  const begin = (fragment: number) => h.request({ type: 1, timeout: 60_000, transactionName: 'x' }, { fragment })
  const all = Array.from({ length: fragments }, (_, fragment) => fragment)
  await Promise.all(all.flatMap((fragment) => Array.from({ length: 1 + (fragment % 7) }, () => begin(fragment))))
  const counted = () =>
    h.node.health.fragments.map(({ fragment, transactions, requests }) => [fragment, transactions, requests])
  t.deepEqual(
    counted(),
    all.map((fragment) => [fragment, 1 + (fragment % 7), 1 + (fragment % 7)])
  )
  stuck.close()
  let answered = false
  const waiting = begin(5).then(() => (answered = true))
  await eventually(() => stuck.waiting > 0)
  for (const fragment of all) if (fragment !== 5) t.like(await begin(fragment), { resultCode: 1 })
  t.false(answered)
  stuck.open()
  await waiting
  await h.node.stop(1000)
})

test('a body that cannot be read is answered, in the form of its result', async (t) => {
  const h = new NodeHarness({ storage: openMemory() })
  await h.node.start()
  const answer = (await h.raw(Buffer.from('0001000000', 'hex'))) as Message
  t.is(answer.type, 2)
  t.is(answer.resultCode, 0)
  t.regex(answer.msg as string, /cannot read the message/)
  t.is(await h.raw(Buffer.from('000100000000ffff', 'hex')).then((a) => (a as Message).type), 2)
  await h.node.stop(1000)
})

test('M10: a fragment that does not exist is not served, and no other answers for it', async (t) => {
  const h = new NodeHarness({ storage: openMemory() })
  await h.node.start()
  t.false(h.node.exists(1))
  t.false(h.node.serves(1))
  t.is(await h.request({ type: 15, xid: await h.begin(), extraData: '' }, { fragment: 1 }), 'unavailable')
  await h.node.stop(1000)
})
