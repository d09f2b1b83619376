// The plugin in an app whose SDK is its own: joins it, keeps to what clients say of their traces, and costs nothing where there is none.
import { trace } from '@opentelemetry/api'
import {
  AlwaysOnSampler,
  InMemorySpanExporter,
  ParentBasedSampler,
  SimpleSpanProcessor,
  TracerProvider
} from '@opentelemetry/sdk-trace'
import test from 'ava'
import type { SeataOptions } from '../../plugin/index.ts'
import { joined } from '../../plugin/telemetry.ts'
import { transactionIds } from '../../plugin/trace-ids.ts'
import { BranchStatus, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { rootSpanIdOf, traceIdOf } from '../../tc-core/wire/trace-context.ts'
import { startApp } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'
import { parseMetrics } from './prometheus-text.ts'

const CLIENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const UNSAMPLED = CLIENT.replace(/01$/, '00')
const CONFIG = { traceKeep: 'rollback,timeout,slow', traceSlow: 10_000, traceLimit: 100 }

type T = { teardown(then: () => unknown): void }

/** An app with a client, in a process that has an SDK, or none. */
async function start(
  t: T,
  sdk: 'ours' | 'foreign' | 'none',
  env: Record<string, string> = {},
  options: SeataOptions = {}
) {
  const exporter = new InMemorySpanExporter()
  trace.disable()
  if (sdk !== 'none') {
    const provider = new TracerProvider({
      sampler: new ParentBasedSampler({ root: new AlwaysOnSampler() }),
      ...(sdk === 'ours' && { idGenerator: transactionIds }),
      spanProcessors: [new SimpleSpanProcessor({ exporter })]
    })
    trace.setGlobalTracerProvider(provider)
  }
  Object.assign(process.env, env)
  const { app, client } = await startApp(t, { retryPeriod: 50, ...options })
  for (const key of Object.keys(env)) delete process.env[key]
  const tm = await client()
  await tm.registerTM()
  await tm.registerRM('db')
  const spans = () => exporter.getFinishedSpans()
  const named = (name: string) => spans().filter((span) => span.name === name)
  const root = (xid: string) => named('seata.transaction').find((span) => span.attributes['seata.xid'] === xid)
  const over = (xid: string) => eventually(() => root(xid) !== undefined, `the span of ${xid}`)
  return { app, tm, spans, named, root, over }
}

const OFF = { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' }

test.serial('without an SDK nothing is asked, and traceparent is not looked at', async (t) => {
  const { tm } = await start(t, 'none')
  tm.traceparent = CLIENT
  const { xid } = await tm.begin()
  t.is(tm.told.size, 0)
  t.is((await tm.commit(xid)).globalStatus, GlobalStatus.Committed)
  t.false(joined(CONFIG, {}).on)
})

test.serial('a transaction is one span in one trace, with its outcome', async (t) => {
  const { tm, spans, root, over } = await start(t, 'ours')
  const { xid } = await tm.begin('transfer')
  await tm.register(xid, 'db', 0, 't:1')
  await tm.commit(xid)
  await over(xid)
  const own = root(xid)!
  t.like(own.attributes, {
    'seata.transaction.name': 'transfer',
    'seata.status': 'Committed',
    'seata.branches': 1,
    'seata.application.id': 'test-app'
  })
  t.is(own.spanContext().spanId, rootSpanIdOf(xid))
  t.is(own.parentSpanContext, undefined)
  t.deepEqual([...new Set(spans().map((span) => span.spanContext().traceId))], [traceIdOf(xid)])
  const server = spans().find((span) => span.name === 'seata.TC/BranchRegister')!
  t.like(server.attributes, { 'rpc.system.name': 'seata', 'rpc.method': 'seata.TC/BranchRegister', 'seata.xid': xid })
  t.like(server.events[0], { name: 'seata.route', attributes: { 'seata.fragment': 0 } })
})

test.serial('in an SDK that gives its ids itself there is no span for the transaction, and all else', async (t) => {
  const { tm, spans, named } = await start(t, 'foreign')
  tm.traceparent = CLIENT
  const { xid } = await tm.begin()
  await tm.register(xid, 'db', 0, 't:1')
  tm.traceparent = ''
  await tm.commit(xid)
  await eventually(() => named('seata.RM/BranchCommit').length === 1)
  await eventually(() => named('seata.fragment.step').length >= 4)
  t.is(named('seata.transaction').length, 0)
  const ids = new Set([...spans().map((span) => span.spanContext().spanId), CLIENT.slice(36, 52)])
  for (const span of spans()) {
    t.is(span.spanContext().traceId, CLIENT.slice(3, 35))
    t.true(ids.has(span.parentSpanContext!.spanId), span.name)
  }
})

test.serial(
  "a client's own trace is gone on with, also where it says nothing more, and the client is told",
  async (t) => {
    const { tm, spans, root, over, named } = await start(t, 'ours')
    tm.traceparent = CLIENT
    const { xid } = await tm.begin()
    const [told] = [tm.told.get('traceparent')]
    t.is(told!.slice(0, 36), CLIENT.slice(0, 36), 'the same trace')
    tm.traceparent = ''
    await tm.register(xid, 'db', 0, 't:1')
    t.is(tm.told.size, 0, 'only where the client said something')
    await tm.commit(xid)
    await over(xid)
    t.is(told!.slice(36, 52), named('seata.TC/GlobalBegin')[0]!.spanContext().spanId)
    t.is(root(xid)!.parentSpanContext!.spanId, CLIENT.slice(36, 52))
    for (const span of spans()) t.is(span.spanContext().traceId, CLIENT.slice(3, 35), span.name)
  }
)

test.serial('requests that came in one frame are answered with what it said', async (t) => {
  const { tm } = await start(t, 'ours')
  tm.traceparent = CLIENT
  await tm.merged([{ type: 1, timeout: 1000, transactionName: 'x' }])
  t.is(tm.told.get('traceparent'), CLIENT)
})

test.serial('a client that is not sampled is not traced, but for what is always kept', async (t) => {
  const { tm, spans, over, root } = await start(t, 'ours')
  tm.traceparent = UNSAMPLED
  const committed = await tm.begin()
  t.is(tm.told.get('traceparent'), UNSAMPLED)
  await tm.register(committed.xid, 'db', 0, 't:1')
  await tm.commit(committed.xid)
  const { xid } = await tm.begin()
  await tm.register(xid, 'db', 0, 't:2')
  t.is(spans().length, 0)
  await tm.rollback(xid)
  await over(xid)
  t.is(root(xid)!.parentSpanContext, undefined)
  t.true(spans().every(({ attributes }) => (attributes['seata.xid'] ?? xid) === xid))
})

test.serial(
  'what rolls back, times out or is slow is kept whatever the share, from the moment when that is known',
  async (t) => {
    const { tm, spans, root, over, named } = await start(t, 'ours', OFF, { traceSlow: 300 })
    const fast = await tm.begin()
    await tm.commit(fast.xid)
    const back = await tm.begin()
    await tm.register(back.xid, 'db', 0, 't:1')
    t.is(spans().length, 0)
    await tm.rollback(back.xid)
    await over(back.xid)
    t.is(root(back.xid)!.attributes['error.type'], 'rolled-back')
    t.is(named('seata.RM/BranchRollback').length, 1)
    const late = await tm.begin('late', 200)
    await tm.register(late.xid, 'db', 0, 't:2')
    await over(late.xid)
    t.is(root(late.xid)!.attributes['error.type'], 'timed-out')
    const step = named('seata.fragment.step').find((s) => s.attributes['seata.trigger'] === 'tick')!
    t.is(step.events[0]!.name, 'seata.decision')
    const slow = await tm.begin('slow', 60_000)
    await tm.register(slow.xid, 'db', 1, '')
    tm.onBranch = () => new Promise((resolve) => setTimeout(resolve, 350, BranchStatus.PhaseTwo_Committed))
    await tm.commit(slow.xid)
    await over(slow.xid)
    t.is(root(slow.xid)!.attributes['seata.status'], 'Committed')
    t.falsy(root(fast.xid))
    const none = await start(t, 'ours', OFF, { traceKeep: 'none' })
    const { xid } = await none.tm.begin()
    await none.tm.rollback(xid)
    t.is(none.spans().length, 0)
  }
)

test.serial('what is kept always is bounded, too, and each is kept as a whole', async (t) => {
  const limit = 3
  const { tm, spans, named } = await start(t, 'ours', OFF, { traceLimit: limit })
  const before = performance.now()
  for (let i = 0; i < 30; i++) {
    const { xid } = await tm.begin()
    await tm.register(xid, 'db', 1, '')
    await tm.rollback(xid)
  }
  const seconds = Math.ceil((performance.now() - before) / 1000) + 1
  await eventually(() => named('seata.transaction').length >= limit)
  const roots = named('seata.transaction').map((span) => span.spanContext().traceId)
  t.true(roots.length <= limit * seconds && roots.length < 30, `${roots.length} in ${seconds} s`)
  for (const span of spans()) t.true(roots.includes(span.spanContext().traceId), span.name)
  t.is(named('seata.RM/BranchRollback').length, roots.length)
})

test.serial('each call of an RM is a span, with its attempt and its end', async (t) => {
  const { tm, named, over } = await start(t, 'ours', {}, { rpcTcRequestTimeout: 200 })
  const { xid } = await tm.begin()
  await tm.register(xid, 'db', 1, '')
  const answers = ['silent', BranchStatus.PhaseTwo_CommitFailed_Retryable, BranchStatus.PhaseTwo_Committed] as const
  let calls = 0
  tm.onBranch = () => answers[calls++]!
  await tm.commit(xid)
  await over(xid)
  t.deepEqual(
    named('seata.RM/BranchCommit').map((span) => [
      span.attributes['seata.attempt'],
      span.attributes['error.type'],
      span.events[0]?.attributes?.['seata.branch.status']
    ]),
    [
      [1, 'timeout', undefined],
      [2, undefined, BranchStatus.PhaseTwo_CommitFailed_Retryable],
      [3, undefined, BranchStatus.PhaseTwo_Committed]
    ]
  )
})

test.serial('OpenMetrics has the trace of an observation, where it is traced', async (t) => {
  const { app, tm, over } = await start(t, 'ours')
  const scrape = async (accept: string) => {
    const { body, headers } = await app.inject({ url: '/metrics', headers: { accept } })
    return { body, type: String(headers['content-type']), samples: parseMetrics(body) }
  }
  const open = () => scrape('application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5')
  const named = async (name: string) => (await open()).samples.filter((sample) => sample.name === name)
  tm.traceparent = UNSAMPLED
  await tm.commit((await tm.begin()).xid)
  t.false((await open()).samples.some(({ exemplar }) => exemplar))
  tm.traceparent = ''
  const { xid } = await tm.begin()
  await tm.commit(xid)
  await over(xid)
  for (const name of ['seata_gateway_request_duration_seconds_bucket', 'seata_log_append_duration_seconds_bucket']) {
    const told = (await named(name)).flatMap(({ exemplar, labels }) =>
      exemplar ? { ...exemplar, le: labels.le! } : []
    )
    t.true(told.length > 0, name)
    for (const { traceId, value, at, le } of told) {
      t.is(traceId, traceIdOf(xid))
      t.true(value > 0 && (le === '+Inf' || value <= Number(le)), `${value} in the bucket of ${le}`)
      t.true(Math.abs(at - Date.now() / 1000) < 60)
    }
  }
  const { body, type } = await open()
  t.regex(type, /^application\/openmetrics-text; version=1\.0\.0/)
  t.true(body.endsWith('\n# EOF\n'))
  const plain = await scrape('text/plain')
  t.regex(plain.type, /^text\/plain; version=0\.0\.4/)
  t.false(plain.body.includes(' # {'))
  // OpenMetrics names a counter without `_total`, and no two families alike.
  const families = [...body.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => ({ name: name!, kind: kind! }))
  t.is(new Set(families.map(({ name }) => name)).size, families.length)
  const counters = families.filter(({ kind }) => kind === 'counter')
  t.true(counters.length > 10)
  const samples = new Set((await open()).samples.map(({ name }) => name))
  t.true(counters.every(({ name }) => !name.endsWith('_total') && !samples.has(name)))
  t.true(counters.filter(({ name }) => samples.has(`${name}_total`)).length > 10)
  const names = async (scraped: typeof plain) => new Set(scraped.samples.map(({ name }) => name))
  t.deepEqual(await names(await open()), await names(plain), 'the same figures')
})

test.serial('a head map that cannot be read is no reason to fail', async (t) => {
  const { tm } = await start(t, 'ours')
  tm.traceparent = 'nonsense'
  const { xid } = await tm.begin()
  t.truthy(xid)
  t.is(tm.told.size, 0)
})
