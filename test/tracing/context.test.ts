// Trace ids out of XIDs, and traceparent as clients send it.
import test from 'ava'
import { XidSource } from '../../gateway/xid-source.ts'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import {
  formatTraceparent,
  isSampled,
  parseTraceparent,
  rootSpanIdOf,
  traceIdOf
} from '../../tc-core/wire/trace-context.ts'
import { Tracing } from '../../tc-core/wire/tracing.ts'
import { isTraced, timeOf, transactionId } from '../../tc-core/wire/xid.ts'

const XID = '127.0.0.1:8091:36028797018963968'
const xids = (n: number) =>
  Array.from({ length: n }, (_, i) => `10.0.0.1:8091:${transactionId(i % 8, Date.now() + (i >> 3), i % 4096)}`)

test('the same XID gives the same ids everywhere and for ever, another gives others', (t) => {
  t.is(traceIdOf(XID), 'd3bc2d4929050f16c56d317a322167ff')
  t.is(rootSpanIdOf(XID), '359f5164e23adbd5')
  const all = xids(20_000)
  t.is(new Set(all.map(traceIdOf)).size, all.length)
  t.is(new Set(all.map(rootSpanIdOf)).size, all.length)
  for (const xid of all.slice(0, 100)) {
    t.regex(traceIdOf(xid), /^[0-9a-f]{32}$/)
    t.regex(rootSpanIdOf(xid), /^[0-9a-f]{16}$/)
  }
})

test('an XID says whether its transaction is traced, and the share of those is as asked for', (t) => {
  const source = new XidSource('h:1', systemRuntime)
  for (const traced of [true, false])
    for (let i = 0; i < 5000; i++) t.is(isTraced(source.next(i % 8, 1_795_269_299_755, traced)), traced)
  const provider = { getTracer: () => null as never }
  for (const ratio of [0, 0.1, 0.5, 1]) {
    const tracing = new Tracing({ provider, ratio })
    const taken = Array.from({ length: 20_000 }, () => tracing.takes(0)).filter(Boolean)
    t.true(Math.abs(taken.length / 20_000 - ratio) < 0.02, `${taken.length} at ${ratio}`)
  }
  const limited = new Tracing({ provider, perSecond: 10 })
  for (const now of [0, 1000]) t.is(Array.from({ length: 100 }, () => limited.takes(now)).filter(Boolean).length, 10)
})

test('traceparent is read as the recommendation says', (t) => {
  const good = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const context = parseTraceparent(good)!
  t.deepEqual([context.traceId, context.spanId, isSampled(context)], [good.slice(3, 35), good.slice(36, 52), true])
  t.is(formatTraceparent(context), good)
  t.false(isSampled(parseTraceparent(good.replace(/01$/, '00'))!))
  t.is(formatTraceparent(parseTraceparent(`01${good.slice(2)}-more`)!), good, 'a later version may say more')
  const zeros = (digits: number) => '0'.repeat(digits)
  for (const bad of [
    '',
    null,
    'nonsense',
    good.toUpperCase(),
    `ff${good.slice(2)}`,
    `${good}-more`,
    `01${good.slice(2)}more`,
    good.slice(0, 54),
    `00-${zeros(32)}-00f067aa0ba902b7-01`,
    `00-4bf92f3577b34da6a3ce929d0e0e4736-${zeros(16)}-01`
  ])
    t.is(parseTraceparent(bad), null, String(bad))
})

test('an XID tells when it was proposed', (t) => {
  const now = 1_795_269_299_755
  for (const fragment of [0, 5, 1023]) t.is(timeOf(`h:1:${transactionId(fragment, now, 4095)}`), now)
  t.is(timeOf('no transaction'), 0)
})
