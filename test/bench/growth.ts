// `npm run bench:growth`: how ours grows: over fragments, live transactions, clients, and processes with fixed shares of the CPU; and what
// follows for clusters that do not fit on this machine.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { limitCpu } from './cgroup.ts'
import { ourCluster } from './cluster-side.ts'
import { model } from './model.ts'
import { describeMachine } from './proc.ts'
import { formatted } from './report.ts'
import { addMeasured, type Measured } from './results.ts'
import { type Round, type RoundOptions, runRound } from './round.ts'
import { makeDir, ours, type Server } from './servers.ts'

const { values } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: 'fragments,sessions,clients,processes,replicated,model' },
    seconds: { type: 'string', default: '5' },
    warmup: { type: 'string', default: '5' },
    /** Points of every curve, at most; for a short look. */
    points: { type: 'string', default: '100' },
    dir: { type: 'string', default: join(import.meta.dirname, 'data') }
  }
})
const seconds = Number(values.seconds)
const warmup = Number(values.warmup)
const WORKLOAD = 'at'
const CALLERS = 256

const count = (value: number | null, digits = 0) => (value === null ? '' : formatted(value, digits))
const perTx = (value: number | null, { transactions }: Round) => (value === null ? null : value / transactions)

async function run(server: Server, more: Partial<RoundOptions>): Promise<Round> {
  const common = { workload: WORKLOAD, callers: CALLERS, connections: null, merge: true, rate: null, shed: false }
  const round = await runRound(server, { ...common, held: 0, warmup, seconds, ...more })
  console.log(`  ${Math.round(round.txPerSecond)} tx/s, p99 ${round.latencyMs.p99} ms, ${round.errors} errors`)
  for (const [text, times] of Object.entries(round.errorTexts)) console.log(`    ${times} times: ${text}`)
  return round
}

interface Point {
  readonly x: number
  readonly round: Round
}

const COLUMNS: Readonly<Record<string, (round: Round) => string>> = {
  'tx/s': (r) => count(r.txPerSecond),
  'p50 ms': (r) => count(r.latencyMs.p50, 1),
  'p99 ms': (r) => count(r.latencyMs.p99, 1),
  'CPU s per 1,000 tx': (r) =>
    count(r.serverCpuSeconds === null ? null : (r.serverCpuSeconds / r.transactions) * 1000, 3),
  'appends per tx': (r) => count(perTx(r.appends, r), 3),
  'resident MB': (r) => count(r.memory?.rssMb ?? null),
  errors: (r) => count(r.errors)
}

function measured(
  title: string,
  what: string,
  x: string,
  points: readonly Point[],
  more: Readonly<Record<string, (point: Point) => string>> = {}
): Measured {
  const rows = points.map((point) => [
    count(point.x),
    ...Object.values(COLUMNS).map((cell) => cell(point.round)),
    ...Object.values(more).map((cell) => cell(point))
  ])
  const curve = { title, xName: x, yName: 'tx/s', points: points.map((p) => ({ x: p.x, y: p.round.txPerSecond })) }
  const table = { title, what, head: [x, ...Object.keys(COLUMNS), ...Object.keys(more)], rows }
  return { date: new Date().toISOString(), commit: machine.commit, table, curve, raw: points }
}

/** Of each value its point; on a server of its own. */
async function over(xs: readonly number[], one: (x: number) => Promise<Round>): Promise<Point[]> {
  const points: Point[] = []
  for (const x of xs.slice(0, Number(values.points))) {
    console.log(` ${x}:`)
    points.push({ x, round: await one(x) })
  }
  return points
}

async function fragments(): Promise<Measured> {
  const points = await over([1, 2, 4, 8, 16, 32, 64, 128], async (x) => {
    const server = await ours(values.dir, { options: ['--fragments', String(x)] }).start()
    await run(server, { seconds: 1 })
    const round = await run(server, { warmup: 1 })
    await server.stop()
    return round
  })
  return measured('Fragments', `In one process over SQLite, ${CALLERS} callers, one AT branch.`, 'fragments', points)
}

async function sessions(): Promise<Measured> {
  const store = makeDir(values.dir, 'sessions')
  const side = ours(values.dir, { kv: `sqlite:${store}`, options: ['--max-transactions', '2000000'] })
  let server = await side.start()
  const before = await run(server, { warmup, seconds: 2 })
  let live = 0
  const restarts = new Map<number, number>()
  const points = await over([1_000, 10_000, 100_000, 1_000_000], async (x) => {
    const round = await run(server, { held: x - live, warmup: 1 })
    live = x
    await server.stop()
    const stopped = performance.now()
    server = await side.start()
    restarts.set(x, (performance.now() - stopped) / 1000)
    return round
  })
  await server.stop()
  const grown = ({ x, round }: Point) => ((round.memory!.rssMb - before.memory!.rssMb) * 2 ** 20) / x
  const what = 'Transactions with an AT branch and a row each that live on in one fragment, while others come and go.'
  return measured('Live transactions', what, 'live transactions', points, {
    'resident bytes per live transaction': (point) => (point.x < 100_000 ? '' : count(grown(point))),
    'a start took s': ({ x }) => count(restarts.get(x)!, 1)
  })
}

async function clients(): Promise<Measured> {
  const points = await over([1, 10, 100, 1_000, 5_000], async (x) => {
    const server = await ours(values.dir, { options: ['--max-clients', '20000'] }).start()
    await run(server, { seconds: 1 })
    const round = await run(server, { callers: x, connections: x, warmup: 2 })
    await server.stop()
    return round
  })
  const what =
    'Clients with one TM and one RM connection each, in one process; each runs one transaction after another.'
  return measured('Clients', what, 'clients', points)
}

/** Of one core, for each node. */
const SHARE = 0.1

async function processes(replicas: number): Promise<Measured | null> {
  let allowed = true
  const points = await over([1, 2, 4, 8], async (x) => {
    // The rows are all of one table: in one part they would be the work of one node.
    const options = ['--fragments', '16', '--lock-parts', '64', '--replicas', String(replicas)]
    const server = await ourCluster('redis', x, options).start()
    // Without limits, or compilers would take the shares for minutes; each node has its own.
    await run(server, { seconds: x })
    const lift = limitCpu(server.roles!.nodes!, SHARE)
    if (!lift) allowed = false
    const round = await run(server, { callers: 128 * x, warmup: 3 })
    lift?.()
    await server.stop()
    return round
  })
  if (!allowed) {
    console.log('no control groups can be made here: without fixed shares this says nothing')
    return null
  }
  const followed = replicas === 1 ? 'each fragment on one node' : `each fragment on up to ${replicas} nodes`
  const what = `Nodes with ${SHARE * 100} % of a core each, ${followed}; over one Redis, behind one gateway, neither of which is limited; the rows are of one table in 64 parts.`
  const first = points[0]!.round.txPerSecond
  return measured(replicas === 1 ? 'Processes' : 'Processes, with followers', what, 'processes', points, {
    'of one': ({ round }) => `${count(round.txPerSecond / first, 2)} ×`
  })
}

const CURVES: Readonly<Record<string, () => Promise<Measured | null>>> = {
  fragments,
  sessions,
  clients,
  processes: () => processes(1),
  replicated: () => processes(3)
}

mkdirSync(values.dir, { recursive: true })
const machine = describeMachine(values.dir)
const sides = [{ name: 'ours', what: 'fastify-seata' }]
let file = ''
const save = (part: string, result: Record<string, Measured>) => {
  file = addMeasured({ part, date: new Date().toISOString(), machine, sides }, result)
}
for (const name of values.only.split(',')) {
  console.log(`${name}:`)
  if (name === 'model') {
    save('model', await model((store) => ourCluster(store, 3).start(), run, machine.commit))
    continue
  }
  const result = await CURVES[name]!()
  if (!result) continue
  const { head, rows } = result.table
  console.log([head, ...rows].map((row) => `  ${row.join('  ')}`).join('\n'))
  save('growth', { [name]: result })
}
console.log(`all: ${file}`)
process.exit(0)
