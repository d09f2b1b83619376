// What clients wait for when a node ends, freezes, or is cut off without a word: on virtual time, where nothing but the protocol takes time.
// And that who is merely slow is left in peace.
import test from 'ava'
import { KV_HOST } from './kv.ts'
import { Steady } from './steady.ts'

const FRAGMENTS = 6
const SEEDS = 5
const WATCHED_MS = 1_500

async function loaded(seed: number) {
  const steady = new Steady(seed, FRAGMENTS)
  await steady.settled()
  steady.load()
  await steady.pass(400)
  const [victim, ...others] = steady.cluster.nodes
  const { gateways, network } = steady.cluster
  const hosts = (slots: readonly { readonly host: string }[]) => slots.map(({ host }) => host)
  const far = {
    gateways: hosts(gateways),
    everybody: [...hosts(others), ...hosts(gateways), KV_HOST],
    store: [KV_HOST]
  }
  const cut = (from: keyof typeof far) => {
    for (const host of far[from]) {
      network.cut(victim!.host, host)
      network.cut(host, victim!.host)
    }
  }
  const mend = (from: keyof typeof far) => {
    for (const host of far[from]) {
      network.mend(victim!.host, host)
      network.mend(host, victim!.host)
    }
  }
  return { steady, victim: victim!, cut, mend }
}

type Loaded = Awaited<ReturnType<typeof loaded>>

/** Undisturbed, the longest wait of a few seconds is 30 to 60 ms: some messages are late. */
const failures: readonly [string, number, number, (loaded: Loaded) => void][] = [
  ['T10, R6: a node is killed', 75, 100, ({ victim }) => victim.kill(false)],
  ['R8: a node hands over and stops', 75, 100, ({ victim }) => stop(victim)],
  ['T11: the machine of a node goes dark', 800, 1_000, ({ victim }) => victim.kill(true)],
  ['T11, R12: a node freezes', 800, 1_000, ({ victim }) => victim.machine.sleeps()],
  ['T11, R12: a node is cut off from everybody', 800, 1_000, ({ cut }) => cut('everybody')],
  ['R12: a node is cut off from the store', 800, 1_000, ({ cut }) => cut('store')],
  ['M16: a node is cut off from the gateways', 600, 800, ({ cut }) => cut('gateways')]
]

function stop(victim: Loaded['victim']): void {
  victim.machine.enter(() => void victim.process!.stop(2_000).then(() => victim.kill(false)))
}

for (const [title, half, most, fail] of failures) {
  test(`${title}: half of the times nobody waits longer than ${half} ms, never longer than ${most} ms, nobody fails`, async (t) => {
    const longest: number[] = []
    for (let seed = 1; seed <= SEEDS; seed++) {
      const world = await loaded(seed)
      const at = world.steady.time.now
      fail(world)
      await world.steady.pass(WATCHED_MS)
      t.deepEqual(world.steady.failures, [])
      longest.push(world.steady.longest(at))
    }
    longest.sort((a, b) => a - b)
    t.log(longest.map((ms) => ms.toFixed(0)).join(', '))
    t.true(longest[Math.floor(SEEDS / 2)]! <= half)
    t.true(longest.at(-1)! <= most)
  })
}

test('R8: who comes back gets its fragments one after the other, and nobody fails', async (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { steady, victim } = await loaded(seed)
    const own = [...steady.leaders.keys()].filter((fragment) => steady.leaders[fragment] === victim.name)
    t.true(own.length > 1)
    victim.kill(false)
    await steady.until(() => steady.leaders.every((leader) => leader !== undefined && leader !== victim.name))
    victim.start()
    const back = new Map<number, number>()
    await steady.until(() => {
      for (const fragment of own) {
        if (steady.leaders[fragment] === victim.name && !back.has(fragment)) back.set(fragment, steady.time.now)
      }
      return back.size === own.length
    })
    const times = [...back.values()]
    t.true(
      times.every((at, n) => n === 0 || at - times[n - 1]! >= 100),
      `seed ${seed}: ${times.join(', ')}`
    )
    t.deepEqual(steady.failures, [])
  }
})

test('M16: who is cut off from the gateways leads on: they go through another node, and the straight way when it is open', async (t) => {
  const { steady, victim, cut, mend } = await loaded(1)
  const leads = steady.leaders
  const ways = () =>
    steady.cluster.gateways.map(({ process }) => process!.links.state.find(({ node }) => node === victim.name))
  cut('gateways')
  await steady.until(() => ways().every((way) => way?.up && way.through !== null))
  t.is(victim.process!.health.gateways.length, 2, 'the former ways are given up')
  await steady.pass(3_500)
  t.deepEqual(steady.leaders, leads)
  mend('gateways')
  await steady.pass(10_500)
  t.true(ways().every((way) => way?.up && way.through === null))
  t.deepEqual(steady.leaders, leads)
  t.deepEqual(steady.failures, [])
})

test('R8: nobody claims what is handed over, by a node that stops and to it when it is back, however long records take', async (t) => {
  for (const slow of [10, 30, 60]) {
    for (const seed of [1, 2, 3]) {
      const { steady, victim } = await loaded(seed)
      const terms = () =>
        steady.leaders.map((_, fragment) =>
          Math.max(...steady.cluster.nodes.map(({ process }) => process?.fragment(fragment)?.term ?? 0))
        )
      steady.kv.weather = { ...steady.kv.weather, slow }
      await steady.pass(100)
      // While a cluster comes up a claim may cross another.
      steady.warnings.length = 0
      const [leads, before] = [steady.leaders, terms()]
      const later = (by: number) => before.map((term, f) => (leads[f] === victim.name ? term + by : term))
      stop(victim)
      await steady.pass(1_300)
      t.deepEqual(terms(), later(1), `up to ${slow} ms a record, seed ${seed}`)
      victim.start()
      await steady.pass(2_500)
      t.deepEqual(terms(), later(2), `up to ${slow} ms a record, seed ${seed}, back again`)
      t.deepEqual(steady.leaders, leads)
      const ways = steady.cluster.gateways.flatMap(({ process }) => process!.links.state)
      t.true(
        ways.every(({ up, through }) => up && through === null),
        'nobody in between any more'
      )
      t.false(steady.warnings.includes('another node took the lead of this fragment'))
      t.deepEqual(steady.failures, [])
    }
  }
})

test('a gateway that was frozen itself finds all its links as they were, and a node that stumbles keeps its leads', async (t) => {
  const { steady, victim } = await loaded(1)
  const leads = steady.leaders
  const { machine, process } = steady.cluster.gateways[0]!
  for (const [asleep, ms] of [
    [machine, 2_500],
    [victim.machine, 300]
  ] as const) {
    steady.warnings.length = 0
    asleep.sleeps()
    await steady.pass(ms)
    asleep.wakes()
    await steady.pass(2_000)
    t.deepEqual(steady.warnings, [])
    t.true(process!.links.state.every(({ up, through }) => up && through === null))
  }
  t.deepEqual(steady.leaders, leads)
})
