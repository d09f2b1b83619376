// What V8 is told about its heap, as what is alive in it comes and goes.
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
