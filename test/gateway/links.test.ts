// The gateway over its links: how it finds the nodes and the leaders, and what becomes of requests while these change.
import test from 'ava'
import type { Links } from '../../gateway/links.ts'
import type { Limits } from '../../tc-core/wire/limits.ts'
import * as f from '../../tc-core/wire/link-frames.ts'
import { fragmentOf, transactionId } from '../../tc-core/wire/xid.ts'
import { eventually } from '../host/harness.ts'
import { FakeCluster, type FakeRequest, startGateway } from './fake-node.ts'

type T = { teardown(then: () => unknown): void }

const leaderOf = (links: Links, fragment: number) => links.leaders[fragment]?.leader ?? null
const xidOf = (fragment: number) => `127.0.0.1:8091:${transactionId(fragment, Date.now(), 1)}`
const commit = (fragment: number) => ({ type: 7, xid: xidOf(fragment), extraData: '' })
const begin = { type: 1, timeout: 60_000, transactionName: 'tx' }
const identityOf = ({ identity, proposed }: FakeRequest) => ({ identity, proposed })

/** Two nodes: n1 leads fragment 0, n2 leads fragment 1. */
async function pair(t: T, limits: Partial<Limits> = {}) {
  const cluster = new FakeCluster(t)
  const [n1, n2] = [await cluster.node('n1'), await cluster.node('n2')]
  n1.lead({ 0: 3 })
  n2.lead({ 1: 3 })
  const gateway = await startGateway(t, [n1], limits)
  await eventually(() => leaderOf(gateway.links, 0) === 'n1' && leaderOf(gateway.links, 1) === 'n2')
  return { cluster, n1, n2, ...gateway }
}

test('M15: one node is enough to learn of the others, of those that join, and of those that leave', async (t) => {
  const { cluster, n2, links } = await pair(t)
  t.deepEqual(links.state.map(({ node }) => node).sort(), ['n1', 'n2'])
  const n3 = await cluster.node('n3')
  n3.lead({ 1: 4 })
  cluster.members = cluster.nodes.filter((node) => node !== n2)
  cluster.viewed()
  await eventually(() => leaderOf(links, 1) === 'n3' && links.state.length === 2)
  t.deepEqual(links.state.map(({ node }) => node).sort(), ['n1', 'n3'])
  await eventually(() => n2.links.length === 0)
  cluster.version = 1
  n3.send(cluster.view)
  cluster.members = null
  n3.lead({ 1: 5, 0: 5 })
  await eventually(() => leaderOf(links, 0) === 'n3')
  t.is(links.state.length, 2, 'an older view changes nothing')
})

test('a cluster that was made anew on an emptied store is believed when nobody of the one before is left', async (t) => {
  const { cluster, n1, n2, links } = await pair(t)
  const version = links.view.version
  cluster.born = 'anew'
  cluster.version = 0
  cluster.fragments = 4
  t.true(version > 0)
  n1.drop()
  await eventually(() => n1.came > 1 && links.state.every(({ up }) => up))
  t.is(links.view.version, version, 'n2 is still one of the old cluster')
  n2.drop()
  await eventually(() => links.view.born === 'anew')
  t.is(links.view.fragments, 4)
})

test('M11: every message goes to the fragment of its XID, a begin to the one that its new XID names', async (t) => {
  const { n1, n2, client } = await pair(t)
  n1.on = n1.confirm
  n2.on = n2.confirm
  const c = await client()
  await c.registerTM()
  const branch = { branchId: 7n, branchType: 0, resourceId: 'db', lockKey: 't:1', applicationData: '', status: 1 }
  const byXid = [7, 9, 11, 13, 15, 17, 21].map((type) => ({ type, extraData: '', globalStatus: 1, ...branch }))
  for (const [i, message] of byXid.entries()) {
    t.is((await c.request({ ...message, xid: xidOf(0) }, { id: 10 + i })).type, message.type + 1)
    t.is((await c.request({ ...message, xid: xidOf(1) }, { id: 20 + i })).type, message.type + 1)
  }
  // Hundreds go to one fragment together: it is drawn again and again until both have had some.
  const begins = () => [n1, n2].map(({ requests }) => requests.filter(({ message }) => message.type === 1).length)
  for (let i = 0; i < 15_000 && (i < 1500 || Math.min(...begins()) <= 20); i++) await c.request(begin, { id: 100 + i })
  for (const [node, fragment] of [
    [n1, 0],
    [n2, 1]
  ] as const) {
    t.true(node.requests.filter(({ message }) => message.type === 1).length > 20)
    for (const { message, proposed } of node.requests) t.is(fragmentOf(message.xid ?? proposed), fragment)
    t.true(node.requests.every(({ fragment: sent }) => sent === fragment))
  }
  const identities = [...n1.requests, ...n2.requests].map(({ identity }) => identity)
  t.is(new Set(identities).size, identities.length)
})

test('the highest term leads, whoever says so first or last', async (t) => {
  const { n1, n2, links } = await pair(t)
  n2.lead({ 0: 7, 1: 3 })
  await eventually(() => leaderOf(links, 0) === 'n2')
  n1.lead({ 0: 6 })
  n1.send({ type: f.RmGone.code, clientId: 'anything' })
  await eventually(() => links.state.some(({ node, leads }) => node === 'n1' && leads.length === 1))
  t.is(leaderOf(links, 0), 'n2')
  n1.lead({ 0: 8 })
  await eventually(() => leaderOf(links, 0) === 'n1')
  n1.lead({})
  await eventually(() => leaderOf(links, 0) === 'n2')
})

test('M13, M17: the link to a leader breaks: its requests are kept and sent to the next leader, the same and marked as sent before', async (t) => {
  const { n1, n2, gateway, client } = await pair(t)
  const c = await client()
  await c.registerTM()
  c.send(commit(0), { id: 5 })
  for (let i = 0; i < 8; i++) c.send(begin, { id: 10 + i })
  await eventually(() => n1.requests.length + n2.requests.length === 9)
  const sent = [...n1.requests]
  t.true(sent.every(({ again }) => !again))
  n1.close()
  await eventually(() => gateway.parked === sent.length)
  t.true(n2.requests.every(({ fragment }) => fragment === 1))
  n2.on = n2.confirm
  for (const request of n2.requests) n2.confirm(request)
  n2.lead({ 0: 4, 1: 3 })
  t.is((await c.answer(5)).message!.resultCode, 1)
  for (let i = 0; i < 8; i++) t.is((await c.answer(10 + i)).message!.resultCode, 1)
  const repeated = n2.requests.filter(({ again }) => again)
  t.deepEqual(repeated.map(identityOf), sent.map(identityOf))
  t.deepEqual(
    repeated.map(({ body }) => body),
    sent.map(({ body }) => body)
  )
})

for (const between of [false, true]) {
  const title = between ? 'after a time without any' : 'at once'
  test(`R12: a newer leader, ${title}, is asked instead of the old one, whose late answers do not count`, async (t) => {
    const { n1, n2, links, client } = await pair(t)
    const c = await client()
    await c.registerTM()
    c.send(commit(0), { id: 5 })
    await eventually(() => n1.requests.length === 1)
    if (between) {
      // The old leader says itself that it leads no more, and its link stays.
      n1.lead({})
      await eventually(() => leaderOf(links, 0) === null)
    }
    n2.lead({ 0: 9, 1: 3 })
    await eventually(() => n2.requests.length === 1)
    t.true(n2.requests[0]!.again)
    t.is(n2.requests[0]!.identity, n1.requests[0]!.identity)
    n1.answer(n1.requests[0]!, { type: 8, resultCode: 0, msg: 'from the old leader', globalStatus: 0 })
    n1.refuse(n1.requests[0]!, 2)
    n1.lead({})
    await eventually(() => links.state.some(({ node, leads }) => node === 'n1' && leads.length === 0))
    n2.confirm(n2.requests[0]!)
    t.like((await c.answer(5)).message!, { resultCode: 1, globalStatus: 9 })
    n1.on = n1.confirm
    n1.lead({ 0: 10 })
    await eventually(() => leaderOf(links, 0) === 'n1')
    t.is((await c.request(commit(0), { id: 6 })).resultCode, 1)
    t.is(n2.requests.length, 1)
    t.is(c.received.length, 0)
  })
}

test('M16: a node that leads no more refuses; the request is kept and asked again, not as one that was executed', async (t) => {
  const { n1, client } = await pair(t)
  const c = await client()
  await c.registerTM()
  let refusals = 3
  n1.on = (request) => (refusals-- > 0 ? n1.refuse(request, 1) : n1.confirm(request))
  t.is((await c.request(commit(0), { id: 5 })).resultCode, 1)
  t.is(n1.requests.length, 4)
  t.true(n1.requests.every(({ again }) => !again))
  t.is(new Set(n1.requests.map(({ identity }) => identity)).size, 1)
})

test('R13: a request that is asked again says how long it has waited', async (t) => {
  const { n1, n2, links, client } = await pair(t)
  const c = await client()
  await c.registerTM()
  const at = performance.now()
  c.send(commit(0), { id: 5 })
  await eventually(() => n1.requests.length === 1)
  n1.refuse(n1.requests[0]!, 1)
  n1.lead({})
  await eventually(() => leaderOf(links, 0) === null && performance.now() - at > 200)
  n2.on = n2.confirm
  n2.lead({ 0: 9, 1: 1 })
  t.is((await c.answer(5)).message!.resultCode, 1)
  const most = performance.now() - at
  const [first, second] = [n1.requests[0]!.waited, n2.requests[0]!.waited]
  t.true(first <= 100 && second >= 150 && second <= most, `${first}, ${second} of ${most}`)
})

test('nothing is known yet: requests wait, and go when it is', async (t) => {
  const cluster = new FakeCluster(t)
  const n1 = await cluster.node('n1')
  n1.close()
  const { gateway, client } = await startGateway(t, [n1])
  const c = await client()
  await c.registerTM()
  c.send(begin, { id: 5 })
  c.send(commit(1), { id: 6 })
  await eventually(() => gateway.parked === 2)
  n1.on = n1.confirm
  n1.leading = [0, 1].map((fragment) => ({ fragment, mark: 1 }))
  await n1.listen()
  t.is((await c.answer(5)).message!.resultCode, 1)
  t.is((await c.answer(6)).message!.resultCode, 1)
  t.is(n1.requests.find(({ message }) => message.type === 7)!.fragment, 1)
  const { proposed, fragment } = n1.requests.find(({ message }) => message.type === 1)!
  t.is(fragmentOf(proposed), fragment)
})

test('M22: begins go to fragments that are led while some are, also those that waited for another; commits wait for theirs', async (t) => {
  const { n1, n2, links, gateway, client } = await pair(t)
  const c = await client()
  await c.registerTM()
  n1.on = (request) => n1.refuse(request, 1)
  n2.on = n2.confirm
  for (let i = 0; i < 20; i++) c.send(begin, { id: 100 + i })
  c.send(commit(0), { id: 5 })
  await eventually(() => n1.requests.some(({ message }) => message.type === 7))
  n1.lead({})
  await eventually(() => leaderOf(links, 0) === null)
  t.deepEqual(links.openFragments(), [1])
  for (let i = 0; i < 20; i++) t.is(fragmentOf((await c.answer(100 + i)).message!.xid), 1)
  for (let i = 0; i < 20; i++) t.is(fragmentOf((await c.request(begin, { id: 200 + i })).xid), 1)
  t.is(gateway.parked, 1)
  t.true(links.exists(0))
  t.deepEqual(links.troubles(), ['fragment 0: nobody leads it'])
  n2.lead({})
  await eventually(() => leaderOf(links, 1) === null)
  t.deepEqual(links.openFragments(), [0, 1], 'none is led: they wait for any')
  n1.on = n1.confirm
  n1.lead({ 0: 4 })
  t.is((await c.answer(5)).message!.resultCode, 1)
})

test('M22: a begin that a node refuses when it leads no more goes to another fragment at once', async (t) => {
  const { n1, n2, links, gateway, client } = await pair(t)
  const c = await client()
  await c.registerTM()
  n2.on = n2.confirm
  for (let i = 0; i < 20; i++) c.send(begin, { id: 100 + i })
  await eventually(() => n1.requests.length + n2.requests.length === 20)
  n1.lead({})
  await eventually(() => leaderOf(links, 0) === null)
  for (const request of n1.requests) n1.refuse(request, 1)
  for (let i = 0; i < 20; i++) t.is(fragmentOf((await c.answer(100 + i)).message!.xid), 1)
  t.is(gateway.parked, 0)
})

test('M19: a route that is wrong is put right by what the nodes say again and again', async (t) => {
  const { n1, n2, links, client } = await pair(t)
  n1.lead({ 0: 3, 1: 99 })
  await eventually(() => leaderOf(links, 1) === 'n1')
  n1.on = (request) => (request.fragment === 1 ? n1.refuse(request, 1) : n1.confirm(request))
  n2.on = n2.confirm
  const c = await client()
  await c.registerTM()
  c.send(commit(1), { id: 5 })
  await eventually(() => n1.requests.length > 2)
  n1.lead({ 0: 3 })
  t.is((await c.answer(5)).message!.resultCode, 1)
  t.is(n2.requests.length, 1)
})

test('M19: a route that is wrong in the table of one gateway is found by its check, put right and counted', async (t) => {
  const { n1, n2, links, gateway, logger, client } = await pair(t)
  n1.on = (request) => (request.fragment === 1 ? n1.refuse(request, 1) : n1.confirm(request))
  n2.on = n2.confirm
  const c = await client()
  await c.registerTM()
  t.is(links.mismatches, 0)
  links.corrupt(1, 'n1')
  t.is(leaderOf(links, 1), 'n1')
  const at = performance.now()
  c.send(commit(1), { id: 5 })
  t.is((await c.answer(5)).message!.resultCode, 1, 'who was sent the wrong way is answered all the same')
  await eventually(() => leaderOf(links, 1) === 'n2')
  t.true(performance.now() - at < 2_500, 'within the interval of a second')
  t.is(links.mismatches, 1)
  links.corrupt(0, 'nobody')
  await eventually(() => leaderOf(links, 0) === 'n1')
  t.is(links.mismatches, 2)
  t.is(logger.lines.filter(({ text }) => text === 'routes were wrong and are put right').length, 2)
  t.is(gateway.parked, 0)
  t.is((await c.request(commit(0), { id: 6 })).resultCode, 1)
})

test('limit: requests that wait for a leader; one more is refused at once', async (t) => {
  const { n1, gateway, client } = await pair(t, { maxParked: 3 })
  n1.close()
  const c = await client()
  await c.registerTM()
  for (let i = 0; i < 3; i++) c.send(commit(0), { id: 10 + i })
  await eventually(() => gateway.parked === 3)
  t.regex((await c.request(commit(0), { id: 20 })).msg, /too many requests are waiting \(3\)/)
})
