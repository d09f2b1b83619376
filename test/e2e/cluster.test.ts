// Three nodes and two gateways as processes: leaders are spread, any gateway serves any transaction, and a killed leader is not noticed.
import test from 'ava'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { eventually } from '../host/harness.ts'
import { Cluster } from './cluster.ts'
import { Judge } from './judge.ts'
import { Load } from './load.ts'
import { connect } from './servers.ts'

test('three nodes share the leads, and a transaction may use any gateway for each step', async (t) => {
  t.timeout(60_000)
  const cluster = new Cluster(t)
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const [a, b] = [await cluster.gateway(), await cluster.gateway()]
  await cluster.settled()
  const tm = await connect(t, { port: a.port })
  await tm.registerTM()
  const other = await connect(t, { port: b.port })
  await other.registerTM()
  for (let i = 0; i < 50; i++) {
    const { xid } = await tm.begin()
    t.is((await other.status(xid)).globalStatus, GlobalStatus.Begin)
    t.is((await other.commit(xid)).globalStatus, GlobalStatus.Committed)
  }
})

test('T10, T11, R6: node after node is killed, frozen or stopped under load, judged from outside', async (t) => {
  t.timeout(240_000)
  const cluster = new Cluster(t)
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const gateway = await cluster.gateway()
  await cluster.settled()
  const judge = new Judge()
  const load = new Load(gateway.port, judge, 7)
  const running = load.run(32)
  const more = async (transactions: number) => {
    const goal = load.done + transactions
    await eventually(() => load.done >= goal, `${transactions} transactions`, 60_000)
  }
  for (const [i, signal] of (['SIGKILL', 'SIGSTOP', 'SIGTERM', 'SIGKILL', 'SIGSTOP', 'SIGKILL'] as const).entries()) {
    await more(200)
    const node = cluster.nodes.get(`n${(i % 3) + 1}`)!
    if (signal === 'SIGSTOP') {
      node.process.child.kill('SIGSTOP')
      await more(200)
      node.process.child.kill('SIGCONT')
    } else {
      await node.process.kill(signal)
      await more(200)
      await cluster.node(node.name, node.link)
    }
    await cluster.settled()
  }
  load.stop()
  await running
  const all = async () => (await Promise.all([...cluster.nodes.values()].map((node) => node.fragments()))).flat()
  await eventually(
    async () => (await all()).every((f) => f.transactions === 0 && f.locks === 0),
    'the end of every transaction and the last lock, on every replica',
    60_000
  )
  t.deepEqual(judge.verdict(), [])
  t.is(load.lost, 0, 'requests that were not answered, or with a failure')
  t.log(`${judge.transactions.size} transactions, ${judge.conflicts} conflicts`)
  await load.close()
})
