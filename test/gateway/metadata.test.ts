// Seata's discovery over HTTP, as clients with `registry.type: raft` use it: who is there, and a wait for that to change.
import { connect } from 'node:net'
import test from 'ava'
import Fastify from 'fastify'
import { Metadata, metadataRoutes } from '../../gateway/metadata.ts'
import { Cluster } from '../e2e/cluster.ts'
import { startApp } from '../e2e/servers.ts'
import { captures } from '../golden/golden.ts'
import { eventually } from '../host/harness.ts'

type T = { teardown(then: () => unknown): void }

const HERE = { name: 'g1', transaction: '10.1.1.1:8091', control: '10.1.1.1:7091' }
const THERE = { name: 'g2', transaction: '[fd00::2]:8091', control: '[fd00::2]:7091' }
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
/** More than any request here may need. */
const LONG_MS = 20_000

async function start(t: T, metadata = new Metadata()) {
  const app = Fastify()
  metadataRoutes(app, metadata)
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => {
    metadata.close()
    return app.close()
  })
  metadata.set([HERE, THERE])
  const gone = new AbortController()
  const watch = async (body: string, query = '') => {
    const started = performance.now()
    const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(LONG_MS)])
    const response = await fetch(`${url}/metadata/v1/watch${query}`, { method: 'POST', headers: FORM, body, signal })
    return { status: response.status, body: await response.text(), ms: performance.now() - started }
  }
  return { app, metadata, url, watch, leave: () => gone.abort() }
}

async function ask(url: string, group = '') {
  const response = await fetch(`${url}/metadata/v1/cluster?group=${group}`)
  return (await response.json()) as { nodes: { transaction: { port: number }; role: string }[]; term: number }
}

/** The hosts that are named leaders. */
const leaders = (nodes: readonly { transaction: { host: string }; role: string }[]) =>
  nodes.filter(({ role }) => role === 'LEADER').map(({ transaction }) => transaction.host)

test('R4, M18: the cluster, with exactly what every Java client can read, and the group that was asked for', async (t) => {
  const { app, metadata } = await start(t)
  for (const [query, group] of [
    ['?group=default', 'default'],
    ['', 'default'],
    ['?group=', 'default'],
    ['?group=orders', 'orders']
  ]) {
    const response = await app.inject(`/metadata/v1/cluster${query}`)
    t.is(response.statusCode, 200)
    t.regex(String(response.headers['content-type']), /^application\/json/)
    t.is(response.headers['cache-control'], 'no-store')
    const of = (host: string, role: string) =>
      `{"control":{"host":"${host}","port":7091},"transaction":{"host":"${host}","port":8091},"group":"${group}","role":"${role}"}`
    const either = [
      `[${of('10.1.1.1', 'LEADER')},${of('fd00::2', 'FOLLOWER')}]`,
      `[${of('10.1.1.1', 'FOLLOWER')},${of('fd00::2', 'LEADER')}]`
    ]
    t.true(either.some((nodes) => response.body === `{"nodes":${nodes},"storeMode":"raft","term":${metadata.term}}`))
  }
})

test('R4, M3: a node that is a learner is shown as one, where the leader is: it takes no clients', async (t) => {
  const { app, metadata } = await start(t)
  const before = metadata.term
  metadata.set([HERE, THERE], 2)
  t.true(metadata.term > before, 'who watches hears of it')
  const { nodes } = (await app.inject('/metadata/v1/cluster')).json()
  t.deepEqual(nodes.map(({ role }: { role: string }) => role).sort(), ['FOLLOWER', 'LEADER', 'LEARNER', 'LEARNER'])
  const leader = nodes.find(({ role }: { role: string }) => role === 'LEADER')
  for (const learner of nodes.slice(2)) t.deepEqual(learner, { ...leader, role: 'LEARNER' })
})

test('R4: every gateway names a client the same leader, clients are spread, and only those of a gateway that goes are sent elsewhere', async (t) => {
  const names = ['g1', 'g2', 'g3']
  const place = (name: string) => ({ name, transaction: `${name}.example:8091`, control: `${name}.example:7091` })
  const named = async (places: readonly string[], client: string) => {
    const metadata = new Metadata()
    metadata.set(places.map(place))
    return leaders((metadata.cluster('default', client) as { nodes: never[] }).nodes)[0]!
  }
  const hits = new Map<string, number>()
  for (let i = 0; i < 300; i++) {
    const client = `10.0.${i >> 8}.${i & 255}`
    const leader = await named(names, client)
    t.is(await named(['g3', 'g1', 'g2'], client), leader)
    const without = await named(['g1', 'g2'], client)
    if (leader !== 'g3.example') t.is(without, leader)
    hits.set(leader, (hits.get(leader) ?? 0) + 1)
  }
  t.is(hits.size, 3)
  for (const [name, count] of hits) t.true(count > 60, `${name}: ${count}`)
})

test("R4, R5: what Seata's raft server was asked is answered as it answers, byte for byte or in its shape", async (t) => {
  const { url, metadata } = await start(t)
  const probe = (name: string) => {
    const { frames } = captures().find((capture) => capture.name === `probes/${name}`)!
    const [asked, answered] = ['c2s', 's2c'].map((dir) => Buffer.from(frames.find((f) => f.dir === dir)!.hex!, 'hex'))
    return { asked: asked!, answered: read(answered!) }
  }
  const read = (bytes: Buffer) => {
    const [head = '', body] = bytes.toString().split('\r\n\r\n')
    const [, status, length] = /^HTTP\/1\.1 (\d+) .*\r\ncontent-length: (\d+)/is.exec(head)!
    return { status, empty: length === '0', body }
  }
  const here = (asked: Buffer) =>
    new Promise<ReturnType<typeof read>>((resolve, reject) => {
      const chunks: Buffer[] = []
      const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(asked))
      socket.on('data', (chunk) => chunks.push(chunk))
      socket.once('error', reject).once('end', () => resolve(read(Buffer.concat(chunks))))
    })

  const watch = probe('raft-watch')
  t.deepEqual(await here(watch.asked), watch.answered)

  const cluster = probe('raft-metadata')
  const [seatas, ours] = [cluster.answered.body!, (await here(cluster.asked)).body!].map((body) => JSON.parse(body))
  t.deepEqual(Object.keys(ours), Object.keys(seatas))
  t.is(ours.storeMode, seatas.storeMode)
  t.is(ours.term, metadata.term)
  for (const node of ours.nodes) {
    // Theirs has `internal`, `version` and `metadata` as well: clients before 2.1 know no `internal` and no `version`.
    t.deepEqual(Object.keys(node), ['control', 'transaction', 'group', 'role'])
    t.true(Object.keys(node).every((key) => key in seatas.nodes[0]))
    t.deepEqual(Object.keys(node.control), Object.keys(seatas.nodes[0].control))
    t.is(node.group, seatas.nodes[0].group)
    t.true(seatas.nodes.some(({ role }: { role: string }) => role === node.role))
  }
})

test('R5: a watch that knows an older term is answered at once, with 200 and nothing', async (t) => {
  const { watch, metadata } = await start(t)
  for (const body of ['default=0', `default=${metadata.term - 1}`, 'default=', 'default=x', '']) {
    t.like(await watch(body), { status: 200, body: '' }, body)
  }
  t.is(metadata.watches, 0)
})

test('R5: a watch that knows the term blocks until there is a change, and hears of it within a second', async (t) => {
  const { watch, metadata } = await start(t)
  const watching = [watch(`default=${metadata.term}`), watch(`default=${metadata.term + 5}&timeout=27000`)]
  await eventually(() => metadata.watches === 2)
  const before = metadata.term
  const changed = performance.now()
  metadata.set([HERE])
  for (const answer of await Promise.all(watching)) t.like(answer, { status: 200, body: '' })
  t.true(performance.now() - changed < 1000)
  t.true(metadata.term > before)
  t.is(metadata.watches, 0)
})

test('R5: without a change it is 304 when the time of the query or of the form is over', async (t) => {
  const { watch, metadata } = await start(t)
  const known = `default=${metadata.term}`
  for (const [body, query] of [
    [known, '?timeout=150'],
    [`${known}&timeout=150`, '']
  ] as const) {
    const answer = await watch(body, query)
    t.like(answer, { status: 304, body: '' })
    t.true(answer.ms >= 145, `${answer.ms} ms`)
  }
  for (const none of ['0', '-7']) t.is((await watch(known, `?timeout=${none}`)).status, 304)
  t.is(metadata.watches, 0)
})

test('R5: the time is 28 s where none is given, and never more', async (t) => {
  const times: number[] = []
  class Recorder extends Metadata {
    override watch(_known: number, ms: number, answer: (changed: boolean) => void) {
      times.push(ms)
      answer(false)
      return () => {}
    }
  }
  const { watch } = await start(t, new Recorder())
  for (const query of ['', '?timeout=', '?timeout=soon', '?timeout=60000', '?timeout=1&timeout=2', '?timeout=250']) {
    t.is((await watch('default=1', query)).status, 304)
  }
  t.deepEqual(times, [28_000, 28_000, 28_000, 28_000, 28_000, 250])
})

test('M18: several groups in one watch: one that is known in an older term is enough, and one change is for all', async (t) => {
  const { watch, metadata } = await start(t)
  const { term } = metadata
  t.is((await watch(`a=${term}&b=${term - 1}&c=${term}`)).status, 200)
  t.is((await watch(`a=${term}`, `?b=${term - 1}`)).status, 200)
  t.is((await watch(`a=${term}&b=${term}`, '?timeout=50')).status, 304)
  const watching = watch(`a=${term}&b=${term}&c=${term}`)
  await eventually(() => metadata.watches === 1)
  metadata.set([HERE])
  t.is((await watching).status, 200)
})

test('a client that goes away leaves no watch behind', async (t) => {
  const { watch, metadata, leave } = await start(t)
  const watching = Array.from({ length: 20 }, () => watch(`default=${metadata.term}`))
  await eventually(() => metadata.watches === 20)
  leave()
  for (const { status } of await Promise.allSettled(watching)) t.is(status, 'rejected')
  await eventually(() => metadata.watches === 0)
})

test('limit: watches that wait; one more hears soon that nothing changed, and one beyond twice as many at once', async (t) => {
  const { watch, metadata } = await start(t, new Metadata(3))
  const known = `default=${metadata.term}`
  const watching = Array.from({ length: 3 }, () => watch(known))
  await eventually(() => metadata.watches === 3)
  const more = Array.from({ length: 3 }, () => watch(known))
  await eventually(() => metadata.watches === 6)
  const beyond = await watch(known)
  t.like(beyond, { status: 304, body: '' })
  t.true(beyond.ms < 900, `${beyond.ms} ms`)
  for (const answer of await Promise.all(more)) {
    t.like(answer, { status: 304, body: '' })
    t.true(answer.ms > 900 && answer.ms < 5_000, `${answer.ms} ms: who asks again at once must not spin`)
  }
  t.is(metadata.watches, 3)
  t.is((await watch('default=0')).status, 200)
  metadata.set([HERE])
  for (const answer of await Promise.all(watching)) t.is(answer.status, 200)
})

test('its close lets everybody go, and nobody wait any more', async (t) => {
  const { watch, metadata } = await start(t)
  const watching = Array.from({ length: 5 }, () => watch(`default=${metadata.term}`))
  await eventually(() => metadata.watches === 5)
  metadata.close()
  for (const answer of await Promise.all(watching)) t.is(answer.status, 200)
  t.is((await watch(`default=${metadata.term}`)).status, 200)
  t.is(metadata.watches, 0)
})

test('R4: one process names itself, with its own ports, and says nothing before it can be reached', async (t) => {
  const { app, port } = await startApp(t)
  const early = await app.inject('/metadata/v1/cluster?group=default')
  t.is(early.statusCode, 503)
  t.deepEqual(early.json(), { error: 'this gateway is not open yet' })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  await eventually(async () => (await app.inject('/metadata/v1/cluster')).statusCode === 200)
  const place = (at: number) => ({ host: '127.0.0.1', port: at })
  const node = { control: place(Number(new URL(url).port)), transaction: place(port), group: 'default', role: 'LEADER' }
  t.deepEqual((await ask(url)).nodes as unknown, [node])
})

test('R4, R5: a gateway names itself while no node can be asked', async (t) => {
  const { app, port } = await startApp(t, { nodes: '127.0.0.1:1' })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  await eventually(async () => (await app.inject('/metadata/v1/cluster')).statusCode === 200)
  t.deepEqual((await ask(url)).nodes.map(({ transaction, role }) => [transaction.port, role]) as unknown, [
    [port, 'LEADER']
  ])
})

test('R5, T19: a watch at any gateway hears of another that comes and of one that is killed, and the leader changes', async (t) => {
  t.timeout(60_000)
  const cluster = new Cluster(t)
  await cluster.node('n1')
  const gateways = [await cluster.gateway()]
  const url = (of: { httpPort: number }) => `http://127.0.0.1:${of.httpPort}`
  const ports = async (of: { httpPort: number }) =>
    (await ask(url(of))).nodes.map(({ transaction }) => transaction.port)
  const leader = async (of: { httpPort: number }) =>
    (await ask(url(of))).nodes.find(({ role }) => role === 'LEADER')!.transaction.port
  /** What is done changes what a gateway tells, and who waits there hears of it within a second. */
  const changes = async (at: { httpPort: number }, what: () => Promise<unknown>) => {
    const body = `default=${(await ask(url(at))).term}`
    const watching = fetch(`${url(at)}/metadata/v1/watch`, { method: 'POST', headers: FORM, body })
    await what()
    const done = performance.now()
    t.is((await watching).status, 200)
    t.true(performance.now() - done < 1000)
  }
  await changes(gateways[0]!, async () => void gateways.push(await cluster.gateway()))
  const [a, b] = gateways as [(typeof gateways)[0], (typeof gateways)[0]]
  await eventually(async () => (await ports(a)).length === 2 && (await ports(b)).length === 2)
  t.is(await leader(a), await leader(b), 'both name the same')
  const [leading, following] = (await leader(a)) === a.port ? [a, b] : [b, a]
  await changes(following, () => leading.process.kill('SIGKILL'))
  t.deepEqual(await ports(following), [following.port])
  t.is(await leader(following), following.port)
})
