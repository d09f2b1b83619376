// An app whose HTTP requests are traced by @fastify/otel: the transactions of a request are part of its trace, and the trace is the caller's.
import { symlinkSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FastifyOtelInstrumentation } from '@fastify/otel'
import { propagation, trace } from '@opentelemetry/api'
import { W3CTraceContextPropagator } from '@opentelemetry/core'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import test from 'ava'
import Fastify from 'fastify'
import seata, { transactionIds } from '../../plugin/index.ts'
import { connect, NodeProgram, temporaryDirectory } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'
import { Receiver } from './receiver.ts'

const CALLER = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const [TRACE, SPAN] = [CALLER.slice(3, 35), CALLER.slice(36, 52)]
const ROOT = join(import.meta.dirname, '../..')

test("an HTTP request's transaction is a child of its span, and all of it part of the caller's trace", async (t) => {
  const exporter = new InMemorySpanExporter()
  const spanProcessors = [new SimpleSpanProcessor({ exporter })]
  trace.setGlobalTracerProvider(new TracerProvider({ idGenerator: transactionIds, spanProcessors }))
  propagation.setGlobalPropagator(new W3CTraceContextPropagator())
  const app = Fastify({ forceCloseConnections: true })
  await app.register(new FastifyOtelInstrumentation().plugin())
  await app.register(seata, { port: 0, kv: 'memory:' })
  t.teardown(() => app.close())
  app.post('/transfers', async (request) => {
    const head: { traceparent?: string } = {}
    request.opentelemetry().inject(head)
    tm.traceparent = head.traceparent!
    const { xid } = await tm.begin('transfer')
    await tm.register(xid, 'bank', 1)
    await tm.commit(xid)
    return { xid }
  })
  await app.ready()
  const tm = await connect(t, { port: app.seata.address!.port })
  await tm.registerTM()
  await tm.registerRM('bank')
  const response = await app.inject({ method: 'POST', url: '/transfers', headers: { traceparent: CALLER } })
  const { xid } = response.json<{ xid: string }>()
  const named = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name)
  await eventually(() => named('seata.transaction').length === 1 && named('request').length === 1)
  const [request, transaction] = [named('request')[0]!, named('seata.transaction')[0]!]
  t.is(request.parentSpanContext?.spanId, SPAN)
  t.is(request.attributes['http.route'], '/transfers')
  t.is(transaction.parentSpanContext?.spanId, request.spanContext().spanId)
  t.is(transaction.attributes['seata.xid'], xid)
  for (const name of ['seata.TC/GlobalBegin', 'seata.TC/BranchRegister', 'seata.TC/GlobalCommit'])
    t.deepEqual(
      named(name).map((span) => span.parentSpanContext?.spanId),
      [request.spanContext().spanId],
      name
    )
  t.is(named('seata.RM/BranchCommit').length, 1)
  for (const span of exporter.getFinishedSpans()) t.is(span.spanContext().traceId, TRACE, span.name)

  // The plugin's own routes are the app's: their requests are traced as all others.
  exporter.reset()
  t.is((await app.inject({ url: '/health', headers: { traceparent: CALLER } })).statusCode, 200)
  await eventually(() => named('request').length === 1)
  t.is(named('request')[0]!.attributes['http.route'], '/health')
  t.is(named('request')[0]!.parentSpanContext?.spanId, SPAN)
})

test('the app in docs/tracing.md does what it is there for', async (t) => {
  const receiver = await Receiver.start(t)
  const page = await readFile(join(ROOT, 'docs/tracing.md'), 'utf8')
  const [, app] = /```ts\n([\s\S]*?)```/.exec(page)!
  const folder = temporaryDirectory(t)
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  const here = app!.replace("'fastify-seata'", `'${join(ROOT, 'plugin/index.ts')}'`).replace(/port: \d+/g, 'port: 0')
  const told = `console.log(app.seata.address.port, app.server.address().port)\n`
  writeFileSync(join(folder, 'app.ts'), here + told)
  const program = new NodeProgram(
    t,
    [join(folder, 'app.ts')],
    { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint },
    folder
  )
  const [, port, httpPort] = await program.line(/^(\d+) (\d+)$/m)
  const response = await fetch(`http://127.0.0.1:${httpPort}/transfers`, {
    method: 'POST',
    headers: { traceparent: CALLER },
    signal: AbortSignal.timeout(10_000)
  })
  const { traceparent } = (await response.json()) as { traceparent: string }
  const tm = await connect(t, { port: Number(port) })
  await tm.registerTM()
  tm.traceparent = traceparent
  await tm.commit((await tm.begin()).xid)
  await eventually(() => receiver.spans.some(({ name }) => name === 'seata.transaction'))
  await eventually(() => receiver.spans.some(({ name }) => name === 'request'))
  const [request] = receiver.spans.filter(({ name }) => name === 'request')
  const [transaction] = receiver.spans.filter(({ name }) => name === 'seata.transaction')
  t.is(request!.parentId, SPAN)
  t.is(transaction!.parentId, request!.spanId)
  for (const { traceId, name } of receiver.spans) t.is(traceId, TRACE, name)
})
