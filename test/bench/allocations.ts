// How many bytes tracing allocates for a transaction, without an SDK and with one. V8's heap profiler says by which code objects were made.
// `node test/bench/allocations.ts` prints it; the bench does so where it measures tracing.
import { Session } from 'node:inspector/promises'
import { trace } from '@opentelemetry/api'
import { SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import Fastify from 'fastify'
import seata, { transactionIds } from '../../plugin/index.ts'
import { SeataClient } from '../client/client.ts'

/** One object in so many bytes is looked at. */
const INTERVAL = 128
const CALLERS = 16
const TRANSACTIONS = 2_000

/** Our own code of tracing, and OpenTelemetry's. */
const OURS = /\/(tracing|trace-context|trace-ids|telemetry)\.ts$|@opentelemetry/

interface Node {
  readonly callFrame: { readonly url: string }
  readonly selfSize: number
  readonly children: readonly Node[]
}

/** What was allocated by code that fits, and by whatever it called. */
function bytesOf({ callFrame, selfSize, children }: Node, within: boolean): number {
  const counts = within || OURS.test(callFrame.url)
  return children.reduce((sum, child) => sum + bytesOf(child, counts), counts ? selfSize : 0)
}

/** Bytes that tracing allocates for a transaction with an AT branch, in a process with an SDK or without one. */
export async function bytesPerTransaction(traced: boolean): Promise<number> {
  trace.disable()
  if (traced) {
    const nowhere = { export: (_: unknown, done: (result: { code: number }) => void) => done({ code: 0 }) }
    const exporter = { ...nowhere, shutdown: async () => {} }
    const spanProcessors = [new SimpleSpanProcessor({ exporter })]
    trace.setGlobalTracerProvider(new TracerProvider({ idGenerator: transactionIds, spanProcessors }))
  }
  const app = Fastify({ forceCloseConnections: true })
  await app.register(seata, { port: 0, kv: 'memory:', traceLimit: 1_000_000 })
  await app.ready()
  const client = await SeataClient.connect({ port: app.seata.address!.port })
  await client.registerTM()
  await client.registerRM('db')
  let begun = 0
  const run = async (until: number) => {
    const caller = async () => {
      while (begun < until) {
        const row = begun++
        const { xid } = await client.begin()
        await client.register(xid, 'db', 0, `t:${row}`)
        await client.commit(xid)
      }
    }
    await Promise.all(Array.from({ length: CALLERS }, caller))
  }
  await run(TRANSACTIONS)
  const session = new Session()
  session.connect()
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: INTERVAL,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true
  })
  await run(2 * TRANSACTIONS)
  const { profile } = await session.post('HeapProfiler.stopSampling')
  session.disconnect()
  client.close()
  await app.close()
  trace.disable()
  return Math.round(bytesOf(profile.head, false) / TRANSACTIONS)
}

if (import.meta.main) {
  const [without, withSdk] = [await bytesPerTransaction(false), await bytesPerTransaction(true)]
  const figure = (bytes: number) => bytes.toLocaleString('en-US')
  console.log(
    `bytes that tracing allocates for an AT transaction: ${figure(without)} without an SDK, ${figure(withSdk)} traced`
  )
}
