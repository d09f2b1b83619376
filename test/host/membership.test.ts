// Learners, and nodes that an operator drains and removes: who leads then, who is told no, and that nobody's request fails.
import test from 'ava'
import type { ClusterNode } from '../../tc-core/host/cluster-node.ts'
import type { MemberAnswer } from '../../tc-core/host/membership.ts'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { Load, TestCluster } from './cluster.ts'
import { controlled, eventually } from './harness.ts'

type T = { teardown(then: () => unknown): void }

async function start(t: T, names: readonly string[], rules = { fragments: 8, lockParts: 1, replicas: 3 }) {
  const cluster = new TestCluster(t, rules)
  for (const name of names) await cluster.node(name)
  await cluster.settled()
  const gateway = await cluster.gateway()
  const client = await gateway.client()
  await client.registerRM('db')
  return { cluster, ...gateway, client, load: () => new Load(t, client) }
}

const rolesOf = (node: ClusterNode) => node.health.fragments.map(({ role }) => role)
const reasonOf = (answer: MemberAnswer) => ('refused' in answer ? `${answer.refused}: ${answer.reason}` : 'done')

async function drained(node: ClusterNode, name: string): Promise<void> {
  await eventually(async () => {
    const answer = await node.membership.drain(name)
    return 'replicas' in answer && answer.replicas === 0
  }, `${name} being empty`)
}

test('M3, R4: a learner follows every fragment, never leads, is told to gateways, and leads when it is promoted', async (t) => {
  const { cluster, links, client, load } = await start(t, ['n1', 'n2'], { fragments: 4, lockParts: 1, replicas: 2 })
  const learner = await cluster.node('l1', { learner: true })
  const running = load()
  await running.through(100)
  t.deepEqual(rolesOf(learner), ['follower', 'follower', 'follower', 'follower'])
  await eventually(() => links.learners === 1)
  t.is(learner.health.members.find(({ name }) => name === 'l1')!.role, 'learner')
  cluster.kill('n1')
  await cluster.led()
  t.deepEqual(cluster.leaders, ['n2', 'n2', 'n2', 'n2'])
  await running.through(100)
  await running.stop()
  t.deepEqual(running.failures, [])
  const last = cluster.nodes.get('n2')!
  for (let fragment = 0; fragment < 4; fragment++) {
    const same = () => last.fragment(fragment)!.hash === learner.fragment(fragment)!.hash
    await eventually(same, 'the learner having all of it')
  }
  // Nobody who may lead is left: a learner stands by.
  cluster.kill('n2')
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  t.deepEqual(rolesOf(learner), ['follower', 'follower', 'follower', 'follower'])
  t.like(await learner.membership.promote('l1'), { node: 'l1', role: 'member' })
  for (const name of ['n1', 'n2']) t.like(await learner.membership.leave(name), { node: name, role: 'gone' })
  await eventually(() => cluster.leaders.every((leader) => leader === 'l1'), 'the promoted one leading')
  for (const xid of running.committed) t.is((await client.status(xid)).globalStatus, GlobalStatus.Committed)
})

test('M3: a learner that starts without being told to be one is promoted, one that was promoted stays so', async (t) => {
  const { cluster } = await start(t, ['n1'], { fragments: 4, lockParts: 1, replicas: 2 })
  await cluster.node('l1', { learner: true })
  await cluster.stop('l1')
  const again = await cluster.node('l1', { learner: true })
  t.is(again.health.members.find(({ name }) => name === 'l1')!.role, 'learner')
  await cluster.stop('l1')
  await cluster.node('l1')
  await cluster.settled()
  t.deepEqual(cluster.shares, [2, 2])
  await cluster.stop('l1')
  await cluster.node('l1', { learner: true })
  await cluster.settled()
  t.deepEqual(cluster.shares, [2, 2])
})

test('M9: a node that is drained under load and removed: its fragments move, and no request fails', async (t) => {
  const { cluster, client, links, load } = await start(t, ['n1', 'n2', 'n3', 'n4'])
  const running = load()
  await running.through(100)
  const [asked, leaving] = [cluster.nodes.get('n1')!, cluster.nodes.get('n4')!]
  t.regex(reasonOf(await asked.membership.leave('n4')), /^not now: n4 lives and holds 6 replicas: drain it first/)
  await drained(asked, 'n4')
  t.deepEqual(leaving.health.fragments, [])
  await running.through(100)
  t.deepEqual(await asked.membership.leave('n4'), { node: 'n4', role: 'gone', replicas: 0 })
  await eventually(() => links.state.length === 3, 'the gateway letting it go')
  await eventually(() =>
    /n4 was removed from the cluster: this one takes no more part/.test(leaving.health.trouble ?? '')
  )
  cluster.kill('n4')
  await cluster.settled()
  await running.through(100)
  await running.stop()
  t.deepEqual(running.failures, [])
  t.is(reasonOf(await asked.membership.leave('n4')), 'unknown: there is no node n4 in the cluster')
  for (const node of cluster.nodes.values()) t.is(node.health.fragments.length, 8)
  for (const xid of running.committed) t.is((await client.status(xid)).globalStatus, GlobalStatus.Committed)
})

test('M9: a dead node is removed for good, the others get its replicas, and who comes back under its name is new', async (t) => {
  const { cluster, client, load } = await start(t, ['n1', 'n2', 'n3', 'n4'])
  const running = load()
  await running.through(50)
  cluster.kill('n3')
  await cluster.led()
  const asked = cluster.nodes.get('n2')!
  t.like(await asked.membership.leave('n3'), { node: 'n3', role: 'gone' })
  await cluster.settled()
  const full = () => [...cluster.nodes.values()].every((node) => node.health.fragments.length === 8)
  await eventually(full, 'three replicas of each of eight fragments on three nodes')
  await running.through(50)
  await cluster.node('n3')
  await cluster.settled()
  t.deepEqual(cluster.shares, [2, 2, 2, 2])
  await running.through(50)
  await running.stop()
  t.deepEqual(running.failures, [])
  for (const xid of running.committed) t.is((await client.status(xid)).globalStatus, GlobalStatus.Committed)
})

test('with one replica of each, the leader leads on until who is to take over has caught up', async (t) => {
  const { cluster, load } = await start(t, ['n1'], { fragments: 4, lockParts: 1, replicas: 1 })
  // It takes its time to read what it is to hold.
  const storage = controlled(cluster.data, {
    before: (kind, key) =>
      kind === 'getMany' && key.includes(':e:') ? new Promise((go) => setTimeout(go, 20)) : undefined
  })
  await cluster.node('n2', { storage })
  await cluster.settled()
  const running = load()
  await running.through(100)
  const before = cluster.log.lines.length
  await drained(cluster.nodes.get('n2')!, 'n1')
  await cluster.led()
  t.deepEqual(cluster.leaders, ['n2', 'n2', 'n2', 'n2'])
  const lines = cluster.log.lines.slice(before)
  const when = (text: string, fragment: unknown) =>
    lines.findIndex((line) => line.text === text && line.fields!.fragment === fragment)
  const moved = lines.filter(({ text }) => text === 'hands the fragment over').map(({ fields }) => fields!.fragment)
  t.is(moved.length, 2)
  for (const fragment of moved) {
    t.true(when('follows the fragment', fragment) >= 0)
    t.true(when('follows the fragment', fragment) < when('hands the fragment over', fragment), `fragment ${fragment}`)
  }
  await running.through(50)
  t.like(await cluster.nodes.get('n2')!.membership.promote('n1'), { node: 'n1', role: 'member' })
  await cluster.settled()
  t.deepEqual(cluster.shares, [2, 2])
  await running.through(50)
  await running.stop()
  t.deepEqual(running.failures, [])
})

test('what cannot be is refused in words', async (t) => {
  const { cluster } = await start(t, ['n1'], { fragments: 2, lockParts: 1, replicas: 2 })
  const { membership } = cluster.nodes.get('n1')!
  const learner = await cluster.node('l1', { learner: true })
  const only = /^not now: n1 is the only node that can lead: nobody is there to take its fragments$/
  t.regex(reasonOf(await membership.drain('n1')), only)
  t.regex(reasonOf(await membership.leave('n1')), only)
  t.regex(reasonOf(await membership.drain('l1')), /^not now: l1 is a learner and leads nothing: remove it as it is$/)
  for (const action of ['drain', 'leave', 'promote'] as const) {
    t.is(reasonOf(await membership[action]('n9')), 'unknown: there is no node n9 in the cluster')
  }
  t.like(await membership.leave('l1'), { node: 'l1', role: 'gone' })
  await eventually(() => /l1 was removed/.test(learner.health.trouble ?? ''))
  t.deepEqual(cluster.leaders, ['n1', 'n1'])
})
