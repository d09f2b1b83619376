// `npm run bench`: our coordinator and its peer, the Java server, under the same load on this machine, in turn.
// The report names what was measured and how; every figure is the median over the rounds, with the spread beside it.
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { WORKLOADS } from './callers.ts'
import { ourCluster, STORE_NAMES } from './cluster-side.ts'
import { startCollector } from './collector.ts'
import { NoPeer, type PeerOptions } from './java-server/peer.ts'
import { describeMachine } from './proc.ts'
import { overhead, type Summary, summarize, table } from './report.ts'
import { type Round, runRound } from './round.ts'
import { ours, peer, running, type Server, type Side, stub, traced } from './servers.ts'

const USAGE = `npm run bench -- [options]
  --rounds N             rounds per server and workload, in turn; default 3
  --seconds S            measured window of a round; default 10
  --warmup S             before each window; default 3
  --first-warmup S       before a server's first window, for its compiler; default 15
  --only LIST            of ${Object.keys(WORKLOADS).join(',')}; default all
  --callers N            default: each workload's own
  --connections N        TM connections, and as many RM connections; default 4
  --no-merge             RM requests one by one, not in MergedWarps
  --ours HOST:PORT[:PID[+PID…]] measure a server that runs already
  --ours-http-port PORT  its HTTP port
  --cluster STORE        ours is a cluster of three nodes and a gateway over a store of its own: etcd or redis
  --kv URL               storage of ours; default its own, in a folder of its own
  --no-peer              ours only
  --only-peer            the peer only
  --traced SHARES        ours again with tracing, for each of these shares of the transactions: 0.01,1
  --trace-limit N        transactions traced per second, at most; default as the product's
  --stub                 the do-nothing stub too: the floor
  --only-stub            the stub only
  --peer-mode MODE       file (default), raft (three servers) or redis (with a redis-server of its own)
  --peer-log LEVEL       WARN (default) or INFO
  --peer-heap SIZE       default 2048m
  --peer-flush WHEN      async (default, as shipped) or sync
  --peer-one-by-one      the peer handles the parts of a MergedWarp one after the other: faster on two cores than its default
  --peer-jvm=OPTIONS     further options of the peer's JVM
  --dir DIR              where servers write and results go; default test/bench/data`

const { values } = parseArgs({
  allowNegative: true,
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '10' },
    warmup: { type: 'string', default: '3' },
    'first-warmup': { type: 'string', default: '15' },
    only: { type: 'string', default: Object.keys(WORKLOADS).join(',') },
    callers: { type: 'string' },
    connections: { type: 'string', default: '4' },
    merge: { type: 'boolean', default: true },
    ours: { type: 'string' },
    'ours-http-port': { type: 'string' },
    cluster: { type: 'string' },
    kv: { type: 'string' },
    peer: { type: 'boolean', default: true },
    'only-peer': { type: 'boolean', default: false },
    traced: { type: 'string', default: '' },
    'trace-limit': { type: 'string' },
    stub: { type: 'boolean', default: false },
    'only-stub': { type: 'boolean', default: false },
    'peer-mode': { type: 'string', default: 'file' },
    'peer-log': { type: 'string', default: 'WARN' },
    'peer-heap': { type: 'string', default: '2048m' },
    'peer-flush': { type: 'string', default: 'async' },
    'peer-one-by-one': { type: 'boolean', default: false },
    'peer-jvm': { type: 'string', default: '' },
    dir: { type: 'string', default: join(import.meta.dirname, 'data') },
    help: { type: 'boolean', default: false }
  }
})

const LOG_LEVELS = ['WARN', 'INFO'] as const
const MODES = ['file', 'raft', 'redis'] as const
const FLUSHES = ['async', 'sync'] as const
const number = (text: string | undefined) => (text === undefined ? null : Number(text))
const ALLOCATIONS_MS = 60_000
const words = (text: string) => text.split(' ').filter((word) => word !== '')
const dir = resolve(values.dir)
const rounds = Number(values.rounds)
const workloads = values.only.split(',')
const logLevel = LOG_LEVELS.find((level) => level === values['peer-log'])
const flush = FLUSHES.find((when) => when === values['peer-flush'])
const mode = MODES.find((one) => one === values['peer-mode'])
const knownStore = values.cluster === undefined || STORE_NAMES.includes(values.cluster)
if (values.help || !logLevel || !flush || !mode || !knownStore || workloads.some((name) => !WORKLOADS[name])) {
  console.log(USAGE)
  process.exit(values.help ? 0 : 2)
}

function chosenSides(options: Omit<PeerOptions, 'dir'>): Side[] {
  const thePeer = peer(dir, options)
  const theStub = values.stub || values['only-stub'] ? [stub()] : []
  if (values['only-stub']) return theStub
  if (values['only-peer']) return [thePeer, ...theStub]
  const withTraces = shares.map((share) => traced(dir, values.kv, share, collector!.endpoint, values['trace-limit']))
  return [mine(), ...withTraces, ...(values.peer ? [thePeer] : []), ...theStub]
}

function mine(): Side {
  if (values.cluster !== undefined) return ourCluster(values.cluster, 3)
  return values.ours === undefined ? ours(dir, values.kv) : running(values.ours, number(values['ours-http-port']))
}

function jvmOptions(): string[] {
  const oneByOne = values['peer-one-by-one'] ? ['-Dseata.server.enableParallelRequestHandle=false'] : []
  return [...oneByOne, ...words(values['peer-jvm'])]
}

function giveUp(why: string): never {
  console.error(why)
  process.exit(1)
}

/** Starts all sides; one that this machine cannot run is left out, with a word. */
async function startAll(): Promise<Server[]> {
  const servers: Server[] = []
  for (const side of [...sides]) {
    try {
      servers.push(await side.start())
    } catch (error) {
      if (!(error instanceof NoPeer)) giveUp(String(error))
      console.log(`without the peer: ${error.message}`)
      sides.splice(sides.indexOf(side), 1)
    }
  }
  if (servers.length === 0) giveUp('nothing to measure')
  return servers
}

const load = {
  callers: number(values.callers),
  connections: Number(values.connections),
  merge: values.merge,
  seconds: Number(values.seconds)
}

async function runWorkload(workload: string): Promise<Round[]> {
  const results: Round[] = []
  const servers = await startAll()
  for (let i = 1; i <= rounds; i++) {
    for (const server of servers) {
      const warmup = Number(i === 1 ? values['first-warmup'] : values.warmup)
      const round = await runRound(server, { ...load, workload, warmup })
      results.push(round)
      const { txPerSecond, latencyMs, errors } = round
      const figures = `${Math.round(txPerSecond)} tx/s, p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms`
      console.log(`  round ${i} ${server.name}: ${figures}, ${errors} errors`)
      for (const [text, count] of Object.entries(round.errorTexts)) console.log(`    ${count} times: ${text}`)
    }
  }
  for (const server of servers) await server.stop()
  return results
}

const shares = values.traced === '' ? [] : values.traced.split(',').map(Number)
const collector = shares.length > 0 ? await startCollector() : null
mkdirSync(dir, { recursive: true })
const sides = chosenSides({ mode, logLevel, flush, heap: values['peer-heap'], jvm: jvmOptions() })
const date = new Date().toISOString()
const machine = describeMachine(dir)
console.log(`${date.slice(0, 16)}Z, commit ${machine.commit}, node ${machine.node}, Linux ${machine.kernel}`)
console.log(`${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, files on ${machine.fileSystem}`)
console.log('server, load program and bench share these cores; the other servers idle meanwhile')
if (machine.loadAverage > 0.5)
  console.log(`load average ${machine.loadAverage.toFixed(2)} before the start: not a quiet machine`)
for (const { name, what } of sides) console.log(`${name}: ${what}`)

const report: Record<string, { rounds: Round[]; summary: Summary[] }> = {}
for (const name of workloads) {
  const { what, callers } = WORKLOADS[name]!
  const { connections, merge } = values
  const how = `${connections}+${connections} connections${merge ? '' : ', not merged'}`
  const many = `${values.callers ?? callers} callers, ${how}`
  console.log(`\n${name}: ${what}; ${many}; rounds of ${values.seconds} s, ${rounds} per server`)
  const results = await runWorkload(name)
  report[name] = { rounds: results, summary: summarize(results) }
  console.log(table(report[name].summary))
}

if (collector) {
  const rounds = Object.fromEntries(Object.entries(report).map(([name, one]) => [name, one.rounds]))
  console.log(`\n${overhead(rounds)}`)
  const program = join(import.meta.dirname, 'allocations.ts')
  console.log(`  ${execFileSync(process.execPath, [program], { encoding: 'utf8', timeout: ALLOCATIONS_MS }).trim()}`)
}
const file = join(dir, `${date.slice(0, 19).replace(/\D/g, '')}.json`)
const described = sides.map(({ name, what }) => ({ name, what }))
writeFileSync(
  file,
  `${JSON.stringify({ date, machine, options: values, sides: described, workloads: report }, null, 2)}\n`
)
console.log(`\nall rounds: ${file}`)
const failed = Object.values(report).some((one) => one.rounds.some((round) => round.errors > 0))
if (failed) console.log('FAILED: there were errors; the figures above do not count')
process.exit(failed ? 1 : 0)
