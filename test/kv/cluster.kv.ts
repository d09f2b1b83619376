// A cluster over a real etcd: its nodes, and etcd's own members, are killed and frozen under load, judged from outside.
import test from 'ava'
import { Cluster } from '../e2e/cluster.ts'
import { judged } from '../e2e/judged.ts'
import { EtcdServers } from './etcd.ts'

test('T10, T11, R12: nodes are killed, frozen and stopped over etcd', async (t) => {
  t.timeout(240_000)
  const etcd = await EtcdServers.start()
  t.teardown(() => etcd.stop())
  await judged(t, new Cluster(t, etcd.url), ['SIGKILL', 'SIGSTOP', 'SIGTERM', 'SIGSTOP'])
})
