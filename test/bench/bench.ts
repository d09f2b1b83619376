// `npm run bench`: our coordinator and its peer, the Java server, under the same load on this machine, in turn.
// The report names what was measured and how; every figure is the median over the rounds, with the spread beside it.
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { measureAlone } from './alone.ts'
import { startCollector } from './collector.ts'
import { javaVersion, NoPeer } from './java-server/peer.ts'
import { type Options, readOptions, USAGE } from './options.ts'
import { describeMachine } from './proc.ts'
import { costs, isOurs, spreadOf, table } from './report.ts'
import { addWorkloads, RESULTS, type WorkloadResult } from './results.ts'
import { type Round, type RoundOptions, runRound } from './round.ts'
import type { Server, Side } from './servers.ts'
import { sidesOf } from './sides.ts'
import { WORKLOADS } from './workloads.ts'

/** Callers of an open loop: so many that a slow server does not slow the loop down. */
const OPEN_CALLERS = 4_000
/** And the seconds that the load program has for its own compiler then: it waits for nobody, so what it is slow at counts as the server's. */
const OPEN_WARMUP = 4
const ALLOCATIONS_MS = 60_000

function giveUp(why: string): never {
  console.error(why)
  process.exit(2)
}

function optionsOrExit(): Options {
  try {
    const options = readOptions(process.argv.slice(2))
    if (options) return options
    console.log(USAGE)
  } catch (error) {
    giveUp(`${(error as Error).message}\n${USAGE}`)
  }
  process.exit(0)
}

/** Starts all sides; one that this machine cannot run is left out, with a word. */
async function startAll(sides: Side[]): Promise<Server[]> {
  const servers: Server[] = []
  for (const side of [...sides]) {
    try {
      servers.push(await side.start())
    } catch (error) {
      if (!(error instanceof NoPeer)) giveUp(String(error))
      console.log(`without ${side.name}: ${error.message}`)
      sides.splice(sides.indexOf(side), 1)
    }
  }
  if (servers.length === 0) giveUp('nothing to measure')
  return servers
}

/** What is asked of a server in every round. */
interface Turn {
  readonly server: Server
  /** Under which its rounds are noted. */
  readonly name: string
  of(round: number): Partial<RoundOptions>
}

async function one(dir: string, { server, name }: Turn, options: RoundOptions, round: number): Promise<Round> {
  const alone = measureAlone(dir)
  const result = { ...(await runRound(server, options, round)), server: name, alone }
  const { txPerSecond, latencyMs, errors } = result
  const figures = `${Math.round(txPerSecond)} tx/s, p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms`
  const beside = `a flush alone ${alone.flushMs.p50.toFixed(2)} ms, at most ${alone.flushMs.max.toFixed(1)}; CRC ${Math.round(alone.crcMbPerSecond)} MB/s`
  console.log(`  round ${round} ${name}: ${figures}, ${errors} errors (${beside})`)
  for (const [text, count] of Object.entries(result.errorTexts)) console.log(`    ${count} times: ${text}`)
  return result
}

async function inTurn(o: Options, turns: readonly Turn[], workload: string): Promise<Round[]> {
  const { callers, connections, merge, warmup, seconds } = o
  const common = { workload, callers, connections, merge, warmup, seconds, rate: null, shed: false, held: 0 }
  const results: Round[] = []
  for (let round = 1; round <= o.rounds; round++) {
    for (const turn of turns) results.push(await one(o.dir, turn, { ...common, ...turn.of(round) }, round))
  }
  return results
}

/** Each at so many % of what it reached, and ours, which can do more, at the peer's rate as well: the same load for both. */
function openTurns(o: Options, servers: readonly Server[], closed: readonly Round[], percent: number): Turn[] {
  const at = (rated: string) => ({
    rate: Math.round((spreadOf(closed, rated, 'tx/s')!.median * percent) / 100),
    callers: OPEN_CALLERS,
    warmup: Math.max(o.warmup, OPEN_WARMUP)
  })
  const own = servers.map((server) => ({ server, name: server.name, of: () => at(server.name) }))
  const peer = servers.find(({ name }) => name === 'peer')
  if (!peer) return own
  const slow = servers.filter(({ name }) => isOurs(name))
  return [...own, ...slow.map((server) => ({ server, name: `${server.name} at peer's rate`, of: () => at(peer.name) }))]
}

function show(what: string, rounds: readonly Round[], commit: string): WorkloadResult {
  console.log(table(rounds))
  for (const line of costs(rounds)) console.log(line)
  return { what, date: new Date().toISOString(), commit, rounds }
}

async function runWorkload(
  o: Options,
  servers: readonly Server[],
  name: string
): Promise<Record<string, WorkloadResult>> {
  const { what, held } = WORKLOADS[name]!
  console.log(`\n${name}: ${what}; rounds of ${o.seconds} s, ${o.rounds} per server`)
  const turns = servers.map((server): Turn => {
    // The stub has little to compile.
    const warmup = server.name === 'stub' ? o.warmup : o.firstWarmup
    return { server, name: server.name, of: (round) => (round === 1 ? { warmup, held } : {}) }
  })
  const closed = await inTurn(o, turns, name)
  const results = { [name]: show(what, closed, machine.commit) }
  for (const percent of o.open) {
    const how = `${what}; an open loop at ${percent} % of what each reached`
    console.log(`\n${name}, ${how}`)
    const rounds = await inTurn(o, openTurns(o, servers, closed, percent), name)
    results[`${name}@${percent}`] = show(how, rounds, machine.commit)
  }
  return results
}

const options = optionsOrExit()
mkdirSync(options.dir, { recursive: true })
const collector = options.traced.length > 0 ? await startCollector() : null
const sides = sidesOf(options, collector?.endpoint ?? null)
const machine = { ...describeMachine(options.dir), java: javaVersion() }
const date = new Date().toISOString()
console.log(`${date.slice(0, 16)}Z, commit ${machine.commit}, node ${machine.node}, Linux ${machine.kernel}`)
console.log(`${machine.cores} cores (${machine.cpu}), ${machine.memoryGb} GB, files on ${machine.fileSystem}`)
const others = options.apart ? 'no other server runs meanwhile' : 'the other servers idle meanwhile'
console.log(`server, load program and bench share these cores; ${others}`)
if (machine.loadAverage > 0.5)
  console.log(`load average ${machine.loadAverage.toFixed(2)} before the start: not a quiet machine`)
for (const { name, what } of sides) console.log(`${name}: ${what}`)

let file = ''
let failed = false
for (const group of options.apart ? sides.map((side) => [side]) : [sides]) {
  const keep = options.keep && !group.some(({ name }) => isOurs(name))
  let kept: Server[] | null = null
  for (const name of options.workloads) {
    const servers: Server[] = kept ?? (await startAll(group))
    if (keep) kept = servers
    const workloads = await runWorkload(options, servers, name)
    if (!keep) for (const server of servers) await server.stop()
    const rounds = Object.values(workloads).flatMap((workload) => workload.rounds)
    // What a peer owes for ever is its own affair; what we owe is an error.
    failed ||= rounds.some((round) => round.errors > 0 || (isOurs(round.server) && round.owedForEver > 0))
    const part = options.part ?? date.slice(0, 19).replace(/\D/g, '')
    const folder = options.results ?? (options.part === null ? options.dir : RESULTS)
    const described = group.map(({ name, what }) => ({ name, what }))
    file = addWorkloads({ part, date, machine, sides: described }, workloads, folder)
  }
  for (const server of kept ?? []) await server.stop()
}
if (collector) {
  const program = join(import.meta.dirname, 'allocations.ts')
  console.log(execFileSync(process.execPath, [program], { encoding: 'utf8', timeout: ALLOCATIONS_MS }).trim())
}
console.log(`\nall rounds: ${file}`)
if (failed) console.log('FAILED: there were errors; the figures above do not count')
process.exit(failed ? 1 : 0)
