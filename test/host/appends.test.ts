// When a leader sends its records to the store: how many at a time, and what comes first.
import test from 'ava'
import { MemoryData } from '../../tc-core/storage/memory.ts'
import { controlled, eventually, gate, NodeHarness } from './harness.ts'

const entries = (data: MemoryData) => [...data.values.keys()].filter((key) => key.includes(':e:')).length

test('while an embedded store commits, the next record lies ready for it, and no more; over a network each waits for the one before', async (t) => {
  for (const embedded of [true, false]) {
    const appends = gate()
    const data = new MemoryData()
    const control = { before: (kind: string) => (kind === 'setIfAbsent' ? appends.pass() : undefined) }
    const h = new NodeHarness({ storage: { ...controlled(data, control), embedded } })
    await h.node.start()
    appends.close()
    const begins: Promise<string>[] = []
    const most = embedded ? 2 : 1
    for (let i = 0; i < 4; i++) {
      begins.push(h.begin())
      await eventually(() => appends.waiting === Math.min(i + 1, most))
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
      t.is(appends.waiting, Math.min(i + 1, most))
    }
    const before = entries(data)
    appends.open()
    t.is(new Set(await Promise.all(begins)).size, 4)
    t.is(entries(data) - before, most + 1, 'the begins that had to wait share a record')
    await h.node.stop(1000)
  }
})

test('what waits for the store is sent to it before the answers that are due leave', async (t) => {
  const appends = gate()
  const happened: string[] = []
  const control = {
    before(kind: string) {
      if (kind !== 'setIfAbsent') return
      happened.push('append')
      return appends.pass()
    }
  }
  const h = new NodeHarness({ storage: { ...controlled(new MemoryData(), control), embedded: false } })
  await h.node.start()
  const send = h.node.request.bind(h.node)
  h.node.request = (request) =>
    send({
      ...request,
      answer(body) {
        happened.push('answer')
        request.answer(body)
      }
    })
  happened.length = 0
  appends.close()
  const first = h.begin()
  await eventually(() => appends.waiting === 1)
  const second = h.begin()
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  appends.open()
  await Promise.all([first, second])
  t.deepEqual(happened, ['append', 'append', 'answer', 'answer'])
  await h.node.stop(1000)
})
