// Table and Bag against a Map and a Set, and what they are for: what comes and goes is no old garbage.
import { getHeapSpaceStatistics } from 'node:v8'
import test from 'ava'
import { Bag, Table } from '../../tc-core/wire/table.ts'
import { collectGarbage } from '../core/garbage.ts'
import { random } from '../core/random.ts'

test('a table is a map, in its order, whatever comes and goes', (t) => {
  const r = random(5)
  const table = new Table<number, object>()
  const map = new Map<number, object>()
  for (let round = 0; round < 20; round++) {
    const adds = round % 2 === 0 ? 0.8 : 0.2
    for (let i = 0; i < 1000; i++) {
      const key = r.below(4000)
      if (r.next() < adds) {
        const value = { key, i }
        table.set(key, value)
        map.set(key, value)
      } else t.is(table.delete(key), map.delete(key))
      t.is(table.get(key), map.get(key))
      t.is(table.has(key), map.has(key))
    }
    t.is(table.size, map.size)
    t.deepEqual([...table], [...map])
    t.deepEqual([...table.keys()], [...map.keys()])
    t.deepEqual([...table.values()], [...map.values()])
  }
  for (const key of [...map.keys()]) t.true(table.delete(key))
  t.is(table.size, 0)
  table.set(1, {})
  t.is(table.size, 1)
})

test('who goes through a table sees what comes meanwhile, and not what went', (t) => {
  const table = new Table<string, string>()
  for (const key of ['a', 'b', 'c']) table.set(key, key)
  const seen: string[] = []
  for (const value of table.values()) {
    seen.push(value)
    if (value === 'a') {
      table.delete('b')
      table.set('d', 'd')
    }
  }
  t.deepEqual(seen, ['a', 'c', 'd'])
})

test('a bag knows what is in it, and forgets each thing once', (t) => {
  const r = random(6)
  const bag = new Bag<{ place: number }>()
  const set = new Set<{ place: number }>()
  const all = Array.from({ length: 200 }, () => ({ place: 0 }))
  for (let i = 0; i < 5000; i++) {
    const item = r.pick(all)
    if (set.has(item)) t.is(bag.delete(item), set.delete(item))
    else if (r.next() < 0.5) t.false(bag.delete(item))
    else {
      bag.add(item)
      set.add(item)
    }
    t.is(bag.all().length, set.size)
  }
  t.true(bag.all().every((item) => set.has(item)))
})

test('what went through a table is not kept among the old objects', (t) => {
  const table = new Table<number, object>()
  const oldBytes = () => getHeapSpaceStatistics().find((space) => space.space_name === 'old_space')!.space_used_size
  collectGarbage()
  const before = oldBytes()
  for (let i = 0; i < 40_000; i++) {
    table.set(i, { i, of: new Array(256).fill(i) })
    table.delete(i - 32)
  }
  t.true(oldBytes() - before < 6 * 2 ** 20, `${oldBytes() - before}`)
})
