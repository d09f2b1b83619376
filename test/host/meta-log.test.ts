// The cluster's own log: nodes that join at the same time over a store that fails all end with one state, and no join is lost or doubled.
import test from 'ava'
import { MetaLog } from '../../tc-core/host/meta-log.ts'
import { Keys } from '../../tc-core/replication/keys.ts'
import { encodeRecord, RecordKind } from '../../tc-core/replication/record.ts'
import { Abandoned } from '../../tc-core/replication/slot.ts'
import { NodeJoined, NodeLeft } from '../../tc-core/scheduler/meta.ts'
import { join, leave } from '../../tc-core/scheduler/place.ts'
import { type Faults, MemoryData, openMemory } from '../../tc-core/storage/memory.ts'
import type { Lane, Storage, StorageError } from '../../tc-core/storage/port.ts'
import { type Random, random } from '../core/random.ts'
import { controlled, eventually } from './harness.ts'

const keys = new Keys('test', 'meta')
const rules = { fragments: 4, lockParts: 1, replicas: 3 }
const member = (name: string) => ({ name, link: `${name}:9091`, http: `${name}:7191` })
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function metaLog(
  storage: Storage,
  node: string,
  more: { abandoned?: () => boolean; troubles?: string[] } = {}
): MetaLog {
  return new MetaLog({
    lane: storage.lane(node),
    cluster: 'test',
    node,
    writer: BigInt(node.charCodeAt(1)),
    now: () => 0,
    sleep: turn,
    onTrouble: (error: StorageError | null) => void (error && more.troubles?.push(error.message)),
    abandoned: more.abandoned ?? (() => false)
  })
}

/** A store that forgets, delays and lies, as chance says. */
function unreliable(r: Random): Faults {
  const turns = async (n: number) => {
    for (let i = 0; i < n; i++) await turn()
  }
  return {
    delay: () => r.below(6),
    fate: ({ kind }) => {
      const fate = r.next()
      if (kind === 'get' || kind === 'getMany') return fate < 0.1 ? 'error-lost' : 'ok'
      return fate < 0.15 ? 'error-applied' : fate < 0.3 ? 'error-lost' : fate < 0.4 ? 'error-late' : 'ok'
    },
    lateness: () => r.below(40),
    resurrects: () => false,
    sleep: turns
  }
}

function stateOf({ meta, version }: MetaLog) {
  return { version, fragments: meta.fragments, members: [...meta.members], placement: [...meta.placement] }
}

test('nodes that join at the same time over a store that fails: one state, one version, every join in it once', async (t) => {
  for (let seed = 0; seed < 60; seed++) {
    const r = random(seed)
    const storage = openMemory(new MemoryData(), unreliable(r))
    const names = ['n1', 'n2', 'n3', 'n4', 'n5']
    const logs = names.map((name) => metaLog(storage, name))
    await Promise.all(logs.map((log, i) => log.change((meta) => join(meta, member(names[i]!), rules))))
    for (const [i, log] of logs.entries())
      t.true(log.meta.members.has(names[i]!), `${seed}: a join is known to its node`)
    await Promise.all(logs.map((log) => log.readOn()))
    const [first, ...others] = logs.map(stateOf)
    for (const other of others) t.deepEqual(other, first)
    t.deepEqual(first!.members.map(([name]) => name).sort(), names)
    t.is(first!.version, names.length, `${seed}: one record a join`)
    t.is(first!.fragments, 4)
    t.true(first!.placement.every(([, nodes]) => nodes.length === 3))
  }
})

test('a change that is overtaken is decided again on what is there now', async (t) => {
  const data = new MemoryData()
  const decided: number[] = []
  let other: Promise<void> | null = null
  const second = metaLog(openMemory(data), 'n2')
  const slow = controlled(data, {
    before: async (kind) => {
      if (kind !== 'setIfAbsent' || other) return
      other = second.change((meta) => join(meta, member('n2'), rules))
      await other
    }
  })
  const first = metaLog(slow, 'n1')
  await first.change((meta) => {
    decided.push(meta.members.size)
    return join(meta, member('n1'), rules)
  })
  t.deepEqual(decided, [0, 1])
  t.deepEqual([...first.meta.members.keys()], ['n2', 'n1'])
})

test('a change is known when it resolves, also when a reading was under way that saw nothing of it', async (t) => {
  const data = new MemoryData()
  const storage = openMemory(data)
  const inner = storage.lane('n1')
  let answered = Promise.resolve()
  let reading: Promise<boolean> | null = null
  const lane: Lane = {
    ...inner,
    getMany: async (names) => {
      const values = names.map((name) => data.values.get(name) ?? null)
      await answered
      return values
    },
    setIfAbsent: async (key, value) => {
      let answer = () => {}
      answered = new Promise((resolve) => (answer = resolve))
      reading ??= log.readOn()
      const wrote = await inner.setIfAbsent(key, value)
      setImmediate(answer)
      return wrote
    },
    get: (key) => inner.get(key)
  }
  const log = metaLog({ ...storage, lane: () => lane }, 'n1')
  await log.change((meta) => join(meta, member('n1'), rules))
  t.false(await reading!)
  t.true(log.meta.members.has('n1'))
  t.is(log.version, 1)
})

test('nothing is written when nothing is decided', async (t) => {
  const data = new MemoryData()
  const log = metaLog(openMemory(data), 'n1')
  await log.change((meta) => leave(meta, 'nobody', rules))
  t.is(data.values.size, 0)
  t.is(log.version, 0)
})

test('more records than one reading holds are all read, and only what is new is news', async (t) => {
  const data = new MemoryData()
  const writer = metaLog(openMemory(data), 'n1')
  for (let i = 0; i < 100; i++) {
    await writer.change(() => [
      i % 2 ? { type: NodeLeft.code, name: 'n1' } : { type: NodeJoined.code, ...member('n1') }
    ])
  }
  const reader = metaLog(openMemory(data), 'n2')
  t.true(await reader.readOn())
  t.is(reader.version, 100)
  t.deepEqual(stateOf(reader), stateOf(writer))
  t.false(await reader.readOn())
  await writer.change((meta) => join(meta, member('n1'), rules))
  t.true(await reader.readOn())
  t.deepEqual(stateOf(reader), stateOf(writer))
})

test('an effect of a newer version and a damaged record are clear errors, and nothing after them is taken in', async (t) => {
  const data = new MemoryData()
  const log = metaLog(openMemory(data), 'n1')
  await log.change((meta) => join(meta, member('n1'), rules))
  const payload = Buffer.from([99, 1, 2, 3])
  const record = encodeRecord({ kind: RecordKind.Data, index: 2, term: 0, writer: 1n, node: 'n9', payload })
  data.values.set(keys.entry(2), record)
  for (let look = 0; look < 2; look++) {
    await t.throwsAsync(log.readOn(), { message: 'meta effect 99 is not known to this version' })
  }
  await t.throwsAsync(
    log.change(() => []),
    { message: /meta effect 99/ }
  )
  t.is(log.version, 1)
  record[record.length - 1]! ^= 1
  await t.throwsAsync(log.readOn(), { message: new RegExp(`the record at ${keys.entry(2).replace(/[{}]/g, '.')}`) })
})

test('a store that does not answer is waited for, its trouble is told, and who stops gives up', async (t) => {
  const data = new MemoryData()
  const faults: Faults = { ...unreliable(random(1)), fate: () => 'error-lost' }
  const broken = openMemory(data, faults)
  const troubles: string[] = []
  let stopped = false
  const log = metaLog(broken, 'n1', { abandoned: () => stopped, troubles })
  const joined = log.change((meta) => join(meta, member('n1'), rules))
  await eventually(() => troubles.length > 5)
  t.is(troubles[0], 'injected: error-lost')
  stopped = true
  await t.throwsAsync(joined, { instanceOf: Abandoned })
})
