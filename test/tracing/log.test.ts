// Lines of the log about a transaction say which one, where it is, and in which trace.
import { Writable } from 'node:stream'
import { trace } from '@opentelemetry/api'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import test from 'ava'
import Fastify from 'fastify'
import seata, { transactionIds } from '../../plugin/index.ts'
import { BranchStatus } from '../../tc-core/wire/codes.ts'
import { traceIdOf } from '../../tc-core/wire/trace-context.ts'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import { connect } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'

const CLIENT = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'

interface Line {
  readonly level: number
  readonly msg: string
  readonly xid?: string
  readonly fragment?: number
  readonly trace_id?: string
}

type T = { teardown(then: () => unknown): void }

/** An app whose log is kept, with a client; `traced`: in a process with an SDK. */
async function start(t: T, traced: boolean) {
  trace.disable()
  if (traced) {
    const spanProcessors = [new SimpleSpanProcessor({ exporter: new InMemorySpanExporter() })]
    trace.setGlobalTracerProvider(new TracerProvider({ idGenerator: transactionIds, spanProcessors }))
  }
  const lines: Line[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(JSON.parse(chunk.toString()))
      done()
    }
  })
  const app = Fastify({ logger: { stream }, forceCloseConnections: true })
  await app.register(seata, { port: 0, kv: 'memory:', fragments: 4, retryPeriod: 50 })
  await app.ready()
  t.teardown(() => app.close())
  const tm = await connect(t, { port: app.seata.address!.port })
  await tm.registerTM()
  await tm.registerRM('db')
  const about = async (xid: string, text: RegExp) => {
    const line = () => lines.find((one) => one.xid === xid && text.test(one.msg))
    await eventually(() => line() !== undefined, `a line about ${xid}`)
    return line()!
  }
  return { tm, about }
}

test.serial('with an SDK: xid, fragment and trace_id, which is of the XID or of the client', async (t) => {
  const { tm, about } = await start(t, true)
  const { xid } = await tm.begin('late', 100)
  const late = await about(xid, /is timeout/)
  t.like(late, { level: 40, fragment: fragmentOf(xid), trace_id: traceIdOf(xid) })
  tm.traceparent = CLIENT
  const failing = await tm.begin('failing')
  await tm.register(failing.xid, 'db', 0, 't:1')
  tm.onBranch = () => BranchStatus.PhaseTwo_RollbackFailed_Unretryable
  await tm.rollback(failing.xid)
  const failed = await about(failing.xid, /rollback/i)
  t.like(failed, { level: 50, fragment: fragmentOf(failing.xid), trace_id: CLIENT.slice(3, 35) })
})

test.serial('without one: xid and fragment', async (t) => {
  const { tm, about } = await start(t, false)
  const { xid } = await tm.begin('late', 100)
  const late = await about(xid, /is timeout/)
  t.like(late, { level: 40, fragment: fragmentOf(xid), trace_id: undefined })
})
