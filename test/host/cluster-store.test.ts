// Nodes whose store fails or stalls, and replicas that nobody pushes records to: who leads then, and what is acknowledged.
import test from 'ava'
import { StorageError } from '../../tc-core/storage/port.ts'
import { BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import { Load, TestCluster } from './cluster.ts'
import { controlled, eventually } from './harness.ts'

/** A store that one node reaches, or not; what it wrote while it hung takes effect when it is mended. */
function fragile(cluster: TestCluster) {
  let state: 'well' | 'failing' | 'hanging' = 'well'
  let waiting: (() => void)[] = []
  const storage = controlled(cluster.data, {
    before: () => {
      if (state === 'failing') throw new StorageError('the disk is full')
      return new Promise<void>((resolve) => {
        if (state === 'hanging') waiting.push(resolve)
        else setTimeout(resolve, 1)
      })
    }
  })
  return {
    storage,
    fail: () => void (state = 'failing'),
    hang: () => void (state = 'hanging'),
    mend: () => {
      state = 'well'
      for (const go of waiting.splice(0)) go()
      waiting = []
    }
  }
}

for (const how of ['fail', 'hang'] as const) {
  const title = how === 'fail' ? 'fails' : 'hangs'
  test(`R12: a leader whose store ${title} leads no more, another does, and it acknowledges nothing more when it is mended`, async (t) => {
    const cluster = new TestCluster(t, { fragments: 2, lockParts: 1, replicas: 2 })
    const store = fragile(cluster)
    const bad = await cluster.node('n1', { storage: store.storage })
    await cluster.node('n2')
    await cluster.settled()
    const { links, client } = await cluster.gateway()
    const c = await client()
    const fragment = cluster.leaders.indexOf('n1')
    const load = new Load(t, c, 4)
    await c.registerRM('db')
    await eventually(() => load.committed.length > 20)
    const { term } = bad.fragment(fragment)!
    store[how]()
    await eventually(() => links.leaders[fragment]!.leader === 'n2', 'the other node leading')
    t.true(cluster.nodes.get('n2')!.fragment(fragment)!.term > term)
    await load.through(50)
    store.mend()
    await eventually(() => bad.fragment(fragment)!.role !== 'leader' || bad.fragment(fragment)!.term > term)
    await cluster.settled()
    await load.through(50)
    await load.stop()
    t.deepEqual(load.failures, [])
    for (const xid of load.committed) t.is((await c.status(xid)).globalStatus, GlobalStatus.Committed)
  })
}

test('M22: the store takes nothing of one fragment: others go on, its transactions wait and continue', async (t) => {
  const cluster = new TestCluster(t, { fragments: 4, lockParts: 1, replicas: 2 })
  let blocked = false
  const storage = () =>
    controlled(cluster.data, {
      before: (_kind, key) => {
        if (blocked && key.startsWith('{test:0}')) throw new StorageError('no quorum')
      }
    })
  for (const name of ['n1', 'n2']) await cluster.node(name, { storage: storage() })
  await cluster.settled()
  const { links, client } = await cluster.gateway()
  const c = await client()
  await c.registerRM('tcc')
  const xids: string[] = []
  while (!xids.some((xid) => fragmentOf(xid) === 0)) xids.push((await c.begin()).xid)
  const mine = xids.find((xid) => fragmentOf(xid) === 0)!
  blocked = true
  const ended = c.commit(mine)
  await eventually(() => links.leaders[0]!.leader === null, 'the fragment counting as not led')
  const { term } = cluster.nodes.get(cluster.leaders[1]!)!.fragment(1)!
  // Without rows: those whose home is the fragment that is blocked wait for it.
  for (let i = 0; i < 200; i++) {
    const { xid, resultCode, msg } = await c.begin()
    t.is(resultCode, 1, msg)
    t.not(fragmentOf(xid), 0, 'begins go to fragments that work')
    t.is((await c.register(xid, 'tcc', BranchType.TCC)).resultCode, 1)
    t.is((await c.commit(xid)).resultCode, 1)
  }
  t.is(cluster.nodes.get(cluster.leaders[1]!)!.fragment(1)!.term, term, 'and those keep their leaders')
  blocked = false
  const { resultCode, globalStatus, msg } = await ended
  if (resultCode === 1) t.is(globalStatus, GlobalStatus.Committed)
  else t.regex(msg, /try again later|the store does not answer/)
  await cluster.led()
  t.is((await c.commit(mine)).globalStatus, GlobalStatus.Committed)
})

test('a replica that no record is pushed to catches up by itself', async (t) => {
  const cluster = new TestCluster(t, { fragments: 2, lockParts: 1, replicas: 3 })
  await cluster.node('n1')
  await cluster.node('n2')
  // Nobody listens there: the others never reach it, and hold it for dead.
  const alone = await cluster.node('n3', { advertise: '127.0.0.1:9' })
  await eventually(() => [0, 1].every((fragment) => cluster.leadersOf(fragment).length === 1))
  const { client } = await cluster.gateway()
  const c = await client()
  const load = new Load(t, c, 4)
  await c.registerRM('db')
  await load.through(200)
  await load.stop()
  const others = ['n1', 'n2'].map((name) => cluster.nodes.get(name)!)
  for (const fragment of [0, 1]) {
    const replicas = [...others, alone].map((node) => node.fragment(fragment)!)
    await eventually(() => new Set(replicas.map(({ index, hash }) => `${index}: ${hash}`)).size === 1, 'catching up')
    t.true(replicas[0]!.index > 20)
  }
})

test('T9: a leader that hears of nobody finds out by itself that another leads', async (t) => {
  const cluster = new TestCluster(t, { fragments: 2, lockParts: 1, replicas: 2 })
  const first = await cluster.node('n1', { advertise: '127.0.0.1:9' })
  await cluster.led()
  // It cannot reach the first one either, holds it for dead, and takes over.
  const second = await cluster.node('n2')
  await eventually(() => [0, 1].every((fragment) => second.fragment(fragment)?.role === 'leader'), 'taking over')
  await eventually(() => [0, 1].every((fragment) => first.fragment(fragment)!.role === 'follower'), 'finding out')
  await cluster.led()
  t.deepEqual(cluster.leaders, ['n2', 'n2'])
})

test('a replica that missed some records reads them with the next one that comes, and keeps up under load', async (t) => {
  const cluster = new TestCluster(t, { fragments: 1, lockParts: 1, replicas: 2 })
  await cluster.node('n1')
  const { client } = await cluster.gateway()
  const c = await client()
  const load = new Load(t, c, 8)
  await c.registerRM('db')
  await load.through(50)
  // It comes while records are written all the time, and the store takes its time to answer a reading.
  let readings = 0
  const storage = controlled(cluster.data, {
    before: (kind, key) => {
      if (kind !== 'getMany') return
      if (key.includes(':0}')) readings++
      return new Promise((resolve) => setTimeout(resolve, 5))
    }
  })
  const late = await cluster.node('n2', { storage })
  const leader = () => cluster.nodes.get(cluster.leadersOf(0)[0] ?? 'n1')!.fragment(0)!
  let steady = 0
  let before = 0
  await eventually(() => {
    const isSteady = leader().index - late.fragment(0)!.index <= 50 && readings === before
    before = readings
    steady = isSteady ? steady + 1 : 0
    return steady > 100
  }, 'following by what is pushed alone')
  await load.stop()
  t.deepEqual(load.failures, [])
})

test('a cluster whose store is away for all comes back by itself, and loses nothing', async (t) => {
  const cluster = new TestCluster(t, { fragments: 2, lockParts: 1, replicas: 2 })
  const stores = ['n1', 'n2'].map((name) => ({ name, store: fragile(cluster) }))
  for (const { name, store } of stores) await cluster.node(name, { storage: store.storage })
  await cluster.settled()
  const { client } = await cluster.gateway()
  const c = await client()
  const xids = await Promise.all(Array.from({ length: 20 }, async () => (await c.begin()).xid))
  for (const { store } of stores) store.fail()
  const begun = c.begin()
  await eventually(() => [...cluster.nodes.values()].every(({ health }) => health.trouble !== null))
  await eventually(() =>
    cluster.nodes.get('n1')!.health.fragments.some(({ trouble }) => trouble === 'the disk is full')
  )
  for (const { store } of stores) store.mend()
  t.is((await begun).resultCode, 1)
  for (const xid of xids) t.is((await c.status(xid)).globalStatus, GlobalStatus.Begin)
  await cluster.settled()
})
