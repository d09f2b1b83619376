// What /metrics says of a coordinator, a gateway and a node, and that nothing a client sends makes it grow.
import test from 'ava'
import { NodeFigures } from '../../tc-core/host/figures.ts'
import { openMemory } from '../../tc-core/storage/memory.ts'
import { Counts, Distribution } from '../../tc-core/wire/figures.ts'
import { Cluster } from '../e2e/cluster.ts'
import { connect, startApp } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'
import { parseMetrics, type Scraped, sampleOf } from './prometheus-text.ts'

test('a coordinator counts transactions in the words of Seata, and requests, frames and records', async (t) => {
  const { app, client } = await startApp(t, { retryPeriod: 50 })
  const tm = await client()
  await tm.registerTM()
  await tm.registerRM('db')
  const xids: string[] = []
  for (let i = 0; i < 5; i++) {
    const { xid } = await tm.begin()
    xids.push(xid)
    await tm.register(xid, 'db', 0, `t:${i}`)
    if (i < 3) await tm.commit(xid)
    else if (i < 4) await tm.rollback(xid)
  }
  await tm.register((await tm.begin()).xid, 'db', 0, 't:4')
  const scrape = async () => {
    const response = await app.inject('/metrics')
    t.regex(response.headers['content-type'] as string, /^text\/plain; version=0.0.4/)
    return { text: response.body, samples: parseMetrics(response.body) }
  }
  const of = { applicationId: 'test-app', group: 'default_tx_group', role: 'tc', meter: 'counter' }
  await eventually(
    async () => sampleOf((await scrape()).samples, 'seata_transaction', { ...of, status: 'AfterCommitted' }) === 3
  )
  const { text, samples } = await scrape()
  const transactions = (status: string) => sampleOf(samples, 'seata_transaction', { ...of, status })
  t.is(transactions('active'), 2)
  t.is(transactions('committed'), 3)
  t.is(transactions('rollbacked'), 1)
  const requests = (type: string, outcome: string) =>
    sampleOf(samples, 'seata_gateway_requests_total', { type, outcome })
  t.is(requests('GlobalBegin', 'ok'), 6)
  t.is(requests('BranchRegister', 'ok'), 5)
  t.is(requests('BranchRegister', 'failed'), 1)
  t.is(sampleOf(samples, 'seata_gateway_retries_total', { reason: 'lost' }), 0)
  t.is(sampleOf(samples, 'seata_exception', { applicationId: 'LockKeyConflict', statistic: 'count' }), 1)
  t.is(sampleOf(samples, 'seata_gateway_rm_calls_total', { kind: 'rollback', outcome: '8' }), 1)
  t.is(sampleOf(samples, 'seata_gateway_connections'), 1)
  t.true(sampleOf(samples, 'seata_gateway_received_bytes_total')! > 500)
  t.true(sampleOf(samples, 'seata_gateway_sent_bytes_total')! > 300)
  t.is(sampleOf(samples, 'seata_fragment_role', { fragment: '0', role: 'leader' }), 1)
  t.is(sampleOf(samples, 'seata_fragment_transactions', { fragment: '0' }), 2)
  t.is(sampleOf(samples, 'seata_fragment_locks'), 1)
  const appends = sampleOf(samples, 'seata_log_appends_total')!
  t.is(sampleOf(samples, 'seata_log_append_duration_seconds_count', { fragment: '0' }), appends)
  t.true(sampleOf(samples, 'seata_kv_operation_duration_seconds_count', { operation: 'setIfAbsent' })! >= appends)
  t.truthy(samples.find(({ name }) => name === 'nodejs_eventloop_lag_p99_seconds'))
  for (const xid of xids) t.false(text.includes(xid.split(':').at(-1)!), 'an XID is in a label')
  cumulative(t, samples)
})

function cumulative(t: { true(value: boolean, text: string): void }, samples: readonly Scraped[]): void {
  const last = new Map<string, number>()
  for (const { name, labels, value } of samples) {
    if (!name.endsWith('_bucket')) continue
    const { le: _, ...rest } = labels
    const key = name + JSON.stringify(rest)
    t.true(value >= (last.get(key) ?? 0), key)
    last.set(key, value)
  }
}

test('applications and groups beyond a bound are counted as one', async (t) => {
  const { app, client } = await startApp(t)
  for (let i = 0; i < 520; i++) {
    const tm = await client({ applicationId: `app-${i}` })
    await tm.registerTM()
    await tm.begin()
    tm.close()
  }
  const samples = parseMetrics((await app.inject('/metrics')).body).filter(({ name }) => name === 'seata_transaction')
  t.is(samples.length, 501)
  t.is(sampleOf(samples, 'seata_transaction', { applicationId: 'other', group: 'other', status: 'active' }), 20)
})

test('a node and a gateway of a cluster have figures of their own; the lag of followers can be told', async (t) => {
  t.timeout(60_000)
  const cluster = new Cluster(t, undefined, ['--fragments', '2'])
  for (const name of ['n1', 'n2']) await cluster.node(name)
  const gateway = await cluster.gateway()
  await cluster.settled(2)
  const tm = await connect(t, { port: gateway.port })
  await tm.registerTM()
  for (let i = 0; i < 20; i++) await tm.commit((await tm.begin()).xid)
  const scrape = async (port: number) => parseMetrics(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text())
  t.is(sampleOf(await scrape(gateway.httpPort), 'seata_gateway_requests_total', { type: 'GlobalCommit' }), 20)
  const indexes = async () => {
    const all = (await Promise.all([...cluster.nodes.values()].map(({ httpPort }) => scrape(httpPort)))).flat()
    return all
      .filter(({ name }) => name === 'seata_fragment_index')
      .map(({ labels, value }) => `${labels.fragment} ${value}`)
  }
  await eventually(async () => new Set(await indexes()).size === 2, 'replicas at the same index')
  t.is((await indexes()).length, 4)
})

test('what a store takes and how it fails is measured, and nothing about it changes', async (t) => {
  const figures = new NodeFigures()
  const lane = figures.measured(openMemory()).lane('0')
  t.true(await lane.setIfAbsent('a', Buffer.from('1')))
  t.false(await lane.setIfAbsent('a', Buffer.from('2')))
  t.is(String(await lane.get('a')), '1')
  const failing = figures.measured({
    ...openMemory(),
    lane: () => ({ get: () => Promise.reject(new Error('x', { cause: { code: 'ECONNRESET' } })) }) as never
  })
  await t.throwsAsync(failing.lane('0').get('a'), { message: 'x' })
  const families = figures.families('n', () => [], 1)
  const samples = (name: string) => families.find((family) => family.name === name)!.samples()
  t.deepEqual(samples('seata_kv_errors_total'), [
    { labels: { node: 'n', operation: 'get', kind: 'ECONNRESET' }, value: 1 }
  ])
  const counts = samples('seata_kv_operation_duration_seconds').filter(({ suffix }) => suffix === '_count')
  t.deepEqual(
    counts.map(({ labels, value }) => [labels.operation, value]),
    [
      ['setIfAbsent', 2],
      ['get', 2]
    ]
  )
})

test('counts are bounded, distributions are cumulative', (t) => {
  const counts = new Counts(2)
  for (const name of ['a', 'b', 'c', 'd', 'a']) counts.add(name)
  t.deepEqual(counts.entries, [
    ['a', 2],
    ['b', 1],
    ['other', 2]
  ])
  const distribution = new Distribution([1, 2])
  for (const value of [0.5, 1, 1.5, 9]) distribution.add(value)
  t.deepEqual(
    distribution.samples({ x: 1 }).map(({ labels, value, suffix }) => [suffix, labels.le, value]),
    [
      ['_bucket', 1, 2],
      ['_bucket', 2, 3],
      ['_bucket', '+Inf', 4],
      ['_sum', undefined, 12],
      ['_count', undefined, 4]
    ]
  )
})
