// Nodes that are somewhere else by now: a gateway goes back to what it was given, and asks what that means anew each time.
import test from 'ava'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import { transactionId } from '../../tc-core/wire/xid.ts'
import { eventually } from '../host/harness.ts'
import { FakeCluster, type FakeNode, startGateway } from './fake-node.ts'

const NAME = 'nodes.test'
const commit = { type: 7, xid: `127.0.0.1:8091:${transactionId(0, Date.now(), 1)}`, extraData: '' }

/** A gateway that was given a name, which leads to whatever node the test says. */
async function named(t: { teardown(then: () => unknown): void }) {
  const cluster = new FakeCluster(t)
  const target: { node: FakeNode | null; asked: number } = { node: null, asked: 0 }
  const runtime: typeof systemRuntime = {
    ...systemRuntime,
    connect: ({ host, port }) => {
      if (host !== NAME) return systemRuntime.connect({ host, port })
      target.asked++
      // Nobody listens at port 1.
      return systemRuntime.connect({ host: '127.0.0.1', port: Number(target.node?.address.split(':')[1] ?? 1) })
    }
  }
  const first = [await cluster.node('n1'), await cluster.node('n2')] as const
  target.node = first[0]
  first[0].lead({ 0: 3 })
  const gateway = await startGateway(t, [], {}, { nodes: [`${NAME}:9091`], runtime })
  await eventually(() => gateway.links.leaders[0]?.leader === 'n1')
  await eventually(() => gateway.links.state.filter(({ up }) => up).length === 2)
  return { cluster, target, first, ...gateway }
}

test('T19: all nodes move at the same moment: the name that was given is asked until it leads to one of them', async (t) => {
  const { cluster, target, first, links, client } = await named(t)
  await eventually(() => links.state.length === 2, 'the name being let go, for the nodes say where they are')
  const c = await client()
  await c.registerTM()
  for (const node of first) node.close()
  target.node = null
  const { asked } = target
  c.send(commit, { id: 5 })
  await eventually(() => target.asked > asked + 5, 'being asked again and again')
  const second = [await cluster.node('n1'), await cluster.node('n2')]
  cluster.members = second
  cluster.version++
  second[1]!.lead({ 0: 4 })
  second[1]!.on = second[1]!.confirm
  target.node = second[0]!
  t.is((await c.answer(5)).message!.resultCode, 1, 'what was asked meanwhile is answered')
  t.is(links.leaders[0]!.leader, 'n2')
  await eventually(() => links.state.length === 2)
  t.deepEqual(links.state.map(({ address }) => address).sort(), second.map(({ address }) => address).sort())
})

test('T19: the nodes say that all are where nobody is: what was given is dialled again', async (t) => {
  const { cluster, target, links } = await named(t)
  const nowhere = ['127.0.0.1:1', '127.0.0.1:2']
  cluster.members = nowhere.map((address, i) => ({ name: `n${i + 1}`, address }))
  const { asked } = target
  cluster.viewed()
  await eventually(() => links.state.filter(({ address }) => nowhere.includes(address)).length === 2)
  await eventually(() => target.asked > asked && links.state.some(({ address, up }) => up && address.startsWith(NAME)))
  await eventually(() => links.leaders[0]!.leader === 'n1')
  t.is(links.view.version, cluster.version)
})
