// The way through a gateway to the HTTP side of each node: `/nodes/<name>/…`, and what is said when there is no way.
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'ava'
import Fastify from 'fastify'
import { nodeRoutes } from '../../gateway/node-routes.ts'
import { Cluster } from '../e2e/cluster.ts'
import { eventually } from '../host/harness.ts'

type T = { teardown(then: () => unknown): void }

/** What people wait for a node that does not answer, ms. */
const QUICK_MS = 8_000

async function listen(t: T, handler: RequestListener): Promise<{ server: Server; address: string }> {
  const server = createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, address: `127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** A gateway's HTTP side, over nodes at these addresses. */
async function start(t: T, nodes: Readonly<Record<string, string>>, prefix = '') {
  const app = Fastify({ forceCloseConnections: true })
  app.register(async (scope) => nodeRoutes(scope, (node) => nodes[node]), { prefix })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  t.teardown(() => app.close())
  return async (path: string) => {
    const started = performance.now()
    const response = await fetch(`${url}${path}`, { signal: AbortSignal.timeout(2 * QUICK_MS) })
    const { status, headers } = response
    return { status, headers, text: await response.text(), ms: performance.now() - started }
  }
}

test("what a node's HTTP side answers comes back as it is: path, query, status, headers and body", async (t) => {
  const node = await listen(t, (request, response) => {
    response.writeHead(request.url === '/health' ? 503 : 200, { 'x-seen': `${request.method} ${request.url}` })
    response.end(`{"host":"${request.headers.host}"}`)
  })
  const get = await start(t, { n1: node.address })
  const detail = await get('/nodes/n1/health/detail?deep=1')
  t.is(detail.status, 200)
  t.is(detail.headers.get('x-seen'), 'GET /health/detail?deep=1')
  t.is(detail.text, `{"host":"${node.address}"}`)
  t.is((await get('/nodes/n1/health')).status, 503)
  for (const root of ['/nodes/n1', '/nodes/n1/']) t.is((await get(root)).headers.get('x-seen'), 'GET /')
})

test('each name leads to its own node, and under the prefix of the plugin too', async (t) => {
  const [a, b] = [await listen(t, (_q, reply) => reply.end('a')), await listen(t, (_q, reply) => reply.end('b'))]
  const get = await start(t, { a: a.address, b: b.address }, '/tc')
  for (const name of ['a', 'b', 'a']) t.is((await get(`/tc/nodes/${name}/health`)).text, name)
  t.is((await get('/nodes/a/health')).status, 404)
})

test('a node that nobody knows is 404, and says so', async (t) => {
  const get = await start(t, {})
  for (const path of ['/nodes/n9/health/detail', '/nodes/n9']) {
    const { status, text } = await get(path)
    t.is(status, 404)
    t.deepEqual(JSON.parse(text), { error: 'there is no node n9 in the cluster' })
  }
})

test('no path leads elsewhere than to a node', async (t) => {
  const node = await listen(t, (request, response) => void response.end(request.url))
  const get = await start(t, { n1: node.address })
  for (const path of [
    '/nodes/127.0.0.1:80/x',
    '/nodes/n1%2F..%2Fn2/x',
    '/nodes/n1/%2e%2e/n2/x',
    '/nodes/%20/x',
    '/nodes//x'
  ]) {
    t.is((await get(path)).status, 404, path)
  }
  for (const path of ['/nodes/n1//elsewhere.example/x', '/nodes/n1/http://elsewhere.example/x']) {
    const { status, text } = await get(path)
    t.true(status === 400 || text.startsWith('/'), `${path}: ${status} ${text}`)
  }
})

test('a node that is down is 502 at once, with the name of the node and no inside of ours', async (t) => {
  const node = await listen(t, (_request, response) => void response.end())
  node.server.close()
  await once(node.server, 'close')
  const { status, text, ms } = await (await start(t, { n1: node.address }))('/nodes/n1/health/detail')
  t.is(status, 502)
  t.deepEqual(JSON.parse(text), { error: 'node n1 does not answer' })
  t.true(ms < QUICK_MS, `${ms} ms`)
})

test('a node that breaks off is 502', async (t) => {
  const node = await listen(t, (request) => request.socket.destroy())
  const { status, text } = await (await start(t, { n1: node.address }))('/nodes/n1/health/detail')
  t.is(status, 502)
  t.deepEqual(JSON.parse(text), { error: 'node n1 does not answer' })
})

test('a node that accepts and says nothing is 504 after a few seconds, never a hang', async (t) => {
  const node = await listen(t, () => {})
  const { status, text, ms } = await (await start(t, { n1: node.address }))('/nodes/n1/health/detail')
  t.is(status, 504)
  t.deepEqual(JSON.parse(text), { error: 'node n1 does not answer' })
  t.true(ms < QUICK_MS, `${ms} ms`)
})

test('a real gateway: the detail of each node, of one that is frozen and of one that is killed', async (t) => {
  t.timeout(60_000)
  const cluster = new Cluster(t)
  for (const name of ['n1', 'n2']) await cluster.node(name)
  const { httpPort } = await cluster.gateway()
  const get = (name: string) =>
    fetch(`http://127.0.0.1:${httpPort}/nodes/${name}/health/detail`, { signal: AbortSignal.timeout(2 * QUICK_MS) })
  await eventually(async () => (await get('n2')).status === 200)
  for (const name of ['n1', 'n2']) t.like(await (await get(name)).json(), { name })
  t.is((await get('n3')).status, 404)

  const { child } = cluster.nodes.get('n1')!.process
  child.kill('SIGSTOP')
  t.is((await get('n1')).status, 504)
  child.kill('SIGCONT')
  await eventually(async () => (await get('n1')).status === 200)

  await cluster.nodes.get('n2')!.process.kill('SIGKILL')
  t.is((await get('n2')).status, 502)
  t.is((await get('n1')).status, 200)
})
