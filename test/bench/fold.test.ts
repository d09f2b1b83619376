// A profile is folded by room, and only what was sampled in the window.
import test from 'ava'
import { fold, ROOMS } from './fold.ts'

const frame = (functionName: string, url: string) => ({ functionName, url, lineNumber: 0 })
const profile = {
  nodes: [
    { id: 1, callFrame: frame('step', 'file:///p/tc-core/core/fragment.ts') },
    { id: 2, callFrame: frame('(garbage collector)', '') },
    { id: 3, callFrame: frame('(idle)', '') },
    { id: 4, callFrame: frame('onStreamRead', 'node:internal/stream_base_commons') },
    { id: 5, callFrame: frame('writeBuffer', '') }
  ],
  startTime: 1_000,
  samples: [1, 1, 2, 3, 4, 5, 1],
  timeDeltas: [0, 10, 20, 30, 40, 50, 60]
}

test('a sample stands for the time until the next one, and belongs to the room of its file', (t) => {
  const { rooms, functions } = fold(profile, 0, 10_000)
  const expected = { core: 30, 'garbage collector': 30, "Node's JavaScript": 50, 'Node and sockets, native': 60 }
  t.deepEqual(Object.fromEntries(rooms), expected)
  for (const room of rooms.keys()) t.true(ROOMS.includes(room), room)
  t.is(functions.get('step core/fragment.ts:1'), 30)
})

test('a thread that waits does nothing', (t) => {
  const waits = { id: 1, callFrame: frame('wait', 'file:///p/tc-core/storage/sqlite-protocol.ts') }
  const { rooms, functions } = fold({ ...profile, nodes: [waits, ...profile.nodes.slice(1)] }, 0, 10_000)
  t.false(rooms.has('storage'))
  t.false([...functions.keys()].some((where) => where.startsWith('wait')))
})

test('what is not in the window does not count', (t) => {
  t.deepEqual(Object.fromEntries(fold(profile, 1_005, 1_035).rooms), { core: 20, 'garbage collector': 30 })
})
