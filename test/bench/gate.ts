// `npm run bench:gate`: ours as it is here beside ours of the commit before, in short rounds in turn; a loss of more than 15 % fails.
// The last line is `N passed, N failed`.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isLoss, ratioOf, ratiosOf, spread } from './report.ts'
import { type Round, runRound } from './round.ts'
import { ours, type Server } from './servers.ts'

const { values } = parseArgs({
  options: {
    workload: { type: 'string', default: 'at' },
    rounds: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '2' },
    base: { type: 'string', default: 'HEAD~1' }
  }
})

const LEAST = 0.85
const FIRST_WARMUP = 4
const WARMUP = 0.3
const ROOT = join(import.meta.dirname, '../..')

function end(passed: boolean): never {
  console.log(passed ? '1 passed, 0 failed' : '0 passed, 1 failed')
  process.exit(passed ? 0 : 1)
}

/** The commit before this one; null when this is the first, or a clone without history. */
function commitBefore(): string | null {
  const run = spawnSync('git', ['rev-parse', '--verify', '--quiet', `${values.base}^{commit}`], {
    cwd: ROOT,
    encoding: 'utf8'
  })
  return run.status === 0 ? run.stdout.trim() : null
}

/** Its files in a folder of their own, with the packages that it needs. */
function checkout(commit: string, folder: string): void {
  const files = execFileSync('git', ['archive', commit], { cwd: ROOT, maxBuffer: 2 ** 30 })
  execFileSync('tar', ['-x', '-C', folder], { input: files })
  const lock = (root: string) => readFileSync(join(root, 'package-lock.json'), 'utf8')
  const mine = join(ROOT, 'node_modules')
  if (existsSync(mine) && lock(folder) === lock(ROOT)) return symlinkSync(mine, join(folder, 'node_modules'))
  console.log('it needs other packages: npm ci')
  execFileSync('npm', ['ci', '--no-audit', '--no-fund'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
}

const rounds: Round[] = []

/** Another series of rounds, who is first changing; `number` goes on from series to series. The ratios of all rounds so far. */
async function series(servers: readonly Server[]): Promise<number[]> {
  const common = { callers: null, connections: null, merge: true, rate: null, shed: false, held: 0 }
  for (let i = 0; i < Number(values.rounds); i++) {
    const number = rounds.length / servers.length + 1
    for (const server of number % 2 === 1 ? servers : servers.toReversed()) {
      const times = { warmup: number === 1 ? FIRST_WARMUP : WARMUP, seconds: Number(values.seconds) }
      const round = await runRound(server, { workload: values.workload, ...common, ...times }, number)
      if (round.errors > 0) {
        console.log(`${server.name}: ${JSON.stringify(round.errorTexts)}`)
        end(false)
      }
      rounds.push(round)
    }
    const [now, before] = servers.map(({ name }) => rounds.findLast((round) => round.server === name)!.txPerSecond)
    console.log(
      `  round ${number}: ${Math.round(now!)} and before ${Math.round(before!)} tx/s: ${(now! / before!).toFixed(2)}`
    )
  }
  return ratiosOf(rounds, 'ours', 'before', 'tx/s')
}

const commit = commitBefore()
if (commit === null) {
  console.log('there is no commit before this one here: nothing to compare with')
  end(true)
}
const folder = mkdtempSync(join(tmpdir(), 'seata-gate-'))
process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
console.log(`${values.workload}: ours as it is here beside ours of ${commit.slice(0, 8)}`)
checkout(commit, folder)
const servers = [await ours(folder).start(), await ours(folder, { name: 'before', cwd: folder }).start()]
let ratios = await series(servers)
// On a busy machine one series may say anything: a loss is believed when more rounds show it too.
if (spread(ratios)!.median < LEAST) {
  console.log(`a loss, it seems: ${spread(ratios)!.median.toFixed(2)}; once more`)
  ratios = await series(servers)
}
for (const server of servers) await server.stop()
const cpu = ratioOf(rounds, 'ours', 'before', 'server CPU s per 1,000 tx')!
const { median, min, max } = spread(ratios)!
console.log(
  `tx/s: ${median.toFixed(2)} of the commit before (${min.toFixed(2)} to ${max.toFixed(2)}); CPU per transaction: ${cpu.median.toFixed(2)}`
)
const lost = isLoss(ratios, LEAST)
if (lost) console.log(`a loss of more than ${Math.round((1 - LEAST) * 100)} %`)
end(!lost)
