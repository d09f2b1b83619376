// What the nodes are told of clients and RMs over the links, what comes back from RMs, and who is turned away.
import test from 'ava'
import { BranchStatus } from '../../tc-core/wire/codes.ts'
import * as f from '../../tc-core/wire/link-frames.ts'
import { identity } from '../client/raw.ts'
import { eventually } from '../host/harness.ts'
import { FakeCluster, type FakeNode, startGateway } from './fake-node.ts'

type T = { teardown(then: () => unknown): void }

async function one(t: T) {
  const cluster = new FakeCluster(t)
  const n1 = await cluster.node('n1')
  n1.leading = [0, 1].map((fragment) => ({ fragment, mark: 1 }))
  const gateway = await startGateway(t, [n1])
  await eventually(() => gateway.links.troubles().length === 0)
  return { cluster, n1, ...gateway }
}

const served = (node: FakeNode) =>
  node
    .all(f.RmServes.code)
    .flatMap(({ resourceIds }) => resourceIds.split(','))
    .sort()

test('what RMs serve is told to every node, again after a link was down, and to nodes that join', async (t) => {
  const { cluster, n1, client } = await one(t)
  const rm = await client()
  await rm.registerRM('db1,db2')
  await rm.registerRM('db3')
  await eventually(() => served(n1).length === 3)
  t.deepEqual(served(n1), ['db1', 'db2', 'db3'])
  await rm.request({ type: 105, ...identity('2.6.0'), resourceIds: 'db2' }, { id: 9 })
  await eventually(() => n1.all(f.RmDrops.code).length === 1)
  t.is(n1.all(f.RmDrops.code)[0]!.resourceIds, 'db2')
  const n2 = await cluster.node('n2')
  cluster.viewed()
  await eventually(() => served(n2).length > 0)
  t.deepEqual(served(n2), ['db1', 'db3'])
  const before = n1.came
  n1.drop()
  await eventually(() => n1.came > before && served(n1).length > 0)
  t.deepEqual(served(n1), served(n2))
  const { clientId } = n1.all(f.RmServes.code)[0]!
  rm.destroy()
  await eventually(() => [n1, n2].every((node) => node.all(f.RmGone.code).length === 1))
  t.is(n2.all(f.RmGone.code)[0]!.clientId, clientId)
  const again = n1.came
  n1.drop()
  await eventually(() => n1.came > again)
  await eventually(() => n1.links.length === 1)
  t.deepEqual(served(n1), [], 'who left is forgotten')
})

test('limit: a frame; more resources than fit in one are told in several', async (t) => {
  const { n1, client } = await one(t)
  const rm = await client()
  const ids = Array.from({ length: 3000 }, (_, i) => `${i}-`.padEnd(4000, 'x'))
  for (let i = 0; i < 3; i++) await rm.registerRM(ids.slice(i * 1000, i * 1000 + 1000).join(','))
  await eventually(() => served(n1).length === 3000)
  const before = n1.came
  n1.drop()
  await eventually(() => n1.came > before && served(n1).length === 3000)
  t.is(n1.came, before + 1, 'the link stays up')
})

test('a client is told once for each link, under a number, and its end as well', async (t) => {
  const { n1, client } = await one(t)
  n1.on = n1.confirm
  const tm = await client()
  const begin = { type: 1, timeout: 1000, transactionName: 'x' }
  await tm.registerTM('2.0.0')
  for (let i = 0; i < 5; i++) {
    await tm.request(begin, { id: 10 + i })
    await tm.registerTM('2.0.0')
  }
  t.is(n1.all(f.ClientKnown.code).length, 1)
  const [known] = n1.all(f.ClientKnown.code)
  t.like(known, { applicationId: 'raw-app', transactionServiceGroup: 'default_tx_group' })
  t.true(n1.requests.every(({ client: number }) => number === known!.client))
  await tm.request({ type: 101, ...identity('2.0.0', 'renamed') }, { id: 50 })
  await tm.request(begin, { id: 51 })
  t.deepEqual(
    n1.all(f.ClientGone.code).map(({ client: number }) => number),
    [known!.client]
  )
  t.is(n1.all(f.ClientKnown.code)[1]!.clientId.split(':')[0], 'renamed')
  n1.drop()
  await eventually(() => n1.came === 2)
  await tm.request(begin, { id: 52 })
  t.is(n1.all(f.ClientKnown.code).length, 1, 'the new link knows nothing yet')
  tm.destroy()
  await eventually(() => n1.all(f.ClientGone.code).length === 1)
})

const call = { type: f.Call.code, kind: 0, xid: 'x', branchId: 5n, branchType: 1, resourceId: 'db1' } as const
const rest = { applicationData: '', anyApplication: false, timeout: 5000, trace: '' }

test('a call goes to the RM, its outcome back; without an RM that is said at once', async (t) => {
  const { n1, client } = await one(t)
  const rm = await client()
  await rm.registerRM('db1')
  await eventually(() => served(n1).length === 1)
  const { clientId } = n1.all(f.RmServes.code)[0]!
  n1.send({ ...call, ...rest, id: 7, clientId })
  const asked = await rm.next(({ message }) => message?.type === 3)
  t.like(asked.message, { xid: 'x', branchId: 5n, resourceId: 'db1' })
  const result = { type: 4, resultCode: 1, xid: 'x', branchId: 5n, branchStatus: BranchStatus.PhaseTwo_Committed }
  rm.send(result, { id: asked.id, messageType: 1 })
  await eventually(() => n1.all(f.Called.code).length === 1)
  t.like(n1.all(f.Called.code)[0], { id: 7, outcome: BranchStatus.PhaseTwo_Committed })
  n1.send({ ...call, ...rest, id: 8, clientId: 'other:1.1.1.1:1', resourceId: 'unknown' })
  await eventually(() => n1.all(f.Called.code).length === 2)
  t.like(n1.all(f.Called.code)[1], { id: 8, outcome: -1 })
})

test('an outcome that comes after its link was down is not told: the node may have started anew and count from 1', async (t) => {
  const { n1, client } = await one(t)
  const rm = await client()
  await rm.registerRM('db1')
  await eventually(() => served(n1).length === 1)
  const { clientId } = n1.all(f.RmServes.code)[0]!
  n1.send({ ...call, ...rest, id: 1, clientId })
  const first = await rm.next(({ message }) => message?.type === 3)
  n1.drop()
  await eventually(() => n1.came === 2 && served(n1).length === 1)
  n1.send({ ...call, ...rest, id: 1, clientId, branchId: 6n })
  const second = await rm.next(({ message }) => message?.type === 3)
  const answer = (id: number, branchStatus: number) =>
    rm.send({ type: 4, resultCode: 1, xid: 'x', branchId: 5n, branchStatus }, { id, messageType: 1 })
  answer(first.id, BranchStatus.PhaseTwo_Committed)
  answer(second.id, BranchStatus.PhaseTwo_CommitFailed_Retryable)
  await eventually(() => n1.all(f.Called.code).length > 0)
  t.deepEqual(
    n1.all(f.Called.code).map(({ outcome }) => outcome),
    [BranchStatus.PhaseTwo_CommitFailed_Retryable]
  )
})

const strangers: [string, FakeNode['hello'], RegExp][] = [
  ['a node of another cluster', { cluster: 'other' }, /it belongs to cluster other/],
  ['a node that speaks another protocol', { protocol: 9 }, /it speaks link protocol 9/]
]
for (const [who, hello, reason] of strangers) {
  test(`${who} is turned away with a word, said once, and taken when it is one of ours`, async (t) => {
    const cluster = new FakeCluster(t)
    const n1 = await cluster.node('n1')
    n1.hello = hello
    const { links, logger } = await startGateway(t, [n1])
    await eventually(() => n1.came >= 3)
    const said = () => logger.lines.filter(({ level }) => level === 'error')
    t.is(said().length, 1)
    t.regex(said()[0]!.text, /is not of this cluster/)
    t.regex(said()[0]!.reason!, reason)
    t.deepEqual(links.troubles(), ['no node could be asked what the cluster is'])
    n1.hello = {}
    await eventually(() => links.view.fragments === 2)
    t.is(said().length, 1)
  })
}

test('what a node says that cannot be read costs the link, not the gateway', async (t) => {
  const { n1, links, logger } = await one(t)
  n1.send({ type: f.View.code, json: '{"version":' })
  await eventually(() => n1.came === 2)
  await eventually(() => links.troubles().length === 0)
  t.true(logger.lines.some(({ text }) => text === 'the link to a node is down'))
})

test('an address that was given is left when its node is known under another, and tried again when no link is up', async (t) => {
  const cluster = new FakeCluster(t)
  const [given, real] = [await cluster.node('n1'), await cluster.node('n1')]
  cluster.members = [real]
  const { links } = await startGateway(t, [given])
  const at = ({ address }: FakeNode) => links.state.find((state) => state.address === address)
  await eventually(() => at(given) === undefined && at(real)?.up === true)
  await eventually(() => given.links.length === 0)
  real.close()
  await eventually(() => at(given)?.up === true)
  t.is(given.came, 2)
})
