// A store keeps what it was born with, whoever opens it: rows have their homes by it.
import test from 'ava'
import { birthOf } from '../../tc-core/host/birth.ts'
import { MetaLog } from '../../tc-core/host/meta-log.ts'
import { Node } from '../../tc-core/host/node.ts'
import { FragmentsCreated } from '../../tc-core/scheduler/meta.ts'
import { MemoryData, openMemory } from '../../tc-core/storage/memory.ts'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import { temporaryDirectory } from '../e2e/servers.ts'
import { recordingLog } from './harness.ts'

const four = { fragments: 4, lockParts: 1 }
const eight = { fragments: 8, lockParts: 16 }

test('the first who opens a store decides, whoever comes later finds it decided', async (t) => {
  const data = new MemoryData()
  t.deepEqual(await birthOf(openMemory(data), 'c', 'n1', four), four)
  t.deepEqual(await birthOf(openMemory(data), 'c', 'n2', eight), four)
  t.deepEqual(await birthOf(openMemory(data), 'another cluster', 'n1', eight), eight)
})

test('a store from before tables had parts goes on with a home for every row', async (t) => {
  const storage = openMemory(new MemoryData())
  const { now, sleep } = systemRuntime
  const more = { now, sleep, onTrouble: () => {}, abandoned: () => false }
  const log = new MetaLog({ lane: storage.lane('meta'), cluster: 'c', node: 'n1', writer: 1n, ...more })
  await log.change(() => [{ type: FragmentsCreated.code, count: 4 }])
  t.deepEqual(await birthOf(storage, 'c', 'n1', four), { fragments: 4, lockParts: 0 })
})

test('of several who open it at the same time all find the same', async (t) => {
  const data = new MemoryData()
  const found = await Promise.all(
    [1, 2, 3, 4].map((n) => birthOf(openMemory(data), 'c', `n${n}`, { fragments: n, lockParts: n }))
  )
  t.is(new Set(found.map((birth) => JSON.stringify(birth))).size, 1)
})

test('a process that is started with another number goes on with the one that is, and says so', async (t) => {
  const kv = `sqlite:${temporaryDirectory(t)}`
  const logger = recordingLog()
  const open = async (fragments: number) => {
    const node = await Node.open({ kv, cluster: 'c', name: 'local', fragments, logger })
    const count = node.openFragments().length
    await node.stop(0)
    return count
  }
  t.is(await open(2), 2)
  t.is(logger.lines.length, 0)
  t.is(await open(8), 2)
  t.regex(logger.lines[0]!.text, /born with another number of fragments/)
})
