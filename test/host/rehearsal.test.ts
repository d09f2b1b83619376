// The rehearsal of a node: it serves requests of every kind, says nothing of it, and leaves nothing behind.
import test from 'ava'
import { rehearse } from '../../tc-core/host/rehearsal.ts'
import { recordingLog } from './harness.ts'

test('a rehearsal has hundreds of transactions answered, without a word in the log', async (t) => {
  const log = recordingLog()
  const answers = await rehearse(log)
  t.is(answers, 16 * 24 * 3 + 48)
  t.deepEqual(log.lines, [])
})
