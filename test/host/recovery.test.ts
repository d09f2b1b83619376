// What is there after a failure: from snapshots, from the log, on nodes that lost everything, and for clients whose leader died.

import test from 'ava'
import type { ClusterNode } from '../../tc-core/host/cluster-node.ts'
import { decodeRecord } from '../../tc-core/replication/record.ts'
import type { PlacementRules } from '../../tc-core/scheduler/place.ts'
import { MemoryData } from '../../tc-core/storage/memory.ts'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import { Load, TestCluster } from './cluster.ts'
import { controlled, eventually } from './harness.ts'

type T = { teardown(then: () => unknown): void }

const SNAPSHOTS = { snapshots: { records: 30 } }

async function start(t: T, names: readonly string[], rules: PlacementRules, options = {}) {
  const cluster = new TestCluster(t, rules)
  for (const name of names) await cluster.node(name, options)
  await cluster.settled()
  const gateway = await cluster.gateway()
  const client = await gateway.client()
  await client.registerRM('db')
  return { cluster, client, load: () => new Load(t, client) }
}

/** Where each node's links come in. */
function portsOf({ nodes }: TestCluster): Map<string, number> {
  const linkOf = ([name, node]: [string, ClusterNode]) => node.health.members.find((m) => m.name === name)!.link
  return new Map([...nodes].map((entry) => [entry[0], Number(linkOf(entry).split(':')[1])]))
}

type Started = Awaited<ReturnType<typeof start>>

/** Transactions that stay open, each with a branch and a row. */
async function leaveOpen({ client }: Started, count: number): Promise<string[]> {
  const open: string[] = []
  for (let i = 0; i < count; i++) {
    const { xid } = await client.begin()
    await client.register(xid, 'db', BranchType.AT, `open:${i}`)
    open.push(xid)
  }
  return open
}

const same = (a: ClusterNode, b: ClusterNode, fragment = 0) => {
  const [x, y] = [a.fragment(fragment)!, b.fragment(fragment)!]
  return x.index === y.index && x.hash === y.hash
}

const follows = (cluster: TestCluster) => cluster.log.lines.filter(({ text }) => text === 'follows the fragment')

test('R9, R10: a replica begins with the newest snapshot and reads on after it; one that has only the log gets the same state', async (t) => {
  const started = await start(t, ['n1'], { fragments: 1, lockParts: 1, replicas: 3 }, SNAPSHOTS)
  const { cluster, load } = started
  const leader = cluster.nodes.get('n1')!
  await leaveOpen(started, 20)
  const running = load()
  await running.through(300)
  await running.stop()
  await leaveOpen(started, 3).catch(() => {})
  await eventually(() => leader.health.fragments[0]!.snapshotIndex > 100)
  const { snapshotIndex } = leader.health.fragments[0]!

  const read: string[] = []
  const storage = controlled(cluster.data, {
    before: (kind, key) => void (kind === 'getMany' && key.includes(':0}:e:') && read.push(key))
  })
  const before = follows(cluster).length
  const late = await cluster.node('l1', { learner: true, storage })
  await eventually(() => same(leader, late), 'the same state from the snapshot')
  const line = follows(cluster)[before]!.fields!
  t.is(line.snapshot, snapshotIndex)
  t.true(line.index >= snapshotIndex)
  const [, first] = read
  t.regex(first!, new RegExp(`:e:0*${snapshotIndex + 1}$`), `${read}`)

  // All records that ever were, and nothing else.
  const log = new MemoryData()
  for (const [key, value] of [...cluster.data.deleted, ...cluster.data.values]) {
    if (key.includes(':e:')) log.values.set(key, value)
  }
  const whole = await cluster.node('l2', { learner: true, storage: controlled(log, { before: () => {} }) })
  await eventually(() => same(leader, whole), 'the same state from the log alone')
  t.is(whole.health.fragments[0]!.snapshotIndex, 0)
})

test('R10: a record that is damaged in the store stops who has yet to read it, and the next snapshot of the others mends that', async (t) => {
  const started = await start(
    t,
    ['n1', 'n2'],
    { fragments: 1, lockParts: 1, replicas: 2 },
    { snapshots: { records: 200 } }
  )
  const { cluster, load } = started
  const leader = cluster.nodes.get(cluster.leaders[0]!)!
  const other = leader.health.name === 'n1' ? 'n2' : 'n1'
  await leaveOpen(started, 10)
  cluster.kill(other)
  const { index } = leader.fragment(0)!
  const key = [...cluster.data.values.keys()].find((name) => name.endsWith(`:0}:e:${String(index).padStart(14, '0')}`))!
  const damaged = Buffer.from(cluster.data.values.get(key)!)
  damaged[30]! ^= 1
  cluster.data.values.set(key, damaged)
  const back = await cluster.node(other, { snapshots: { records: 200 } })
  t.is(back.health.fragments[0]!.role, 'stopped')
  t.true(back.health.fragments[0]!.trouble!.includes(key))
  const running = load()
  await eventually(() => leader.health.fragments[0]!.snapshotIndex > index, 'a snapshot', 30_000)
  await running.stop()
  t.deepEqual(running.failures, [])
  await eventually(() => same(leader, back), 'the other being mended')
})

test('R11: a node that has lost everything comes back under load by way of a snapshot, catches up, and leads when it is the last', async (t) => {
  const started = await start(t, ['n1', 'n2', 'n3'], { fragments: 4, lockParts: 1, replicas: 3 }, SNAPSHOTS)
  const { cluster, client, load } = started
  const open = await leaveOpen(started, 20)
  cluster.kill('n3')
  const running = load()
  const snapshots = () => [...cluster.nodes.values()].flatMap((node) => node.health.fragments)
  await eventually(() => snapshots().every((f) => f.role !== 'leader' || f.snapshotIndex > 0), 'snapshots', 30_000)
  const before = follows(cluster).length
  const back = await cluster.node('n3', SNAPSHOTS)
  t.true(
    follows(cluster)
      .slice(before)
      .every(({ fields }) => fields!.snapshot > 0),
    'from snapshots, not from the first record'
  )
  await cluster.settled()
  await running.through(50)
  for (const name of ['n1', 'n2']) cluster.kill(name)
  await cluster.led()
  t.deepEqual(cluster.leaders, ['n3', 'n3', 'n3', 'n3'])
  await running.through(50)
  await running.stop()
  t.deepEqual(running.failures, [])
  t.is(back.health.trouble, null)
  for (const xid of running.committed) t.is((await client.status(xid)).globalStatus, GlobalStatus.Committed)
  for (const xid of open) t.is((await client.commit(xid)).globalStatus, GlobalStatus.Committed)
})

test('T12: the leader is killed right after each acknowledgement, and what was acknowledged is there', async (t) => {
  const { cluster, client } = await start(t, ['n1', 'n2', 'n3'], { fragments: 4, lockParts: 1, replicas: 3 })
  const ports = portsOf(cluster)
  const strike = async (xid: string) => {
    const leader = cluster.leaders[fragmentOf(xid)]!
    cluster.kill(leader)
    return leader
  }
  // Where it was: a gateway whose every address is another within a moment has nobody left to ask.
  const revive = (name: string) => cluster.node(name, { port: ports.get(name)! })
  const refused = async (row: string) => {
    const { xid } = await client.begin()
    const { resultCode, transactionExceptionCode } = await client.register(xid, 'db', BranchType.AT, row)
    await client.rollback(xid)
    return resultCode === 0 && transactionExceptionCode === 2
  }
  for (let round = 0; round < 4; round++) {
    const row = `t:${round}`
    const { xid } = await client.begin()
    const first = await strike(xid)
    t.is((await client.status(xid)).globalStatus, GlobalStatus.Begin)
    await revive(first)
    t.is((await client.register(xid, 'db', BranchType.AT, row)).resultCode, 1)
    const second = await strike(xid)
    t.true(await refused(row), 'the row is locked still')
    await revive(second)
    const end = round % 2 === 0 ? 'commit' : 'rollback'
    const status = end === 'commit' ? GlobalStatus.Committed : GlobalStatus.Rollbacked
    t.is((await client[end](xid)).globalStatus, status)
    const third = await strike(xid)
    // An AT commit is acknowledged when it is decided: its branches may have to hear of it again.
    await eventually(async () => (await client.status(xid)).globalStatus === status, `${end} being carried out`)
    await eventually(async () => !(await refused(row)), 'the row being free')
    await revive(third)
  }
})

test('R13: with no leader left a client is told so in time, rolls back when there is one again, and no row stays locked', async (t) => {
  const { cluster, client } = await start(t, ['n1', 'n2'], { fragments: 2, lockParts: 1, replicas: 2 })
  const { xid } = await client.begin()
  t.is((await client.register(xid, 'db', BranchType.AT, 't:1')).resultCode, 1)
  const ports = portsOf(cluster)
  for (const name of ['n1', 'n2']) cluster.kill(name)
  const at = performance.now()
  const answer = await client.register(xid, 'db', BranchType.AT, 't:2')
  t.true(performance.now() - at < 6_000, 'before a client loses its patience')
  t.is(answer.resultCode, 0)
  t.regex(answer.msg, /^TransactionException\[no leader serves fragment \d, try again later\]$/)
  for (const [name, port] of ports) await cluster.node(name, { port })
  await cluster.led()
  const undone: bigint[] = []
  client.onBranch = ({ branchId }) => {
    undone.push(branchId)
    return BranchStatus.PhaseTwo_Rollbacked
  }
  t.is((await client.rollback(xid)).globalStatus, GlobalStatus.Rollbacked)
  t.is(undone.length, 1)
  const { xid: next } = await client.begin()
  t.is((await client.register(next, 'db', BranchType.AT, 't:1,2')).resultCode, 1)
})

test('M20: a cluster of one fragment: its leader is killed and stopped in turn, and nobody hears of it', async (t) => {
  const { cluster, client, load } = await start(
    t,
    ['n1', 'n2', 'n3'],
    { fragments: 1, lockParts: 1, replicas: 3 },
    SNAPSHOTS
  )
  const running = load()
  for (const how of ['kill', 'stop', 'kill', 'stop'] as const) {
    await running.through(100)
    const [leader] = cluster.leaders
    await cluster[how](leader!)
    await cluster.led()
    await running.through(50)
    await cluster.node(leader!, SNAPSHOTS)
  }
  await running.stop()
  t.deepEqual(running.failures, [])
  for (const xid of running.committed) t.is((await client.status(xid)).globalStatus, GlobalStatus.Committed)
})

test('M10: what falls due falls due at the leader alone: one call a branch, and no other node writes', async (t) => {
  const { cluster, client } = await start(t, ['n1', 'n2', 'n3'], { fragments: 8, lockParts: 1, replicas: 3 })
  const { leaders } = cluster
  const before = new Set(cluster.data.values.keys())
  const calls = new Map<string, number>()
  client.onBranch = ({ xid }) => {
    calls.set(xid, (calls.get(xid) ?? 0) + 1)
    return BranchStatus.PhaseTwo_Rollbacked
  }
  const xids: string[] = []
  for (let i = 0; i < 30; i++) {
    const { xid } = await client.begin('short', 400)
    t.is((await client.register(xid, 'db', BranchType.AT, `t${i}:1`)).resultCode, 1)
    xids.push(xid)
  }
  await eventually(() => calls.size === 30, 'the time of all being up')
  for (const xid of xids)
    await eventually(async () => (await client.status(xid)).globalStatus === GlobalStatus.TimeoutRollbacked)
  t.deepEqual(
    [...calls.values()],
    xids.map(() => 1)
  )
  t.deepEqual(cluster.leaders, leaders)
  const unknown = await client.register(xids[0]!.replace(/\d+$/, String(99n << 53n)), 'db', BranchType.AT, 't:1')
  t.regex(unknown.msg, /Could not found global transaction/)
  let written = 0
  for (const [key, bytes] of cluster.data.values) {
    const [, fragment, index] = /^\{test:(\d+)\}:e:(\d+)$/.exec(key) ?? []
    if (fragment === undefined || before.has(key)) continue
    written++
    t.is(decodeRecord(bytes, Number(index), key).node, leaders[Number(fragment)]!, key)
  }
  t.true(written > 30)
})
