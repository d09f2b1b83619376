// Draws docs/trace.svg from a real run: three nodes, a transfer with a row lock at another node, the kill of its leader, the commit at the
// next. `node test/tracing/picture.ts` writes it.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { traceIdOf } from '../../tc-core/wire/trace-context.ts'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import { Cluster } from '../e2e/cluster.ts'
import { connect } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'
import { type ReceivedSpan, Receiver } from './receiver.ts'

const WIDTH = 1180
const LEFT = 350
const ROW = 19
const TOP = 44
const COLOURS: Readonly<Record<string, string>> = {
  transaction: '#5b4b8a',
  gateway: '#2f7fb8',
  n1: '#c0622d',
  n2: '#3d8f5a',
  n3: '#9a8a22'
}

/** One row: a span, how deep it is below the transaction, and the wait in front of it that is not drawn, ms. */
interface Row {
  readonly span: ReceivedSpan
  readonly depth: number
}

async function record(t: { teardown(then: () => unknown): void }): Promise<ReceivedSpan[]> {
  const receiver = await Receiver.start(t)
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, OTEL_BSP_SCHEDULE_DELAY: '100' }
  const cluster = new Cluster(t, undefined, [], env)
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const gateway = await cluster.gateway()
  await cluster.settled()
  const tm = await connect(t, { port: gateway.port, applicationId: 'bank' })
  await tm.registerTM()
  await tm.registerRM('accounts', 'transfers')
  // The first requests of a process are slow: the code is compiled.
  for (let i = 0; i < 300; i++) {
    const { xid } = await tm.begin('warm-up')
    await tm.register(xid, 'accounts', 0, `account:w${i}`)
    await tm.register(xid, 'transfers', 1)
    await tm.commit(xid)
  }
  // Of more than 100 a second not all are traced.
  await sleep(1_500)
  const { xid } = await tm.begin('transfer', 60_000)
  await tm.register(xid, 'accounts', 0, 'account:1;limit:1;ledger:1;owner:1')
  await tm.register(xid, 'transfers', 1)
  // What the node has seen is on its way to the receiver before it dies.
  await sleep(400)
  const leader = (await cluster.leaders()).get(fragmentOf(xid))!
  await cluster.nodes.get(leader)!.process.kill('SIGKILL')
  await tm.commit(xid)
  const own = () => receiver.spans.filter(({ traceId }) => traceId === traceIdOf(xid))
  await eventually(() => own().some(({ name }) => name === 'seata.transaction'), 'the span of the transaction')
  await sleep(400)
  return own()
}

function rows(spans: readonly ReceivedSpan[]): Row[] {
  const found: Row[] = []
  const below = (parentId: string, depth: number) => {
    for (const span of spans.filter((s) => s.parentId === parentId).sort((a, b) => a.start - b.start)) {
      found.push({ span, depth })
      below(span.spanId, depth + 1)
    }
  }
  below('', 0)
  return found
}

/** A piece of time as a piece of the picture: where nothing happens, time is cut out. */
class Scale {
  readonly #marks: { readonly at: number; readonly x: number }[] = []
  readonly cuts: { readonly x: number; readonly ms: number }[] = []

  constructor(spans: readonly ReceivedSpan[], width: number) {
    const times = [...new Set(spans.flatMap(({ start, end }) => [start, end]))].sort((a, b) => a - b)
    const most = 12
    const shown = times.slice(1).map((time, i) => Math.min(time - times[i]!, most))
    const unit = width / shown.reduce((sum, ms) => sum + ms, 0)
    let x = 0
    this.#marks.push({ at: times[0]!, x })
    for (const [i, ms] of shown.entries()) {
      const whole = times[i + 1]! - times[i]!
      if (whole > most) this.cuts.push({ x: x + (ms * unit) / 2, ms: whole })
      x += ms * unit
      this.#marks.push({ at: times[i + 1]!, x })
    }
  }

  x(at: number): number {
    const next = this.#marks.findIndex((mark) => mark.at >= at)
    const [b, a] = [this.#marks[Math.max(next, 0)]!, this.#marks[Math.max(next - 1, 0)]!]
    return b.at === a.at ? b.x : a.x + ((at - a.at) / (b.at - a.at)) * (b.x - a.x)
  }
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

function draw(spans: readonly ReceivedSpan[]): string {
  const list = rows(spans)
  const scale = new Scale(spans, WIDTH - LEFT - 70)
  const height = TOP + list.length * ROW + 40
  const part = ({ name, from }: ReceivedSpan) =>
    name === 'seata.transaction' ? 'transaction' : COLOURS[from] ? from : 'gateway'
  const out = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" font-family="sans-serif" font-size="12">`,
    '<title>A traced transaction whose leader was killed, drawn from a real run by test/tracing/picture.ts</title>',
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`
  ]
  for (const [i, [name, colour]] of Object.entries(COLOURS).entries()) {
    const x = LEFT + i * 130
    out.push(`<rect x="${x}" y="14" width="12" height="12" fill="${colour}"/><text x="${x + 18}" y="24">${name}</text>`)
  }
  for (const { x, ms } of scale.cuts) {
    const at = (LEFT + x).toFixed(1)
    out.push(
      `<line x1="${at}" x2="${at}" y1="${TOP - 4}" y2="${height - 22}" stroke="#bbbbbb" stroke-dasharray="3 3"/>`
    )
    out.push(`<text x="${at}" y="${height - 8}" fill="#777777" text-anchor="middle">${Math.round(ms)} ms</text>`)
  }
  for (const [i, { span, depth }] of list.entries()) {
    const y = TOP + i * ROW
    const [x, end] = [LEFT + scale.x(span.start), LEFT + scale.x(span.end)]
    const colour = COLOURS[part(span)]!
    const trigger = span.attributes['seata.trigger']
    const text = `${span.name}${trigger ? ` (${trigger})` : ''}`
    out.push(
      `<text x="${8 + depth * 14}" y="${y + 12}" fill="${span.error ? '#b00020' : '#222222'}">${escaped(text)}</text>`
    )
    out.push(
      `<rect x="${x.toFixed(1)}" y="${y + 2}" width="${Math.max(1.5, end - x).toFixed(1)}" height="12" fill="${colour}"/>`
    )
    for (const event of span.events) {
      const at = (LEFT + scale.x(Math.min(Math.max(event.at, span.start), span.end))).toFixed(1)
      out.push(
        `<circle cx="${at}" cy="${y + 8}" r="3" fill="#ffffff" stroke="#222222"><title>${event.name}</title></circle>`
      )
    }
    out.push(
      `<text x="${(end + 5).toFixed(1)}" y="${y + 12}" fill="#777777">${(span.end - span.start).toFixed(1)}</text>`
    )
  }
  out.push('</svg>', '')
  return out.join('\n')
}

const ends: (() => unknown)[] = []
try {
  const svg = draw(await record({ teardown: (then) => void ends.push(then) }))
  writeFileSync(join(import.meta.dirname, '../../docs/trace.svg'), svg)
  console.log('docs/trace.svg')
} finally {
  for (const end of ends.reverse()) await end()
}
process.exit(0)
