// What goes wrong on a request's way is told by its spans: proposals that are made anew, waiting, leaders that go, a store that does not do.
import { SpanStatusCode } from '@opentelemetry/api'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import test from 'ava'
import { Gateway } from '../../gateway/gateway.ts'
import { transactionIds } from '../../plugin/trace-ids.ts'
import { MemoryData } from '../../tc-core/storage/memory.ts'
import { StorageError } from '../../tc-core/storage/port.ts'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { DEFAULT_LIMITS } from '../../tc-core/wire/limits.ts'
import type { LinkRequest, Upstream } from '../../tc-core/wire/link.ts'
import { writeBody } from '../../tc-core/wire/messages/index.ts'
import { traceIdOf } from '../../tc-core/wire/trace-context.ts'
import { Tracing } from '../../tc-core/wire/tracing.ts'
import { connect } from '../e2e/servers.ts'
import { controlled, eventually, NodeHarness, recordingLog } from '../host/harness.ts'

const CLIENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

function sdk() {
  const exporter = new InMemorySpanExporter()
  const spanProcessors = [new SimpleSpanProcessor({ exporter })]
  const provider = new TracerProvider({ idGenerator: transactionIds, spanProcessors })
  const named = (name: string) => exporter.getFinishedSpans().filter((span) => span.name === name)
  return { tracing: new Tracing({ provider, ids: transactionIds }), named }
}

/** An upstream that does the next thing of a list with each request. */
class Script implements Upstream {
  downstream: Upstream['downstream'] = null
  readonly tableHomes = null
  serving = true
  readonly #steps: ((request: LinkRequest) => void)[]

  constructor(...steps: ((request: LinkRequest) => void)[]) {
    this.#steps = steps
  }

  request(request: LinkRequest): void {
    request.keep()
    this.#steps.shift()!(request)
  }

  rmServes(): void {}
  rmDrops(): void {}
  clientGone(): void {}
  openFragments = (): number[] => (this.serving ? [0] : [])
  serves = () => this.serving
  exists = (fragment: number): boolean => fragment === 0
}

function begun(request: LinkRequest): void {
  const w = new Writer()
  writeBody(w, { type: 2, resultCode: 1, xid: request.proposed } as never, { version: 1, shortMsg: false })
  request.answer(Buffer.from(w.written))
}

for (const traceparent of ['', CLIENT]) {
  test(`a begin that is turned away three times says so, ${traceparent ? 'in its trace' : 'without one of a client'}`, async (t) => {
    const { tracing, named } = sdk()
    const upstream: Script = new Script(
      (request) => request.refuse('xid-taken'),
      (request) => {
        upstream.serving = false
        request.refuse('unavailable')
      },
      (request) => {
        request.hop!('n2')
        request.refuse('lost')
      },
      (request) => {
        request.hop!('n3')
        begun(request)
      }
    )
    const gateway = new Gateway({
      host: '127.0.0.1',
      port: 0,
      drain: 0,
      strategy: 'consistent-hash',
      nearRows: true,
      limits: DEFAULT_LIMITS,
      upstream,
      logger: recordingLog(),
      tracing,
      undoLogSaveDays: 7,
      undoLogDeletePeriod: 1e9
    })
    const { port } = await gateway.listen()
    t.teardown(() => gateway.stop(0))
    const tm = await connect(t, { port })
    await tm.registerTM()
    tm.traceparent = traceparent
    const answer = tm.begin()
    await eventually(() => gateway.parked === 1)
    upstream.serving = true
    const { xid } = await answer
    const [server, ...more] = named('seata.TC/GlobalBegin')
    t.is(more.length, 0)
    t.is(server!.attributes['seata.xid'], xid)
    t.is(server!.spanContext().traceId, traceparent ? CLIENT.slice(3, 35) : traceIdOf(xid))
    const told = server!.events.map(({ name, attributes: a }) =>
      [name, a?.['seata.reason'], a?.['seata.attempt']].filter((one) => one !== undefined).join(' ')
    )
    // Without a trace of the client's, another XID is another trace: what was refused in the first is forgotten with it.
    const first = traceparent ? ['seata.route', 'seata.retry xid-taken 1'] : []
    const [a, b] = traceparent ? [2, 3] : [1, 2]
    t.deepEqual(told, [
      ...first,
      'seata.begin.proposed.anew',
      'seata.route',
      `seata.retry unavailable ${a}`,
      `seata.retry lost ${b}`,
      'seata.leader.changed'
    ])
    t.is(named('seata.park').length, 2)
    const links = named('seata.link').map(({ attributes, status }) => [
      attributes['seata.node'],
      attributes['seata.attempt'],
      status.code === SpanStatusCode.ERROR ? attributes['error.type'] : null
    ])
    t.deepEqual(links, [
      ['n2', b, 'lost'],
      ['n3', b + 1, null]
    ])
    for (const span of [...named('seata.park'), ...named('seata.link')])
      t.is(span.parentSpanContext?.spanId, server!.spanContext().spanId)
  })
}

test('a store that does not do is told of by the call that waits for it', async (t) => {
  const { tracing, named } = sdk()
  let failures = 0
  const storage = controlled(new MemoryData(), {
    before(kind) {
      if (kind === 'setIfAbsent' && failures-- > 0) throw new StorageError('no space left on device')
    }
  })
  const h = new NodeHarness({ storage, tracing })
  t.teardown(() => h.node.stop(0))
  await h.node.start()
  failures = 2
  await h.request({ type: 1, timeout: 60_000, transactionName: 'tx' }, { trace: CLIENT })
  const [call] = named('setIfAbsent test')
  t.is(call!.events[0]!.name, 'seata.store.trouble')
  t.regex(String(call!.events[0]!.attributes!['seata.reason']), /no space left on device/)
})
