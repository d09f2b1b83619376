// The state: snapshots while it moves, replay, outcomes and timers, against simple stand-ins and random walks.
import test from 'ava'
import { Outcomes } from '../../tc-core/core/outcomes.ts'
import { restore, Snapshot, stateHash } from '../../tc-core/core/snapshot.ts'
import { State } from '../../tc-core/core/state.ts'
import { Texts } from '../../tc-core/core/texts.ts'
import { type Timed, Timers } from '../../tc-core/core/timers.ts'
import { CHUNK_BYTES, DEFAULT_LIMITS } from '../../tc-core/wire/limits.ts'
import { collectGarbage } from './garbage.ts'
import { random } from './random.ts'
import { Walk } from './walk.ts'

const SEEDS = 60

test("M27: random walks: a replica that follows the effects has the leader's state, byte for byte", (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const walk = new Walk(seed)
    for (let i = 0; i < 400; i++) walk.step()
    t.true(walk.h.agrees, `seed ${seed}`)
  }
})

test('random walks: a snapshot taken piece by piece while the state moves on is the state of its moment', (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const walk = new Walk(seed)
    for (let i = 0; i < 300; i++) walk.step()
    const { state } = walk.h
    const before = stateHash(state)
    const snapshot = new Snapshot(state, 64)
    const chunks: Buffer[] = []
    for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) {
      chunks.push(chunk)
      for (let n = walk.r.below(4); n > 0; n--) walk.step()
    }
    const restored = new State(0, DEFAULT_LIMITS)
    restore(restored, chunks)
    t.is(stateHash(restored), before, `seed ${seed}`)
    t.is(state.watch, null)
    t.true(walk.h.agrees, `seed ${seed}`)
  }
})

test('random walks: a restart from a snapshot goes on as the leader would have', (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const walk = new Walk(seed)
    for (let i = 0; i < 300; i++) {
      walk.step()
      if (walk.r.next() < 0.01) walk.h.restart()
    }
    t.true(walk.h.agrees, `seed ${seed}`)
  }
})

test('random walks: every lock belongs to a session, and when all is over no lock is left', (t) => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { h, step } = walkTo(seed)
    for (const owner of h.state.locks.owners.values()) t.true(h.state.sessions.has(owner.xid), `seed ${seed}`)
    step()
    for (let i = 0; i < 100 && (h.state.sessions.size > 0 || h.calls.length > 0); i++) {
      while (h.calls.length > 0) h.answer(h.calls[0]!.kind === 'commit' ? 5 : 8)
      h.pass(1000)
    }
    const left = [...h.state.sessions.values()].map((session) => session.status)
    t.true(
      left.every((status) => [10, 12, 14].includes(status)),
      `seed ${seed}: ${left}`
    )
    const owners = [...h.state.locks.owners.keys()]
    t.true(
      owners.every((xid) => h.state.sessions.has(xid)),
      `seed ${seed}`
    )
  }
})

function walkTo(seed: number) {
  const walk = new Walk(seed)
  for (let i = 0; i < 400; i++) walk.step()
  return { h: walk.h, step: () => walk.step() }
}

test('a snapshot is cut into chunks of the agreed size, and an empty state is one chunk', (t) => {
  const walk = new Walk(1)
  for (let i = 0; i < 4000; i++) walk.h.begin(60_000, 'x'.repeat(300))
  const snapshot = new Snapshot(walk.h.state)
  const sizes: number[] = []
  for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) sizes.push(chunk.length)
  t.true(sizes.length > 4)
  t.true(sizes.slice(0, -1).every((size) => size === CHUNK_BYTES))
  const empty = new Snapshot(new State(0, DEFAULT_LIMITS))
  t.truthy(empty.next())
  t.is(empty.next(), null)
})

test('outcomes agree with a plain map, over growth, generations and a restore', (t) => {
  const limit = 5000
  const outcomes = new Outcomes(limit)
  const r = random(7)
  const all: [string, number][] = []
  for (let i = 0; i < 20_000; i++) {
    const xid = `127.0.0.1:8091:${r.below(1e9)}${1e8 + r.below(9e8)}`
    const status = 1 + r.below(17)
    if (outcomes.get(xid) !== 0) continue
    outcomes.add(xid, status)
    all.push([xid, status])
    t.true(outcomes.size <= limit)
  }
  for (const [xid, status] of all.slice(-limit / 2)) t.is(outcomes.get(xid), status)
  const known = all.filter(([xid]) => outcomes.get(xid) !== 0).length
  t.is(known, outcomes.size)
})

test('at their limit outcomes take no more memory', (t) => {
  const limit = 200_000
  const outcomes = new Outcomes(limit)
  let n = 0
  const bytes = () => {
    for (const until = n + limit; n < until; n++) outcomes.add(`127.0.0.1:8091:${1e9 + n}`, 9)
    collectGarbage()
    return process.memoryUsage().arrayBuffers
  }
  const full = bytes()
  for (let i = 0; i < 4; i++) t.true(bytes() < full * 1.05)
  t.is(outcomes.get(`127.0.0.1:8091:${1e9 + n - 1}`), 9)
  t.is(outcomes.get(`127.0.0.1:8091:${1e9}`), 0)
})

test('outcomes of a snapshot are taken in at once, also where fewer may be remembered by now', (t) => {
  const count = 400_000
  const state = new State(0, { maxOutcomes: count })
  const xid = (i: number) => `127.0.0.1:8091:${1e9 + i}`
  for (let i = 0; i < count; i++) state.outcomes.add(xid(i), 9)
  const chunks: Buffer[] = []
  const snapshot = new Snapshot(state)
  for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) chunks.push(chunk)
  const restored = new State(0, { maxOutcomes: 10 })
  restore(restored, chunks)
  t.is(restored.outcomes.size, count)
  for (let i = 0; i < 10; i++) restored.outcomes.add(xid(count + i), 9)
  t.is(restored.outcomes.size, 10)
})

test('texts that are shared stay few, and long ones are not among them', (t) => {
  const texts = new Texts()
  for (let i = 0; i < 10_000; i++) {
    t.is(texts.one(`name ${i}`), `name ${i}`)
    t.true(texts.size <= 2048)
  }
  const { size } = texts
  texts.one('name 9999')
  texts.one('x'.repeat(300))
  t.is(texts.size, size)
})

test('timers come in the order of their times, however they are moved and removed', (t) => {
  const r = random(3)
  const timers = new Timers<Timed & { n: number }>()
  const items = Array.from({ length: 300 }, (_, n) => ({ n, at: 0, heapIndex: -1 }))
  const expected = new Map<number, number>()
  for (let i = 0; i < 5000; i++) {
    const item = r.pick(items)
    if (r.next() < 0.3) {
      timers.remove(item)
      expected.delete(item.n)
    } else {
      const at = r.below(1000)
      timers.set(item, at)
      expected.set(item.n, at)
    }
    t.is(timers.size, expected.size)
    t.is(timers.next, Math.min(...expected.values()))
  }
  let last = 0
  for (let item = timers.due(2000); item; item = timers.due(2000)) {
    t.is(item.at, expected.get(item.n)!)
    t.true(item.at >= last)
    last = item.at
  }
  t.is(timers.size, 0)
})
