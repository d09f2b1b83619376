// The conformance suite on every engine, and stand-ins that break one promise each: the suite must see it.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { CHECKS, type Check } from '../../tc-core/storage/conformance.ts'
import { openLmdb } from '../../tc-core/storage/lmdb.ts'
import { type Faults, MemoryData, openMemory } from '../../tc-core/storage/memory.ts'
import { openStorage } from '../../tc-core/storage/open.ts'
import { type Lane, type Storage, StorageError } from '../../tc-core/storage/port.ts'
import { openSqlite } from '../../tc-core/storage/sqlite.ts'
import { Answering, Asking, Kind, newShared, Outcome } from '../../tc-core/storage/sqlite-protocol.ts'
import { random } from '../core/random.ts'

let run = 0

/** The keys of one run of a check, by their names. */
type Keys = (run: number) => (name: string) => string

const byName: Keys = (run) => (name) => `{check:${run}}:${name}`

/** Keys as the records of a log have them, which an engine may keep in another way. */
const asRecords: Keys = (run) => {
  const names: string[] = []
  return (name) => {
    if (!names.includes(name)) names.push(name)
    return `{check:${run}}:e:${String(names.indexOf(name) + 1).padStart(14, '0')}`
  }
}

/** Runs a check with keys of its own; closes what it opened. */
async function perform(check: Check, open: () => Storage | Promise<Storage>, keys = byName): Promise<void> {
  const opened: Storage[] = []
  try {
    await check.run(async () => {
      const storage = await open()
      opened.push(storage)
      return storage
    }, keys(++run))
  } finally {
    for (const storage of opened) await storage.close()
  }
}

const directory = mkdtempSync(join(tmpdir(), 'seata-lmdb-'))
test.after.always(() => rmSync(directory, { recursive: true, force: true }))

/** Delays of chance: operations of different lanes overtake each other. */
function reordering(seed: number): Faults {
  const r = random(seed)
  return {
    delay: () => r.below(5),
    fate: () => 'ok',
    lateness: () => 0,
    resurrects: () => false,
    sleep: (ms) => (ms === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms)))
  }
}

const memory = new MemoryData()
const delayed = new MemoryData()
const engines: Record<string, () => Storage | Promise<Storage>> = {
  sqlite: () => openSqlite(join(directory, 'sqlite')),
  lmdb: () => openLmdb(join(directory, 'db')),
  memory: () => openMemory(memory),
  'memory with delays': () => openMemory(delayed, reordering(1))
}

for (const [engine, open] of Object.entries(engines)) {
  for (const check of CHECKS) {
    test(`${engine}: ${check.name}`, async (t) => {
      await t.notThrowsAsync(perform(check, open))
    })
    test(`${engine}, keys of records: ${check.name}`, async (t) => {
      await t.notThrowsAsync(perform(check, open, asRecords))
    })
  }
}

function broken(change: (lane: Lane, data: MemoryData) => Partial<Lane>): () => Storage {
  const data = new MemoryData()
  return () => {
    const storage = openMemory(data)
    return {
      ...storage,
      lane: (name) => {
        const lane = storage.lane(name)
        const whole: Lane = {
          setIfAbsent: (k, v) => lane.setIfAbsent(k, v),
          get: (k) => lane.get(k),
          getMany: (ks) => lane.getMany(ks),
          set: (k, v) => lane.set(k, v),
          delete: (ks) => lane.delete(ks)
        }
        return { ...whole, ...change(whole, data) }
      }
    }
  }
}

const stale = new Map<string, Buffer | null>()
const liars: Record<string, () => Storage> = {
  'overwrites where it should not': broken((lane) => ({
    setIfAbsent: async (k, v) => {
      await lane.set(k, v)
      return true
    }
  })),
  'tells every writer that it wrote': broken((lane) => ({
    setIfAbsent: async (k, v) => {
      await lane.setIfAbsent(k, v)
      return true
    }
  })),
  'reads from a cache': broken((lane) => ({
    get: async (k) => {
      if (!stale.has(k)) stale.set(k, await lane.get(k))
      return stale.get(k)!
    }
  })),
  'takes bytes for text': broken((lane) => ({
    setIfAbsent: (k, v) => lane.setIfAbsent(k, Buffer.from(Buffer.from(v).toString('utf8')))
  })),
  'gives a read of many in another order': broken((lane) => ({
    getMany: async (ks) => (await lane.getMany(ks)).reverse()
  })),
  'forgets to delete': broken(() => ({ delete: async () => {} })),
  'loses what it confirmed': broken((_lane, data) => ({
    set: async () => {},
    setIfAbsent: async (k, v) => {
      if (data.values.has(k)) return false
      if (!k.includes('kept')) data.values.set(k, Buffer.from(v))
      return true
    }
  }))
}

for (const [lie, open] of Object.entries(liars)) {
  test(`the suite sees a store that ${lie}`, async (t) => {
    const results = await Promise.allSettled(CHECKS.map((check) => perform(check, open)))
    t.true(results.some((result) => result.status === 'rejected'))
  })
}

test('memory: faults are what they say: lost, done unheard, done later, brought back', async (t) => {
  const data = new MemoryData()
  let fate: ReturnType<Faults['fate']> = 'ok'
  const late: (() => void)[] = []
  const lane = openMemory(data, {
    delay: () => 0,
    fate: () => fate,
    lateness: () => 1,
    resurrects: (key) => key === 'back',
    sleep: (ms) => (ms === 0 ? Promise.resolve() : new Promise((resolve) => late.push(resolve)))
  }).lane('0')
  const attempt = async (next: typeof fate, key: string) => {
    fate = next
    await t.throwsAsync(lane.setIfAbsent(key, Buffer.from('v')), { instanceOf: StorageError })
    fate = 'ok'
    return data.values.has(key)
  }
  t.false(await attempt('error-lost', 'a'))
  t.true(await attempt('error-applied', 'b'))
  t.false(await attempt('error-late', 'c'))
  for (const go of late) go()
  t.is((await lane.get('c'))?.toString(), 'v')
  for (const key of ['back', 'gone']) await lane.set(key, Buffer.from('old'))
  await lane.delete(['back', 'gone'])
  t.is((await lane.get('back'))?.toString(), 'old')
  t.is(await lane.get('gone'), null)
})

for (const scheme of ['sqlite', 'lmdb']) {
  test(`${scheme}: two processes' worth of connections share one directory, and it survives being closed`, async (t) => {
    const url = `${scheme}:${join(directory, `shared-${scheme}`)}`
    const [a, b] = [await openStorage(url), await openStorage(url)]
    t.true(await a.lane('0').setIfAbsent('k', Buffer.from('a')))
    t.false(await b.lane('0').setIfAbsent('k', Buffer.from('b')))
    await a.close()
    await b.close()
    const again = await openStorage(url)
    t.is((await again.lane('0').get('k'))?.toString(), 'a')
    await again.close()
  })
}

test('sqlite: thousands of records of all sizes through its checkpoints, and every one is there afterwards', async (t) => {
  const path = join(directory, 'checkpoints')
  const storage = await openSqlite(path)
  const lane = storage.lane('0')
  const r = random(9)
  const sizes = Array.from({ length: 3000 }, () => (r.next() < 0.01 ? 200_000 : 1 + r.below(6000)))
  const value = (i: number) => Buffer.alloc(sizes[i]!, i % 251)
  for (let i = 0; i < sizes.length; i += 20) {
    await Promise.all(sizes.slice(i, i + 20).map((_, n) => lane.setIfAbsent(`k${i + n}`, value(i + n))))
    if (i >= 1000) await lane.delete(Array.from({ length: 20 }, (_, n) => `k${i - 1000 + n}`))
  }
  await storage.close()
  const again = await openSqlite(path)
  for (let i = 0; i < sizes.length; i++) {
    const there = await again.lane('0').get(`k${i}`)
    if (i < 2000) t.is(there, null)
    else t.deepEqual(there, value(i))
  }
  await again.close()
})

test('sqlite: a value that the shared memory has no room for takes another way', async (t) => {
  const storage = await openSqlite(join(directory, 'large'))
  const lane = storage.lane('0')
  const values = Array.from({ length: 12 }, (_, i) => Buffer.alloc(3 * 1024 * 1024, i))
  await Promise.all(values.map((value, i) => lane.set(`k${i}`, value)))
  for (const [i, value] of values.entries()) t.true((await lane.get(`k${i}`))!.equals(value))
  await storage.close()
})

test('sqlite: more calls at a time than there is room for keep their order', async (t) => {
  const storage = await openSqlite(join(directory, 'many'))
  const lane = storage.lane('0')
  const writes = Array.from({ length: 3000 }, (_, i) => lane.set(`k${i % 1500}`, Buffer.from(`${i}`)))
  const first = Array.from({ length: 1500 }, (_, i) => lane.setIfAbsent(`k${i}`, Buffer.from('late')))
  const read = lane.getMany(Array.from({ length: 1500 }, (_, i) => `k${i}`))
  await Promise.all(writes)
  t.deepEqual(await Promise.all(first), Array(1500).fill(false))
  t.deepEqual(
    (await read).map(String),
    Array.from({ length: 1500 }, (_, i) => `${i + 1500}`)
  )
  const last = Array.from({ length: 2000 }, (_, i) => lane.setIfAbsent(`last${i}`, Buffer.from(`${i}`)))
  await storage.close()
  t.deepEqual(await Promise.all(last), Array(2000).fill(true))
  await t.throwsAsync(lane.get('k0'), { instanceOf: StorageError })
})

test('sqlite: what was done before the end is not told as failed, however late the process hears of it', async (t) => {
  const storage = await openSqlite(join(directory, 'ended'))
  const lane = storage.lane('0')
  const asked = [lane.setIfAbsent('a', Buffer.from('a')), lane.set('b', Buffer.from('b'))]
  const read = lane.getMany(['b', 'a'])
  const closed = storage.close()
  // This thread does not hear of the answers before it hears that the other one is gone.
  const ended = new Int32Array(new SharedArrayBuffer(4))
  Atomics.wait(ended, 0, 0, 300)
  await closed
  t.deepEqual(await Promise.all(asked), [true, undefined])
  t.deepEqual((await read).map(String), ['b', 'a'])
})

test('memory that two threads share gives out no byte twice before it is answered', (t) => {
  const shared = newShared(1000)
  // The counts of operations run over at 32 bits, which takes days: here soon.
  new Int32Array(shared.counts).fill(2 ** 31 - 3000, 0, 2)
  const asking = new Asking(shared)
  const answering = new Answering(shared)
  const r = random(4)
  const asked: { key: string; value: Buffer; kind: number }[] = []
  const answer = (count: number) => {
    t.is(answering.wait(), asked.length)
    for (const [n, { key, value, kind }] of asked.slice(0, count).entries()) {
      if (answering.key(n) !== key || answering.kind(n) !== kind || !value.equals(answering.value(n))) t.fail(key)
      answering.outcome(n, kind === Kind.Set ? Outcome.Yes : Outcome.No)
    }
    answering.answer(count)
    for (const { kind } of asked.splice(0, count)) t.is(asking.take(), kind === Kind.Set ? Outcome.Yes : Outcome.No)
    t.is(asking.take(), -1)
  }
  let refused = 0
  let full = 0
  for (let i = 0; i < 8000; i++) {
    // In turn large values, for which there are too few bytes, and empty ones, for which there are too few slots.
    const large = i % 4000 < 2000
    const key = large ? `schlüssel-${i % 100}` : ''
    const value = Buffer.alloc(large ? r.below(200) : 0, i % 251)
    const kind = r.next() < 0.5 ? Kind.Set : Kind.SetIfAbsent
    if (asking.isFull) full++
    else if (asking.write(kind, key, value)) asked.push({ key, value, kind })
    else refused++
    if (asked.length > 0 && r.next() < (large ? 0.3 : 0.01)) answer(Math.min(asked.length, 1 + r.below(3)))
  }
  t.true(refused > 100 && full > 100, `${refused} without bytes, ${full} without a slot`)
})

test('a store that cannot be opened says which and why', async (t) => {
  for (const url of ['sqlite:', 'sqlite:/dev/null/x', 'lmdb:', 'nothing:here', 'lmdb:/dev/null/x', '']) {
    await t.throwsAsync(openStorage(url), { code: 'SEATA_STORE_OPEN_FAILED', message: /cannot open the store/ }, url)
  }
})
