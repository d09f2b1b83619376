// The rules of the log, shown to hold and shown to be needed: random walks of the real code with every rule kept find nothing, and with
// any one taken out they find a breach.
import test from 'ava'
import { RULES, type Rule } from '../../tc-core/replication/rules.ts'
import { World } from './world.ts'

const STEPS = 1000
const WALKS_WITH_ALL = 1000
const WALKS_WITHOUT_ONE = 500

async function firstBreach(walks: number, without?: Rule): Promise<string | null> {
  for (let seed = 1; seed <= walks; seed++) {
    const breach = await new World(seed, without).run(STEPS)
    if (breach) return `seed ${seed}: ${breach.message}`
  }
  return null
}

test('with every rule kept, random walks find no breach', async (t) => {
  t.is(await firstBreach(WALKS_WITH_ALL), null)
})

for (const [rule, text] of Object.entries(RULES)) {
  test(`without the rule ${rule} a breach is found: ${text}`, async (t) => {
    t.truthy(await firstBreach(WALKS_WITHOUT_ONE, rule as Rule))
  })
}

test('walks do something: leaders change, snapshots are taken and values are acknowledged', async (t) => {
  const world = new World(5)
  await world.run(3000)
  const keys = [...world.values.keys()]
  t.true(world.canon.length > 50, `${world.canon.length} values`)
  t.true(keys.some((key) => key.includes(':s:')))
  t.true(keys.filter((key) => key.includes(':e:')).length < world.lastValue)
})

test('walks do something: leads are passed on and taken over', async (t) => {
  let takenOver = 0
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World(seed)
    await world.run(STEPS)
    takenOver += world.takenOver
  }
  t.true(takenOver > 10, `${takenOver} times`)
})
