// A store keeps the number of fragments that it was born with, whoever opens it: rows have their homes by it.
import test from 'ava'
import { fragmentsOf } from '../../tc-core/host/birth.ts'
import { Node } from '../../tc-core/host/node.ts'
import { MemoryData, openMemory } from '../../tc-core/storage/memory.ts'
import { temporaryDirectory } from '../e2e/servers.ts'
import { recordingLog } from './harness.ts'

test('the first who opens a store decides, whoever comes later finds it decided', async (t) => {
  const data = new MemoryData()
  t.is(await fragmentsOf(openMemory(data), 'c', 'n1', 4), 4)
  t.is(await fragmentsOf(openMemory(data), 'c', 'n2', 8), 4)
  t.is(await fragmentsOf(openMemory(data), 'another cluster', 'n1', 8), 8)
})

test('of several who open it at the same time all find the same', async (t) => {
  const data = new MemoryData()
  const found = await Promise.all([1, 2, 3, 4].map((n) => fragmentsOf(openMemory(data), 'c', `n${n}`, n)))
  t.is(new Set(found).size, 1)
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
