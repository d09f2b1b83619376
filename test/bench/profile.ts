// `npm run bench:profile`: what a transaction of ours costs, and in which room: a CPU profile, the GC's own trace, and the figures of a round.
import { mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { fold, type Profile, ROOMS } from './fold.ts'
import { describeMachine } from './proc.ts'
import { formatted } from './report.ts'
import { addMeasured, type Measured } from './results.ts'
import { type Round, runRound } from './round.ts'
import { makeDir, ours } from './servers.ts'
import { WORKLOADS } from './workloads.ts'

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: 'empty,tcc,at,at4' },
    seconds: { type: 'string', default: '6' },
    warmup: { type: 'string', default: '6' },
    dir: { type: 'string', default: join(import.meta.dirname, 'data') }
  }
})

/** Allocated by each isolate, from the lines of --trace-gc: what it had before a GC beyond what the GC before had left. */
class Allocations {
  #text = ''
  readonly #after = new Map<string, number>()
  bytes = 0

  take(chunk: string): void {
    const lines = (this.#text + chunk).split('\n')
    this.#text = lines.pop()!
    for (const line of lines) {
      const gc = /^\[\d+:(\w+)\].* ms: .*? (\d+\.\d+) \(\d+\.\d+\) -> (\d+\.\d+) /.exec(line)
      if (!gc) continue
      const [, isolate, before, after] = gc
      const left = this.#after.get(isolate!)
      if (left !== undefined) this.bytes += Math.max(0, Number(before) - left) * 2 ** 20
      this.#after.set(isolate!, Number(after))
    }
  }
}

interface Costs {
  readonly round: Round
  readonly allocatedBytes: number
  /** µs of CPU per transaction, by room. */
  readonly rooms: Readonly<Record<string, number>>
  /** The functions that take most, in µs per transaction. */
  readonly functions: Readonly<Record<string, number>>
}

async function costsOf(workload: string): Promise<Costs> {
  const profiles = makeDir(values.dir, 'profile')
  const allocations = new Allocations()
  const node = ['--cpu-prof', `--cpu-prof-dir=${profiles}`, '--cpu-prof-interval=250', '--trace-gc']
  const server = await ours(values.dir, { node, onOutput: (chunk) => allocations.take(chunk) }).start()
  const window: { at: number; bytes: number }[] = []
  const common = { callers: null, connections: null, merge: true, rate: null, shed: false, held: 0 }
  const times = { warmup: Number(values.warmup), seconds: Number(values.seconds) }
  const round = await runRound(server, { workload, ...common, ...times }, 1, () =>
    window.push({ at: Number(process.hrtime.bigint() / 1000n), bytes: allocations.bytes })
  )
  await server.stop()
  const [begin, end] = window.map(({ at }) => at)
  const folded = readdirSync(profiles).map((name) => {
    const profile = JSON.parse(readFileSync(join(profiles, name), 'utf8')) as Profile
    return fold(profile, begin!, end!)
  })
  const perTransaction = (pick: 'rooms' | 'functions') => {
    const sums = new Map<string, number>()
    for (const one of folded) {
      for (const [name, us] of one[pick]) sums.set(name, (sums.get(name) ?? 0) + us / round.transactions)
    }
    return [...sums].sort(([, a], [, b]) => b - a)
  }
  return {
    round,
    allocatedBytes: (window[1]!.bytes - window[0]!.bytes) / round.transactions,
    rooms: Object.fromEntries(perTransaction('rooms')),
    functions: Object.fromEntries(perTransaction('functions').slice(0, 40))
  }
}

const per = (value: number | null, { transactions }: Round, digits: number) =>
  value === null ? '' : formatted(value / transactions, digits)

function measured(all: Readonly<Record<string, Costs>>, commit: string): Record<string, Measured> {
  const date = new Date().toISOString()
  const names = Object.keys(all)
  const each = (cell: (costs: Costs) => string) => names.map((name) => cell(all[name]!))
  const total = ({ rooms }: Costs) => Object.values(rooms).reduce((sum, us) => sum + us, 0)
  const costs = {
    title: 'Bytes, appends, flushes, allocations',
    what: 'Of one transaction, in one process. Allocations are of the JavaScript heap, as its garbage collector tells.',
    head: ['per transaction', ...names],
    rows: [
      ['bytes on the wire, both ways', ...each(({ round }) => per(round.bytesSent + round.bytesReceived, round, 0))],
      ['appends', ...each(({ round }) => per(round.appends, round, 3))],
      ['flushes to disk', ...each(({ round }) => per(round.fsyncs, round, 3))],
      ['requests', ...each(({ round }) => per(round.requests, round, 1))],
      ['bytes allocated', ...each(({ allocatedBytes }) => formatted(allocatedBytes, 0))],
      ['CPU µs, with the profiler on', ...each(({ round }) => per((round.serverCpuSeconds ?? 0) * 1e6, round, 1))]
    ]
  }
  const rooms = {
    title: 'By room',
    what: "µs per transaction by where the code is that ran, from a CPU profile of all threads, and the share of all. That of storage includes its thread's waiting for the disk.",
    head: ['room', ...names],
    rows: ROOMS.map((room) => [
      room,
      ...each((one) => {
        const us = one.rooms[room] ?? 0
        return `${formatted(us, 1)} (${formatted((us / total(one)) * 100, 0)} %)`
      })
    ])
  }
  return { costs: { date, commit, table: costs, raw: all }, rooms: { date, commit, table: rooms, raw: null } }
}

mkdirSync(values.dir, { recursive: true })
const machine = describeMachine(values.dir)
const all: Record<string, Costs> = {}
for (const name of values.only.split(',')) {
  console.log(`${name}: ${WORKLOADS[name]!.what}`)
  all[name] = await costsOf(name)
}
const result = measured(all, machine.commit)
for (const { table } of Object.values(result)) {
  console.log(`\n${table.title}\n${[table.head, ...table.rows].map((row) => `  ${row.join('  ')}`).join('\n')}`)
}
for (const [name, { functions }] of Object.entries(all)) {
  console.log(`\n${name}: µs per transaction of the functions that take most`)
  for (const [where, us] of Object.entries(functions).slice(0, 15))
    console.log(`  ${us.toFixed(2).padStart(7)}  ${where}`)
}
const sides = [{ name: 'ours', what: 'fastify-seata, one process, storage as by default' }]
console.log(`\nall: ${addMeasured({ part: 'profile', date: new Date().toISOString(), machine, sides }, result)}`)
process.exit(0)
