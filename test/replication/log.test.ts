// The log piece by piece: records and their checksums, outcomes of an append, snapshots, trimming.
import test from 'ava'
import { Appender } from '../../tc-core/replication/append.ts'
import { findLeads, saveSnapshot, trim } from '../../tc-core/replication/barrier.ts'
import { claim } from '../../tc-core/replication/claim.ts'
import type { LogContext } from '../../tc-core/replication/context.ts'
import { catchUp } from '../../tc-core/replication/follow.ts'
import { Keys } from '../../tc-core/replication/keys.ts'
import { decodeRecord, encodeRecord, RecordKind } from '../../tc-core/replication/record.ts'
import { writeSlot } from '../../tc-core/replication/slot.ts'
import { decodeManifest, encodeManifest } from '../../tc-core/replication/snapshots.ts'
import { MemoryData, openMemory } from '../../tc-core/storage/memory.ts'
import { type Lane, StorageError } from '../../tc-core/storage/port.ts'

const keys = new Keys('test', 0)
const record = { kind: RecordKind.Data, index: 7, term: 3, writer: -5n, node: 'n1', payload: Buffer.from('effects') }

interface Replica extends LogContext {
  readonly applied: string[]
}

function replica(lane: Lane, node = 'n1', writer = 1n): Replica {
  const applied: string[] = []
  return {
    lane,
    keys,
    node,
    writer,
    window: 2,
    inflight: 2,
    applied,
    machine: {
      apply: (r) =>
        void (r.kind === RecordKind.Lead ? applied.push(`lead ${r.node}`) : applied.push(r.payload.toString())),
      load: (chunks) =>
        void applied.splice(0, applied.length, ...(JSON.parse(Buffer.concat(chunks).toString()) as string[]))
    },
    position: { index: 0, term: 0, manifest: 0, snapshot: 0, trimmed: 0, leads: [] },
    sleep: () => Promise.resolve(),
    onTrouble: () => {},
    abandoned: () => false
  }
}

function chunksOf(text: string, size: number) {
  let at = 0
  return {
    next: () => {
      if (at >= text.length) return null
      const chunk = Buffer.from(text.slice(at, at + size))
      at += size
      return chunk
    }
  }
}

test('a record comes back as it was written', (t) => {
  t.deepEqual(decodeRecord(encodeRecord(record), 7, 'key'), record)
})

test('R10: a flipped bit anywhere, a torn end or another index is found by the checksum and named', (t) => {
  const bytes = encodeRecord(record)
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    t.throws(() => decodeRecord(flipped, 7, 'the-key'), { code: 'SEATA_RECORD_CORRUPT', message: /the-key/ })
  }
  for (let n = 0; n < bytes.length; n++) {
    t.throws(() => decodeRecord(bytes.subarray(0, n), 7, 'k'), { code: 'SEATA_RECORD_CORRUPT' })
  }
  t.throws(() => decodeRecord(bytes, 8, 'k'), { message: /it is record 7/ })
})

test('a manifest comes back, and a damaged one is found', (t) => {
  const manifest = { k: 4, index: 123, term: 9, chunks: 2, checksum: 0xfedcba98 }
  const bytes = encodeManifest(manifest)
  t.deepEqual(decodeManifest(bytes, 4, 'k'), manifest)
  bytes[3]! ^= 1
  t.throws(() => decodeManifest(bytes, 4, 'k'), { code: 'SEATA_SNAPSHOT_CORRUPT' })
})

test('an append whose outcome is unknown is tried at the same key with the same bytes until it is known', async (t) => {
  const inner = openMemory().lane('0')
  const tried: string[] = []
  let failures = 3
  const lane: Lane = {
    ...inner,
    get: (key) => inner.get(key),
    setIfAbsent: async (key, value) => {
      tried.push(`${key} ${Buffer.from(value)}`)
      if (failures-- > 1) throw new StorageError('not done')
      const wrote = await inner.setIfAbsent(key, value)
      if (failures === 0) throw new StorageError('done, and nobody heard')
      return wrote
    }
  }
  const troubles: (string | null)[] = []
  const log = {
    ...replica(lane),
    onTrouble: (error: StorageError | null) => void troubles.push(error?.message ?? null)
  }
  t.deepEqual(await writeSlot(log, 'k', Buffer.from('mine')), { kind: 'written' })
  t.is(new Set(tried).size, 1)
  t.is(tried.length, 4)
  t.is(troubles[0], 'not done')
  t.is(troubles.at(-1), null)
})

test('an index that another writer has is lost, and so is one that was trimmed meanwhile', async (t) => {
  const data = new MemoryData()
  const lane = openMemory(data).lane('0')
  await lane.setIfAbsent('k', Buffer.from('theirs'))
  t.deepEqual(await writeSlot(replica(lane), 'k', Buffer.from('mine')), { kind: 'taken', bytes: Buffer.from('theirs') })
  const gone: Lane = { ...lane, setIfAbsent: async () => false, get: async () => null }
  t.deepEqual(await writeSlot(replica(gone), 'k', Buffer.from('mine')), { kind: 'gone' })
})

test('appends are confirmed in order, at most the window is open, and a reader finds them', async (t) => {
  const data = new MemoryData()
  const log = replica(openMemory(data).lane('0'))
  t.true(await claim(log))
  const appender = new Appender(log, () => t.fail('not deposed'))
  const first = appender.append(RecordKind.Data, Buffer.from('a'))
  t.false(appender.full)
  const second = appender.append(RecordKind.Data, Buffer.from('b'))
  t.true(appender.full)
  await Promise.all([first, second])
  t.false(appender.full)
  const reader = replica(openMemory(data).lane('0'), 'n2', 2n)
  await catchUp(reader)
  t.deepEqual(reader.applied, ['lead n1', 'a', 'b'])
  t.deepEqual(reader.position, { ...log.position, leads: [1] })
})

test("a leader that meets another's record is deposed once, and nothing of it counts any more", async (t) => {
  const data = new MemoryData()
  const old = replica(openMemory(data).lane('0'))
  t.true(await claim(old))
  let deposed = 0
  const appender = new Appender(old, () => deposed++)
  const young = replica(openMemory(data).lane('0'), 'n2', 2n)
  await catchUp(young)
  t.true(await claim(young))
  t.is(young.position.term, 2)
  const results = await Promise.allSettled([
    appender.append(RecordKind.Data, Buffer.from('x')),
    appender.append(RecordKind.Data, Buffer.from('y'))
  ])
  t.deepEqual(
    results.map((r) => r.status),
    ['rejected', 'rejected']
  )
  t.is(deposed, 1)
  const reader = replica(openMemory(data).lane('0'), 'n3', 3n)
  await catchUp(reader)
  t.deepEqual(reader.applied, ['lead n1', 'lead n2'])
})

test('a snapshot, its manifest, the trimming, and a start from it; chunks of the one before go', async (t) => {
  const data = new MemoryData()
  const log = replica(openMemory(data).lane('0'))
  await claim(log)
  const appender = new Appender(log, () => {})
  const history: string[] = ['lead n1']
  for (const round of [1, 2]) {
    for (let i = 0; i < 5; i++) {
      history.push(`${round}.${i}`)
      await appender.append(RecordKind.Data, Buffer.from(`${round}.${i}`))
    }
    const text = JSON.stringify(history)
    t.true(await saveSnapshot(log, log.position.index, log.position.term, chunksOf(text, 10)))
    await trim(log)
  }
  const entries = [...data.values.keys()].filter((key) => key.includes(':e:'))
  t.deepEqual(entries, [keys.entry(1)], 'only the lead record stays')
  const snapshots = new Set(
    [...data.values.keys()].filter((key) => key.includes(':c:')).map((key) => key.split(':')[3])
  )
  t.is(snapshots.size, 1)
  await appender.append(RecordKind.Data, Buffer.from('after'))

  const late = replica(openMemory(data).lane('0'), 'n2', 2n)
  await catchUp(late)
  t.deepEqual(late.applied, [...history, 'after'])
  t.is(late.position.manifest, 2)
  await findLeads(late)
  t.deepEqual(late.position.leads, [])
})

test('a damaged record below a snapshot does not matter, above it stops the reader with its key', async (t) => {
  const data = new MemoryData()
  const log = replica(openMemory(data).lane('0'))
  await claim(log)
  const appender = new Appender(log, () => {})
  for (const value of ['a', 'b']) await appender.append(RecordKind.Data, Buffer.from(value))
  const damaged = Buffer.from(data.values.get(keys.entry(3))!)
  damaged[20]! ^= 1
  data.values.set(keys.entry(3), damaged)
  const reader = replica(openMemory(data).lane('0'), 'n2', 2n)
  await t.throwsAsync(catchUp(reader), {
    code: 'SEATA_RECORD_CORRUPT',
    message: new RegExp(keys.entry(3).replace(/[{}]/g, '.'))
  })
  await saveSnapshot(log, log.position.index, log.position.term, chunksOf('["whole"]', 100))
  const second = replica(openMemory(data).lane('0'), 'n3', 3n)
  await catchUp(second)
  t.deepEqual(second.applied, ['whole'])
})

test('a damaged or missing chunk of the newest snapshot stops the reader', async (t) => {
  const data = new MemoryData()
  const log = replica(openMemory(data).lane('0'))
  await claim(log)
  await saveSnapshot(log, log.position.index, log.position.term, chunksOf('["whole"]', 4))
  const key = keys.chunk(log.position.index, 1)
  const good = data.values.get(key)!
  data.values.set(key, Buffer.from('xxxx'))
  await t.throwsAsync(catchUp(replica(openMemory(data).lane('0'))), { code: 'SEATA_SNAPSHOT_CORRUPT' })
  data.values.delete(key)
  await t.throwsAsync(catchUp(replica(openMemory(data).lane('0'))), {
    code: 'SEATA_SNAPSHOT_CORRUPT',
    message: /missing/
  })
  data.values.set(key, good)
  await t.notThrowsAsync(catchUp(replica(openMemory(data).lane('0'))))
})

test('a trimming that was cut off is finished by the next leader, and lead records stay', async (t) => {
  const data = new MemoryData()
  const log = replica(openMemory(data).lane('0'))
  await claim(log)
  const appender = new Appender(log, () => {})
  for (let i = 0; i < 400; i++) await appender.append(RecordKind.Data, Buffer.from('x'))
  await saveSnapshot(log, log.position.index, log.position.term, chunksOf('[]', 9))
  const next = replica(openMemory(data).lane('0'), 'n2', 2n)
  await catchUp(next)
  await claim(next)
  await findLeads(next)
  await trim(next)
  const entries = [...data.values.keys()].filter((key) => key.includes(':e:')).sort()
  t.deepEqual(entries, [keys.entry(1), keys.entry(next.position.index - 1), keys.entry(next.position.index)])
})
