// Three nodes and two gateways as processes: leaders are spread, any gateway serves any transaction, and a killed leader is not noticed.
import test from 'ava'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { Cluster } from './cluster.ts'
import { judged } from './judged.ts'
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

// Freezing is tested over etcd (test/kv): a process that is frozen while it writes holds the lock of an embedded store.
test('T10, T11, R6: node after node is killed or stopped under load, judged from outside', async (t) => {
  t.timeout(240_000)
  const cluster = new Cluster(t)
  await judged(t, cluster, ['SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGKILL'])
})
