// Nodes of a cluster: who leads what, and that nobody's request is lost while nodes stop, die, come, and lose their store.
import test from 'ava'
import { openMemory } from '../../tc-core/storage/memory.ts'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { Load, TestCluster } from './cluster.ts'
import { eventually } from './harness.ts'

type T = { teardown(then: () => unknown): void }

async function three(t: T) {
  const cluster = new TestCluster(t)
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  await cluster.settled()
  return cluster
}

async function loaded(t: T, cluster: TestCluster) {
  const gateway = await cluster.gateway()
  const client = await gateway.client()
  await client.registerRM('db')
  return { ...gateway, client, load: new Load(t, client) }
}

/** Whatever was acknowledged as committed is, everywhere and for ever. */
async function judge(
  t: { is(a: unknown, b: unknown): void },
  load: Load,
  client: { status(xid: string): Promise<any> }
) {
  for (const xid of load.committed) t.is((await client.status(xid)).globalStatus, GlobalStatus.Committed)
}

test('T9: leaders are spread evenly, each fragment has one, and a node that joins later gets its share', async (t) => {
  const cluster = new TestCluster(t)
  await cluster.node('n1')
  await eventually(() => cluster.leaders.every((leader) => leader === 'n1'))
  for (const name of ['n2', 'n3']) await cluster.node(name)
  await cluster.settled()
  t.deepEqual(cluster.shares.sort(), [2, 3, 3])
  const { load, client } = await loaded(t, cluster)
  await load.through(50)
  await cluster.node('n4')
  await cluster.settled()
  t.deepEqual(cluster.shares, [2, 2, 2, 2])
  const replicas = () => [...cluster.nodes.values()].map((node) => node.health.fragments.length)
  await eventually(() => replicas().every((count) => count === 6), 'six replicas on each node')
  await load.through(50)
  await load.stop()
  t.deepEqual(load.failures, [])
  await judge(t, load, client)
})

test('a node that stops hands over: every request under way is answered, and nobody hears of it', async (t) => {
  const cluster = await three(t)
  const { load, client } = await loaded(t, cluster)
  await load.through(100)
  const given = () => cluster.log.lines.filter(({ text }) => text === 'hands the fragment over').length
  const [led, before] = [cluster.leaders.filter((leader) => leader === 'n2').length, given()]
  await cluster.stop('n2')
  t.is(given() - before, led)
  await cluster.led()
  await load.through(100)
  await cluster.stop('n1')
  await cluster.led()
  await load.through(100)
  await load.stop()
  t.deepEqual(load.failures, [])
  t.deepEqual(cluster.shares, [8])
  await judge(t, load, client)
})

test('M13: a node dies without a word: others take over, what was acknowledged is there, and requests go on', async (t) => {
  const cluster = await three(t)
  const { load, client } = await loaded(t, cluster)
  const open = await Promise.all(Array.from({ length: 40 }, async () => (await client.begin()).xid))
  await load.through(100)
  cluster.kill('n1')
  const at = performance.now()
  await cluster.led()
  t.true(performance.now() - at < 2000, 'within two seconds')
  await load.through(100)
  await load.stop()
  t.deepEqual(load.failures, [])
  await judge(t, load, client)
  for (const xid of open) t.is((await client.status(xid)).globalStatus, GlobalStatus.Begin)
  await cluster.node('n1')
  await cluster.settled()
  for (const xid of open) t.is((await client.commit(xid)).globalStatus, GlobalStatus.Committed)
})

test('M15, M21: every gateway knows a new leader a moment after it leads', async (t) => {
  const cluster = await three(t)
  const gateways = [await cluster.gateway(), await cluster.gateway()]
  const lost = cluster.leaders.flatMap((leader, fragment) => (leader === 'n1' ? fragment : []))
  cluster.kill('n1')
  const at = performance.now()
  await cluster.led()
  const led = performance.now()
  t.true(led - at < 1000, `led after ${(led - at).toFixed(0)} ms`)
  const known = () =>
    gateways.every(({ links }) =>
      lost.every((fragment) => links.leaders[fragment]!.leader === cluster.leaders[fragment])
    )
  await eventually(known)
  t.true(performance.now() - led < 300, `known after ${(performance.now() - led).toFixed(0)} ms`)
})

test('a connection that is refused is proof enough of a death: the counter in the store is not waited for', async (t) => {
  const cluster = await three(t)
  const led = cluster.leaders.map((leader) => leader === 'n1')
  const lane = openMemory(cluster.data).lane('ghost')
  let beats = 0
  const ghost = setInterval(() => void lane.set('{test:live}:n1', Buffer.from(`${++beats}`)), 20)
  t.teardown(() => clearInterval(ghost))
  cluster.kill('n1')
  await cluster.led()
  t.true(led.includes(true))
  t.false(cluster.leaders.includes('n1'))
})

test('R2: all replicas have the same state at the same index after load and changes of leaders', async (t) => {
  const cluster = await three(t)
  const { load, client } = await loaded(t, cluster)
  await load.through(100)
  await cluster.stop('n3')
  await cluster.node('n3')
  await cluster.settled()
  await load.through(200)
  await load.stop()
  await Promise.all(Array.from({ length: 30 }, () => client.begin()))
  t.deepEqual(load.failures, [])
  for (let fragment = 0; fragment < 8; fragment++) {
    const hosts = [...cluster.nodes.values()].map((node) => node.fragment(fragment)!)
    // What the leader has decided and not yet logged is in its state as well: looked at when all of it is confirmed.
    const states = () => new Set(hosts.map(({ index, hash }) => `${index}: ${hash}`))
    await eventually(() => states().size === 1, `fragment ${fragment} being the same everywhere`)
    t.true(hosts[0]!.index > 10)
  }
})

test('a second node of the same name takes the place of the first, which says so and takes no more part', async (t) => {
  const cluster = new TestCluster(t)
  const first = await cluster.node('n1')
  await cluster.node('n1')
  await eventually(() => /another node has joined under the name n1/.test(first.health.trouble ?? ''))
  await eventually(() => cluster.nodes.get('n1')!.health.fragments.every(({ role }) => role === 'leader'))
  t.is(first.health.fragments.filter(({ role }) => role === 'leader').length, 0)
})
