// What befalls one fragment costs the others nothing: they answer as many as before, and as soon. On virtual time, so that it can be measured
// on any machine; `npm run bench:failover` prints the same of real processes.
import test, { type ExecutionContext } from 'ava'
import { type Figures, Steady } from './steady.ts'

const FRAGMENTS = 6
const WATCHED_MS = 3_000

async function started(seed: number): Promise<Steady> {
  const steady = new Steady(seed, FRAGMENTS)
  await steady.settled()
  steady.load()
  await steady.pass(500)
  return steady
}

function unaffected(t: ExecutionContext, before: Figures, after: Figures): void {
  t.log(
    `commits ${before.commits}, then ${after.commits}; p99 ${before.p99.toFixed(1)} ms, then ${after.p99.toFixed(1)} ms`
  )
  t.true(before.commits > 500)
  t.true(after.commits > 500)
  t.true(after.p99 <= 1.2 * before.p99, `p99 ${after.p99} ms after ${before.p99} ms`)
}

for (const seed of [1, 2]) {
  test(`M4: one fragment's log is closed to all: the others commit as many as before, and as soon, seed ${seed}`, async (t) => {
    const steady = await started(seed)
    const [blocked, others] = [(f: number) => f === 0, (f: number) => f > 0]
    const from = steady.time.now
    await steady.pass(WATCHED_MS)
    const [before, all] = [steady.figures(from, others), steady.figures(from, () => true)]
    const at = steady.time.now
    steady.kv.blocked = '{sim:0}'
    await steady.pass(WATCHED_MS)
    unaffected(t, before, steady.figures(at, others))
    // Begins are spread by chance over those that work: it is what all of them do that can be told.
    t.true(steady.figures(at, others).commits >= (0.95 * all.commits * (FRAGMENTS - 1)) / FRAGMENTS)
    t.true(steady.figures(at + 20, blocked).commits === 0, 'it does stand still')
    t.deepEqual(
      steady.failures.filter(({ fragment }) => fragment > 0),
      []
    )
    const open = steady.time.now
    steady.kv.blocked = ''
    await steady.until(() => steady.figures(open, blocked).commits > 50)
    t.pass('and goes on')
  })

  test(`M13, M14: a node dies: what it led goes on elsewhere, and what it followed is unaffected, seed ${seed}`, async (t) => {
    const steady = await started(seed)
    const { leaders } = steady
    const [victim] = steady.cluster.nodes
    const [led, followed] = [
      (f: number) => leaders[f] === victim!.name,
      (f: number) => f >= 0 && leaders[f] !== victim!.name
    ]
    t.is(leaders.filter((name) => name === victim!.name).length, 2)
    const from = steady.time.now
    await steady.pass(WATCHED_MS)
    const [before, all] = [steady.figures(from, followed), steady.figures(from, () => true)]
    const at = steady.time.now
    victim!.kill(false)
    await steady.pass(WATCHED_MS)
    unaffected(t, before, steady.figures(at, followed))
    t.true(steady.figures(at, () => true).commits >= 0.95 * all.commits)
    t.true(steady.figures(at + 500, led).commits > 100)
    t.deepEqual(steady.failures, [])
  })
}
