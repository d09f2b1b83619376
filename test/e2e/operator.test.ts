// What an operator does with a cluster of processes: remove a node by command, and keep strangers out.
import test from 'ava'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { eventually } from '../host/harness.ts'
import { Cluster } from './cluster.ts'
import { Judge } from './judge.ts'
import { Load } from './load.ts'
import { freePort } from './ports.ts'
import { connect, ServerProcess, temporaryDirectory } from './servers.ts'

type T = { teardown(then: () => unknown): void }

async function command(t: T, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const server = new ServerProcess(t, args, env)
  const { code } = await server.exited
  return { code, text: `${server.stdout}${server.stderr}` }
}

test('M9, T17: nodes are drained and removed by command, at a node and through a gateway, under load, and the judge finds nothing', async (t) => {
  t.timeout(120_000)
  const cluster = new Cluster(t)
  for (const name of ['n1', 'n2', 'n3', 'n4']) await cluster.node(name)
  const gateway = await cluster.gateway()
  await cluster.settled()
  const judge = new Judge()
  const load = new Load(gateway.port, judge, 11)
  t.teardown(() => load.kill())
  const running = load.run(16)
  const more = async () => {
    const goal = load.done + 100
    await eventually(() => load.done >= goal, '100 transactions', 60_000)
  }
  await more()
  const at = (port: number) => ['--at', `127.0.0.1:${port}`]
  const n1 = cluster.nodes.get('n1')!
  // How many they are is told by n4 itself from time to time.
  const tooEarly = await command(t, ['leave', 'n4', ...at(n1.httpPort)])
  t.is(tooEarly.code, 1)
  t.regex(tooEarly.text, /^fastify-seata: n4 lives and holds \d replicas: drain it first, or stop it\n$/)
  t.regex((await command(t, ['drain', 'n4', ...at(gateway.httpPort)])).text, /^n4 is drained: /)
  await more()
  t.is((await command(t, ['leave', 'n4', ...at(gateway.httpPort)])).text, 'n4 has left the cluster\n')
  await cluster.nodes.get('n4')!.process.kill('SIGTERM')
  cluster.nodes.delete('n4')
  await more()
  // One that is dead for good needs no draining.
  await cluster.nodes.get('n3')!.process.kill('SIGKILL')
  cluster.nodes.delete('n3')
  t.is((await command(t, ['leave', 'n3', ...at(n1.httpPort)])).text, 'n3 has left the cluster\n')
  await cluster.settled()
  await more()
  load.stop()
  await running
  t.is(load.lost, 0, 'requests without an answer')
  const all = async () => (await Promise.all([...cluster.nodes.values()].map((node) => node.fragments()))).flat()
  await eventually(
    async () => (await all()).every((f) => f.transactions === 0 && f.locks === 0),
    'the end of all',
    60_000
  )
  t.deepEqual(judge.verdict(), [])
  t.is((await all()).length, 16, 'every fragment on both that are left')
  t.regex((await command(t, ['leave', 'n9', ...at(n1.httpPort)])).text, /there is no node n9 in the cluster/)
  await load.close()
})

test('a cluster with a key: who does not know it is no gateway, no node, and removes nobody', async (t) => {
  t.timeout(60_000)
  const SEATA_CLUSTER_KEY = 'only we know'
  const kv = `sqlite:${temporaryDirectory(t)}`
  const start = async (name: string) => {
    const link = `127.0.0.1:${await freePort()}`
    const args = ['node', '--name', name, '--kv', kv, '--link', link, '--http-port', '0']
    const node = new ServerProcess(t, args, { SEATA_CLUSTER_KEY })
    const [, httpPort] = await node.line(/HTTP on \S+:(\d+)/)
    return { link, node, httpPort: httpPort! }
  }
  const [n1] = [await start('n1'), await start('n2')]
  const gatewayOf = (env: NodeJS.ProcessEnv) =>
    new ServerProcess(t, ['gateway', '--nodes', n1.link, '--port', '0', '--http-port', '0'], env)
  const [ours, stranger] = [gatewayOf({ SEATA_CLUSTER_KEY }), gatewayOf({ SEATA_CLUSTER_KEY: 'a guess' })]
  const { port } = await ours.ready()
  const client = await connect(t, { port })
  await client.registerTM()
  const { xid } = await client.begin()
  t.is((await client.commit(xid)).globalStatus, GlobalStatus.Committed)
  await eventually(() => stranger.stderr.includes('it has another cluster key'))
  await eventually(() => n1.node.stderr.includes('it has another cluster key'))
  const strange = await stranger.ready()
  t.is((await fetch(`http://127.0.0.1:${strange.httpPort}/health`)).status, 503)

  const args = ['promote', 'n2', '--at', `127.0.0.1:${n1.httpPort}`]
  for (const key of ['', 'a guess']) {
    const { code, text } = await command(t, args, { SEATA_CLUSTER_KEY: key })
    t.is(code, 1)
    t.regex(text, /the cluster has a key: this call is not signed with it/)
  }
  t.like(await command(t, args, { SEATA_CLUSTER_KEY }), { code: 0, text: 'n2 may lead from now on\n' })
  t.false(n1.node.stderr.includes(SEATA_CLUSTER_KEY))
})
