// `npm run bench:overload`: three times what saturates ours, for minutes, by an open loop that does not wait for it. What is admitted
// goes on nearly as fast as at the peak, the rest is refused soon, and memory stays bounded.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { growthOf } from './bounded.ts'
import { describeMachine, sampleProcesses } from './proc.ts'
import { formatted, spread } from './report.ts'
import { addMeasured } from './results.ts'
import { type Round, type RoundOptions, runRound } from './round.ts'
import { ours } from './servers.ts'
import { WORKLOADS } from './workloads.ts'

const { values } = parseArgs({
  options: {
    workload: { type: 'string', default: 'at' },
    seconds: { type: 'string', default: '300' },
    times: { type: 'string', default: '3' },
    /** Windows of the closed loop that finds the peak. */
    'peak-seconds': { type: 'string', default: '5' },
    'peak-rounds': { type: 'string', default: '3' },
    /** Of the open loop: transactions that it can have open at once. */
    callers: { type: 'string', default: '100000' },
    options: { type: 'string', default: '' },
    dir: { type: 'string', default: join(import.meta.dirname, 'data') }
  }
})

/** Admitted work, at least, of the peak. */
const LEAST_SHARE = 0.9
/** 99 of 100 refusals come sooner: long before a client's patience ends. */
const SOON_MS = 1_000
const seconds = Number(values.seconds)
const peakSeconds = Number(values['peak-seconds'])

interface Phase {
  readonly name: string
  readonly round: Round
  /** Of every second of the window. */
  readonly residentMb: readonly number[]
}

mkdirSync(values.dir, { recursive: true })
const machine = describeMachine(values.dir)
const side = ours(values.dir, { options: values.options.split(' ').filter((word) => word !== '') })
const server = await side.start()

async function phase(name: string, more: Partial<RoundOptions>): Promise<Phase> {
  const residentMb: number[] = []
  let sampling: NodeJS.Timeout | undefined
  const sample = () => residentMb.push(sampleProcesses(server.pids)?.rssMb ?? 0)
  const common = { workload: values.workload, callers: null, connections: null, merge: true, rate: null, shed: false }
  const times = { held: 0, warmup: 3, seconds: peakSeconds }
  const round = await runRound(server, { ...common, ...times, ...more }, 1, (event) => {
    if (event === 'begin') sampling = setInterval(sample, 1000)
    else clearInterval(sampling)
  })
  const { txPerSecond, latencyMs, refused, refusalMs, skipped } = round
  const excess = `refused ${refused} (p50 ${refusalMs.p50} ms, p99 ${refusalMs.p99} ms), no caller for ${skipped}`
  const memory = `${Math.round(residentMb[0] ?? 0)} to ${Math.round(Math.max(...residentMb))} MB`
  console.log(
    `${name}: ${Math.round(txPerSecond)} tx/s, p50 ${latencyMs.p50} ms, p99 ${latencyMs.p99} ms, ${excess}, ${memory}`
  )
  for (const [text, count] of Object.entries(round.errorTexts)) console.log(`  ${count} times: ${text}`)
  return { name, round, residentMb }
}

console.log(`${values.workload}: ${WORKLOADS[values.workload]!.what}`)
const peaks: Phase[] = []
for (let i = 0; i < Number(values['peak-rounds']); i++) {
  for (const callers of [WORKLOADS[values.workload]!.callers, 512]) {
    peaks.push(await phase(`closed loop, ${callers} callers`, { callers, warmup: i === 0 ? 8 : 1 }))
  }
}
const peak = Math.max(
  ...[...new Set(peaks.map(({ name }) => name))].map(
    (name) => spread(peaks.filter((one) => one.name === name).map(({ round }) => round.txPerSecond))!.median
  )
)
const rate = Math.round(peak * Number(values.times))
console.log(`peak ${Math.round(peak)} tx/s; now ${rate} due per second, for ${seconds} s`)
const over = await phase('overload', { rate, shed: true, callers: Number(values.callers), seconds })
const after = await phase('afterwards', { warmup: 3 })
await server.stop()

const share = over.round.txPerSecond / peak
const growth = growthOf(over.residentMb)
const perSecond = (count: number) => formatted(count / over.round.seconds, 0)
const table = {
  title: `${values.times} × the saturating load for ${seconds} s`,
  what: `${WORKLOADS[values.workload]!.what}. The load program keeps ${formatted(Number(values.callers), 0)} transactions open at most; what is due beyond that it drops itself.`,
  head: ['figure', 'value'],
  rows: [
    ['peak of closed loops, tx/s', formatted(peak, 0)],
    ['due, tx/s', formatted(rate, 0)],
    ['done, tx/s', `${formatted(over.round.txPerSecond, 0)} (${formatted(share * 100, 0)} % of the peak)`],
    ['refused per second', perSecond(over.round.refused)],
    ['not sent by the load program, per second', perSecond(over.round.skipped)],
    [
      'a refusal after ms, p50 and p99',
      `${formatted(over.round.refusalMs.p50, 0)}, ${formatted(over.round.refusalMs.p99, 0)}`
    ],
    [
      'a transaction took ms, p50 and p99',
      `${formatted(over.round.latencyMs.p50, 0)}, ${formatted(over.round.latencyMs.p99, 0)}`
    ],
    [
      'resident MB after a minute that fills it, first half and second half, median',
      growth ? `${formatted(growth.early, 0)}, ${formatted(growth.late, 0)}` : 'too short to tell'
    ],
    ['resident MB, most', formatted(Math.max(...over.residentMb), 0)],
    ['errors but refusals', formatted(over.round.errors, 0)],
    ['afterwards, a closed loop again, tx/s', formatted(after.round.txPerSecond, 0)]
  ]
}
console.log(table.rows.map((row) => `  ${row.join(': ')}`).join('\n'))
const date = new Date().toISOString()
const measured = { date, commit: machine.commit, table, raw: { peaks, over, after } }
const sides = [{ name: side.name, what: side.what }]
console.log(`all: ${addMeasured({ part: 'overload', date, machine, sides }, { [values.workload]: measured })}`)
const soon = over.round.refused > 0 && over.round.refusalMs.p99 < SOON_MS
const good = share >= LEAST_SHARE && over.round.errors === 0 && soon && growth?.bounded !== false
console.log(good ? '1 passed, 0 failed' : '0 passed, 1 failed')
process.exit(good ? 0 : 1)
