// What V8 is told about its heap, as what is alive in it comes and goes.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import test from 'ava'
import { tuneHeap } from '../../plugin/heap.ts'
import { collectGarbage } from '../core/garbage.ts'

test('a small heap may grow far before it is collected, a large one as V8 decides', async (t) => {
  // What V8 tells of its collections does not keep a process alive.
  const busy = setInterval(() => {}, 1000)
  t.teardown(() => clearInterval(busy))
  const told: string[] = []
  let heard = () => {}
  tuneHeap((flag) => {
    told.push(flag)
    heard()
  }, 4)
  const collected = () => {
    const next = new Promise<void>((then) => (heard = then))
    collectGarbage()
    return next
  }
  t.deepEqual(told, ['--heap-growing-percent=400'])
  const alive: number[][] = Array.from({ length: 100 }, () => new Array(131_072).fill(1.5))
  await collected()
  t.deepEqual(told.slice(1), ['--heap-growing-percent=0'])
  t.is(alive.length, 100)
  alive.length = 0
  await collected()
  t.deepEqual(told.slice(2), ['--heap-growing-percent=400'])
})

test('with few cores nobody waits for helpers to collect what is young', (t) => {
  const told: string[] = []
  tuneHeap((flag) => void told.push(flag), 2)
  t.is(told[0], '--no-parallel-scavenge')
})

/** Makes garbage of which some lives on for a while, in short turns as a server's, until it is collected 60 times; then tells how many MB there were at most. */
const CHURN = `
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics } from 'node:v8'
import { keepYoungSmall } from '${new URL('../../plugin/heap.ts', import.meta.url)}'
if (process.argv[1] === 'small') keepYoungSmall()
let collections = 0
new PerformanceObserver((list) => void (collections += list.getEntries().length)).observe({ entryTypes: ['gc'] })
const alive = []
let largest = 0
while (collections < 60) {
  for (let n = 0; n < 10; n++) {
    const made = Array.from({ length: 200 }, (_, i) => ({ i, list: [i] }))
    alive.push(made.slice(0, 80))
    if (alive.length > 2000) alive.shift()
  }
  await new Promise((then) => setImmediate(then))
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')
  largest = Math.max(largest, young.space_used_size + young.space_available_size)
}
console.log(Math.round(largest / 1048576))
`

test('the young generation of a node does not grow beyond 8 MB, where V8 would have let it', async (t) => {
  const churn = async (how: string) => {
    const program = ['--no-warnings', '--input-type=module', '--eval', CHURN, how]
    return Number((await promisify(execFile)(process.execPath, program)).stdout)
  }
  const [left, small] = await Promise.all([churn('left'), churn('small')])
  t.true(left > 8, `${left} MB by itself`)
  t.is(small, 8)
})
