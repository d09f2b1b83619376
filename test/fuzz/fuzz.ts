// `npm run fuzz`: damaged frames against a live coordinator by the million. `--frames N --rate N --seed N`.
import { parseArgs } from 'node:util'
import { attack, type Report } from './attack.ts'

const { values } = parseArgs({
  options: {
    frames: { type: 'string', default: '1000000' },
    rate: { type: 'string', default: '4000' },
    seed: { type: 'string', default: '20260' }
  }
})

/** What must hold, in words. */
const EXPECTED: readonly (readonly [string, (report: Report) => boolean])[] = [
  ['the client that behaves sees no failure', (r) => r.failures.length === 0],
  ['whatever comes back is a frame', (r) => r.unreadable === 0],
  ['its p99 is not more than twice what it was', (r) => r.p99.attacked <= 2 * r.p99.alone],
  ['memory returns', (r) => r.memory.end <= 1.2 * r.memory.early]
]

const ends: (() => unknown)[] = []
const report = await attack(
  { teardown: (end) => ends.push(end) },
  { frames: Number(values.frames), rate: Number(values.rate), seed: Number(values.seed), alone: 10_000 }
)
for (const end of ends) end()
console.log(report)
let failed = 0
for (const [what, holds] of EXPECTED) {
  if (!holds(report)) failed++
  console.log(`${holds(report) ? 'ok' : 'FAILED'} ${what}`)
}
console.log(`${EXPECTED.length - failed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)
