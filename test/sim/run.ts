// npm run sim -- [--seed N] [--runs M | --hours H] [--without BUG] [--workers W] [--calm] [--trace] [--mutations]
// Prints what was run, and of every failure its seed and the last lines of what happened. Ends with `N passed, N failed`.
import { parseArgs } from 'node:util'
import { findMutations } from './find.ts'
import { isMutation, MUTATIONS } from './mutations.ts'
import { type Job, runAll, seeds } from './pool.ts'
import { Totals } from './totals.ts'
import { simulate } from './world.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string' },
    hours: { type: 'string' },
    without: { type: 'string' },
    workers: { type: 'string' },
    calm: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    mutations: { type: 'boolean', default: false }
  }
})
const first = Number(values.seed)
const until = values.hours ? performance.now() + Number(values.hours) * 3_600_000 : Number.POSITIVE_INFINITY
const runs = values.runs ? Number(values.runs) : values.hours ? Number.MAX_SAFE_INTEGER - first : 1
const workers = values.workers ? Number(values.workers) : undefined
const { without } = values
if (without !== undefined && !isMutation(without)) {
  console.error(`--without is one of ${Object.keys(MUTATIONS).join(', ')}`)
  process.exit(2)
}
const job: Omit<Job, 'seed'> = { faults: !values.calm, ...(without !== undefined && { without }) }
/** Runs in which a bug on purpose has to be found. */
const MUTATION_RUNS = 2500
/** Lines of a failed run that are shown. */
const SHOWN = 40

if (values.mutations) process.exitCode = (await findMutations(first, runs > 1 ? runs : MUTATION_RUNS, workers)) ? 0 : 1
else if (values.trace) await traced(first, Number.POSITIVE_INFINITY)
else await all()

async function all(): Promise<void> {
  const totals = new Totals()
  const failed: number[] = []
  await runAll(
    seeds(first, runs, job),
    (outcome) => {
      totals.add(outcome)
      if (outcome.breach !== null) {
        failed.push(outcome.seed)
        console.log(`seed ${outcome.seed}: ${outcome.breach}`)
      }
      return failed.length < (without === undefined ? 20 : 1) && performance.now() < until
    },
    workers
  )
  console.log(totals.text)
  for (const seed of failed.slice(0, 3)) await traced(seed, SHOWN)
  console.log(`${totals.runs - failed.length} passed, ${failed.length} failed`)
  process.exitCode = failed.length > 0 ? 1 : 0
}

/** The same run again, with the last lines of what happened. */
async function traced(seed: number, shown: number): Promise<void> {
  const lines: string[] = []
  const trace = (line: string) => {
    if (shown === Number.POSITIVE_INFINITY) return console.log(line)
    lines.push(line)
    if (lines.length > shown) lines.shift()
  }
  const outcome = await simulate({ ...job, seed, trace })
  const bug = without === undefined ? '' : ` --without ${without}`
  console.log(`\nnpm run sim -- --seed ${seed}${bug} --trace`)
  for (const line of lines) console.log(line)
  console.log(`${outcome.breach ?? 'no breach'} (${outcome.events} events, hash ${outcome.hash})`)
}
