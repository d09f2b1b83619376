// Three nodes and two gateways as processes: leaders are spread, any gateway serves any transaction, and a killed leader is not noticed.
import test from 'ava'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { eventually } from '../host/harness.ts'
import { Cluster } from './cluster.ts'
import { Judge } from './judge.ts'
import { judged } from './judged.ts'
import { Load } from './load.ts'
import { connect } from './servers.ts'

test('T19: three nodes share the leads: begun at one gateway, with a branch over the other, and committed at the first', async (t) => {
  t.timeout(60_000)
  const cluster = new Cluster(t)
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const [a, b] = [await cluster.gateway(), await cluster.gateway()]
  await cluster.settled()
  const tm = await connect(t, { port: a.port })
  await tm.registerTM()
  const other = await connect(t, { port: b.port })
  await other.registerTM()
  await other.registerRM('tcc')
  const called: string[] = []
  other.onBranch = ({ xid }) => {
    called.push(xid)
    return BranchStatus.PhaseTwo_Committed
  }
  for (let i = 0; i < 50; i++) {
    const { xid } = await tm.begin()
    t.is((await other.status(xid)).globalStatus, GlobalStatus.Begin)
    t.is((await other.register(xid, 'tcc', BranchType.TCC)).resultCode, 1)
    t.is((await (i % 2 === 0 ? tm : other).commit(xid)).globalStatus, GlobalStatus.Committed)
    t.is(called.at(-1), xid, 'phase two reached the RM over the other gateway')
  }
})

test('T19: a gateway is killed under load: its clients go on at the other, also in the middle of a transaction, judged from outside', async (t) => {
  t.timeout(120_000)
  const cluster = new Cluster(t)
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const gateways = [await cluster.gateway(), await cluster.gateway()]
  await cluster.settled()
  const judge = new Judge()
  const load = new Load(() => gateways[0]!.port, judge, 5)
  t.teardown(() => load.kill())
  const running = load.run(32)
  for (let blow = 0; blow < 4; blow++) {
    const goal = load.done + 200
    await eventually(() => load.done >= goal, '200 transactions', 60_000)
    // The one in use; the other is the next.
    const [used] = gateways.splice(0, 1)
    await used!.process.kill('SIGKILL')
    gateways.push(await cluster.gateway())
  }
  const goal = load.done + 200
  await eventually(() => load.done >= goal, '200 transactions after the last blow', 60_000)
  load.stop()
  await running
  const all = async () => (await Promise.all([...cluster.nodes.values()].map((node) => node.fragments()))).flat()
  await eventually(
    async () => (await all()).every((f) => f.transactions === 0 && f.locks === 0),
    'the end of every transaction and the last lock',
    60_000
  )
  t.deepEqual(judge.verdict(), [])
  await load.close()
})

// Freezing is tested over etcd (test/kv): a process that is frozen while it writes holds the lock of an embedded store.
test('T10, T11, R6, R8, M6, M25: node after node is killed or stopped under load, judged from outside', async (t) => {
  t.timeout(240_000)
  const cluster = new Cluster(t)
  await judged(t, cluster, ['SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGKILL'])
})
