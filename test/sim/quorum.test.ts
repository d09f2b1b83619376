// A store that answers nobody: what clients are told, and when, on virtual time.
import test from 'ava'
import { PARK_MS } from '../../gateway/park.ts'
import { Steady } from './steady.ts'

const FRAGMENTS = 8
const SEEDS = 5
const CLEAR =
  /^TransactionException\[(no leader serves fragment (\d+|any), try again later|the store does not answer: .+)\]$/

test('R13, M24: without a quorum every request is answered clearly within 100 ms of its parking limit, and all goes on with the quorum', async (t) => {
  const all: number[] = []
  for (let seed = 1; seed <= SEEDS; seed++) {
    const steady = new Steady(seed, FRAGMENTS)
    const { failures, kv, open, time } = steady
    await steady.settled()
    steady.load()
    await steady.pass(400)
    t.deepEqual(failures, [])
    const fair = kv.weather
    kv.weather = { ...fair, silent: true }
    // Long enough for those that came first to have been asked at every other fragment.
    for (const until = time.now + 2 * PARK_MS; time.now < until; await steady.pass(100))
      t.true(Math.max(...[...open.values()].map((since) => time.now - since)) <= PARK_MS + 200)
    const longest = failures.reduce((most, { ms }) => Math.max(most, ms), 0)
    all.push(longest)
    t.true(longest > PARK_MS / 2 && longest <= PARK_MS + 100, `${longest} ms`)
    for (const { text } of failures) t.regex(text, CLEAR)
    kv.weather = fair
    await steady.pass(2_000)
    failures.length = 0
    const back = time.now
    await steady.pass(1_000)
    t.deepEqual(failures, [])
    t.true(steady.figures(back, () => true).commits > 300)
  }
  t.log(all.map((ms) => ms.toFixed(0)).join(', '))
})
