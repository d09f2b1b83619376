// A live coordinator under damaged frames; `npm run fuzz` does the same with a million, and measures.
import test from 'ava'
import { attack } from './attack.ts'

test('damaged frames: a client beside them sees no failure, all that comes back are frames, and memory returns', async (t) => {
  t.timeout(110_000)
  const report = await attack(t, { frames: 20_000, rate: 4_000, seed: 1, alone: 500 })
  t.log(report)
  t.deepEqual(report.failures, [])
  t.is(report.unreadable, 0)
  t.true(report.answers > 500 && report.closed > 10, 'the frames did something')
  t.true(report.transactions.attacked > 10, 'the client did something')
  t.true(report.memory.end < report.memory.early * 1.5, `${report.memory.early} bytes, then ${report.memory.end}`)
})
