// A gateway that reaches only some of the nodes: it is put through to the others, and every request and every call finds its way.
import { connect, createServer } from 'node:net'
import test from 'ava'
import type { ClusterNode } from '../../tc-core/host/cluster-node.ts'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { type Runtime, systemRuntime } from '../../tc-core/wire/runtime.ts'
import { TestCluster } from './cluster.ts'
import { eventually } from './harness.ts'

type T = { teardown(then: () => unknown): void }

/** A network that lets a gateway reach only the nodes named; more of it may be opened and closed later. */
function network(cluster: TestCluster, reached: readonly string[]) {
  const open = new Set(reached)
  const portOf = (node: ClusterNode) =>
    Number(node.health.members.find(({ name }) => name === node.health.name)!.link.split(':')[1])
  const dial: Runtime['connect'] = ({ host, port }) => {
    const isOpen = [...cluster.nodes].some(([name, node]) => open.has(name) && portOf(node) === port)
    // Nobody listens at port 1.
    return connect({ host, port: isOpen ? port : 1, noDelay: true })
  }
  return {
    runtime: { ...systemRuntime, connect: dial },
    open: (name: string) => void open.add(name),
    close: (name: string) => void open.delete(name)
  }
}

async function three(t: T, key = '') {
  const cluster = new TestCluster(t)
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name, { key })
  await cluster.settled()
  return cluster
}

for (const key of ['', 'a secret']) {
  const title = key === '' ? '' : ', also with a cluster key'
  test(`M16: through any one node every message of a client is answered by every leader, and phase two comes back${title}`, async (t) => {
    const cluster = await three(t, key)
    for (const only of ['n1', 'n2', 'n3']) {
      const { runtime } = network(cluster, [only])
      const { links, gateway, client } = await cluster.gateway({ runtime, key, name: `of-${only}` })
      const reached = links.state.filter(({ through }) => through === null)
      t.deepEqual(
        reached.map(({ node }) => node),
        [only]
      )
      t.is(links.state.filter(({ up }) => up).length, 3)
      const c = await client()
      await c.registerRM('db')
      const called: string[] = []
      c.onBranch = (branch, kind) => {
        called.push(`${kind} ${branch.xid}`)
        return kind === 'commit' ? BranchStatus.PhaseTwo_Committed : BranchStatus.PhaseTwo_Rollbacked
      }
      const fragments = new Set<number>()
      let i = 0
      // Begins go to one fragment for a moment, and then to another.
      for (; i < 40 || fragments.size < 8; i++) {
        const { xid, resultCode } = await c.begin()
        t.is(resultCode, 1)
        fragments.add(Number(BigInt(xid.slice(xid.lastIndexOf(':') + 1)) >> 53n))
        const branch = await c.register(xid, 'db', BranchType.AT, `t${i % 32}:${only}-${i}`)
        t.is(branch.resultCode, 1)
        const { branchId } = branch
        const more = { xid, branchId, branchType: BranchType.AT, resourceId: 'db', applicationData: '', extraData: '' }
        for (const message of [
          { type: 13, status: BranchStatus.PhaseOne_Done, ...more },
          { type: 15, ...more },
          { type: 21, lockKey: `t${i % 32}:${only}-${i}`, ...more }
        ]) {
          const answer = await c.request<any>(message)
          t.is(answer.type, message.type + 1)
          t.is(answer.resultCode, 1)
        }
        const kind = i % 2 === 0 ? 'commit' : 'rollback'
        t.is((await c[kind](xid)).globalStatus, kind === 'commit' ? GlobalStatus.Committed : GlobalStatus.Rollbacked)
        await eventually(() => called.includes(`${kind} ${xid}`), 'phase two')
        const report = await c.request<any>({ type: 17, globalStatus: GlobalStatus.Committed, ...more })
        t.is(report.type, 18)
      }
      t.is(called.length, i)
      await gateway.stop(0)
      links.close()
    }
  })
}

test('M16: a way that breaks under way is gone round, nothing is lost, and a way that is there again is taken', async (t) => {
  const cluster = await three(t)
  const net = network(cluster, ['n1', 'n2'])
  const { links, client } = await cluster.gateway({ runtime: net.runtime })
  const through = () => links.state.find(({ node }) => node === 'n3')!.through
  const linkOf = (name: string) => cluster.nodes.get('n3')!.health.members.find((member) => member.name === name)!.link
  t.true([linkOf('n1'), linkOf('n2')].includes(through()!))
  const c = await client()
  const between = ['n1', 'n2'].find((name) => linkOf(name) === through())!
  const xids = await Promise.all(Array.from({ length: 200 }, async () => (await c.begin()).xid))
  const committing = xids.map((xid) => c.commit(xid))
  cluster.kill(between)
  for (const answer of await Promise.all(committing)) t.is(answer.globalStatus, GlobalStatus.Committed)
  await eventually(() => links.state.filter(({ up }) => up).length >= 2)
  await eventually(() => through() === linkOf(between === 'n1' ? 'n2' : 'n1'), 'the other node in between')
  net.open('n3')
  await eventually(() => through() === null, 'the direct way being taken', 20_000)
  for (const xid of xids.slice(0, 20)) t.is((await c.status(xid)).globalStatus, GlobalStatus.Committed)
})

test('a node puts nobody through to where no member is, and says so', async (t) => {
  const cluster = await three(t)
  let came = 0
  const stranger = createServer(() => came++).listen(0, '127.0.0.1')
  t.teardown(() => stranger.close())
  await eventually(() => stranger.listening)
  const { port } = stranger.address() as { port: number }
  const { runtime } = network(cluster, ['n1'])
  // As a gateway that was given the address of a stranger, and does not reach it.
  const [, link] = /:(\d+)/.exec(cluster.nodes.get('n1')!.health.members[0]!.link)!
  await cluster.gateway({ runtime, nodes: [`127.0.0.1:${link}`, `127.0.0.1:${port}`] })
  await eventually(() => cluster.log.lines.some(({ text }) => text === 'a link was closed before it was up'))
  t.is(came, 0)
})
