// The simulator: the same seed is the same run, faults find nothing, and the faults do happen.
import test from 'ava'
import { FAULTS } from './faults.ts'
import { runAll, seeds } from './pool.ts'
import { Time } from './time.ts'
import { Totals } from './totals.ts'
import type { Outcome } from './world.ts'

const RUNS = 120
/** CI runs more of them, with `npm run sim`: from 1 on. These are others. */
const FIRST = 1_000_001

async function outcomes(...args: Parameters<typeof seeds>): Promise<Outcome[]> {
  const list: Outcome[] = []
  await runAll(seeds(...args), (outcome) => list.push(outcome) > 0)
  return list.sort((a, b) => a.seed - b.seed)
}

test.serial(
  'the same seed is the same run, to the byte, in whatever process and after whatever runs; another seed is another',
  async (t) => {
    const first = await outcomes(1, 6)
    const again = await outcomes(1, 6)
    t.deepEqual(again, first)
    t.is(new Set(first.map(({ hash }) => hash)).size, 6)
  }
)

test.serial('without faults every transaction comes to its end, and nothing is found', async (t) => {
  for (const { seed, breach, counts } of await outcomes(1, 4, { faults: false })) {
    t.is(breach, null, `seed ${seed}`)
    t.true(counts.committed! > 10)
  }
})

test.serial(
  `M26, M27, G2: ${RUNS} runs with faults: nothing is found, and every kind of fault and of request happens`,
  async (t) => {
    t.timeout(280_000)
    const totals = new Totals()
    for (const outcome of await outcomes(FIRST, RUNS)) {
      t.is(outcome.breach, null, `npm run sim -- --seed ${outcome.seed} --trace`)
      totals.add(outcome)
    }
    t.log(totals.text)
    for (const name of Object.keys(FAULTS)) t.true(totals.faultsOf(name) > 0, name)
    for (const name of ['committed', 'rolledBack', 'registered', 'conflicts', 'statuses', 'queries', 'errors']) {
      t.true(totals.count(name) > RUNS, `${totals.count(name)} ${name}`)
    }
  }
)

test('between two events everything that was promised comes to rest, and what was called off does not happen', async (t) => {
  const time = new Time()
  const seen: string[] = []
  time.at(1, () => {
    void (async () => {
      for (let n = 0; n < 1_000; n++) await null
      process.nextTick(() => void Promise.resolve().then(() => queueMicrotask(() => seen.push('rest'))))
    })()
  })
  time.at(1, () => seen.push('next'))
  time.at(0.5, () => seen.push('before'))
  time.at(2, () => seen.push('never')).run = null
  await time.run(() => false)
  t.deepEqual(seen, ['before', 'rest', 'next'])
  t.is(time.events, 3)
})
