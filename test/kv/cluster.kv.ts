// A cluster over a real etcd: its nodes, and etcd's own members, are killed and frozen under load, judged from outside.
import test, { type ExecutionContext } from 'ava'
import { PARK_MS } from '../../gateway/park.ts'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { Cluster } from '../e2e/cluster.ts'
import { Judge } from '../e2e/judge.ts'
import { judged } from '../e2e/judged.ts'
import { Load } from '../e2e/load.ts'
import { connect } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'
import { EtcdServers } from './etcd.ts'

/** What a machine that is busy with the rest of the tests may add, ms. */
const SLACK_MS = 400

async function started(t: ExecutionContext) {
  const etcd = await EtcdServers.start()
  t.teardown(() => etcd.stop())
  const cluster = new Cluster(t, etcd.url)
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const { port, httpPort } = await cluster.gateway()
  await cluster.settled()
  return { etcd, cluster, gatewayPort: port, httpPort }
}

test('T10, T11, R7, R12: nodes are killed, frozen and stopped over etcd', async (t) => {
  t.timeout(240_000)
  const etcd = await EtcdServers.start()
  t.teardown(() => etcd.stop())
  await judged(t, new Cluster(t, etcd.url), ['SIGKILL', 'SIGSTOP', 'SIGTERM', 'SIGSTOP'])
})

test('T12: the leader of etcd is killed under load, and no client notices but for the time', async (t) => {
  t.timeout(120_000)
  const { etcd, cluster, gatewayPort } = await started(t)
  const load = new Load(gatewayPort, new Judge(), 11)
  t.teardown(() => load.kill())
  const running = load.run(16)
  const more = (n: number) => {
    const goal = load.done + n
    return eventually(() => load.done >= goal, `${n} transactions`, 30_000)
  }
  await more(200)
  const before = performance.now()
  await etcd.kill(await etcd.leader())
  await more(200)
  t.log(`200 transactions ${(performance.now() - before).toFixed(0)} ms after the kill`)
  load.stop()
  await running
  t.is(load.lost, 0)
  t.is(cluster.nodes.size, 3)
})

test('M21, M22, M24: without a quorum every request is answered in time and clearly, health is red, and all goes on with the quorum', async (t) => {
  t.timeout(120_000)
  const { etcd, gatewayPort, httpPort } = await started(t)
  const client = await connect(t, { port: gatewayPort, timeoutMs: 30_000 })
  await client.registerTM()
  const { xid } = await client.begin()
  await etcd.kill(0)
  await etcd.kill(1)
  const health = async () => (await fetch(`http://127.0.0.1:${httpPort}/health`)).status
  for (let i = 0; i < 20; i++) {
    const asked = performance.now()
    const answers = await Promise.all([client.begin(), client.status(xid), client.commit(xid)])
    const ms = performance.now() - asked
    t.true(ms <= PARK_MS + 100 + SLACK_MS, `answered after ${ms.toFixed(0)} ms`)
    for (const { resultCode, msg } of answers) {
      t.is(resultCode, 0)
      t.regex(msg, /try again later|the store does not answer/)
    }
    if ((await health()) === 503 && i > 0) break
  }
  t.is(await health(), 503)
  await etcd.restart(0)
  await etcd.restart(1)
  await eventually(async () => (await health()) === 200, 'health is green', 30_000)
  t.is((await client.commit(xid)).globalStatus, GlobalStatus.Committed)
  t.is((await client.begin()).resultCode, 1)
})
