// What is remembered of ended transactions, against a Map: while the table grows, over generations, and through snapshots.
import test from 'ava'
import { Outcomes } from '../../tc-core/core/outcomes.ts'
import { random } from './random.ts'

test('every outcome is found again while the table grows, and after a snapshot at any moment', (t) => {
  const r = random(11)
  const known = new Map<string, number>()
  const xids: string[] = []
  let outcomes = new Outcomes(100_000)
  const check = (xid: string) => {
    if (outcomes.get(xid) !== (known.get(xid) ?? 0)) t.fail(`${xid}: ${outcomes.get(xid)}, not ${known.get(xid)}`)
  }
  for (let i = 0; i < 20_000; i++) {
    // Ids that differ in the high part alone, in the low part alone, of few digits and of all 19.
    const xid = `10.0.0.1:8091:${r.pick([`${r.below(50_000)}`, `${r.below(10_000)}000000007`, `9223372036${r.below(9000)}54775`])}`
    const status = 1 + r.below(15)
    outcomes.add(xid, status)
    if (!known.has(xid)) xids.push(xid)
    known.set(xid, status)
    check(xid)
    for (let n = 0; n < 5; n++) check(r.pick(xids))
    check(`10.0.0.1:8091:${50_000 + r.below(1000)}`)
    if (i % 1111 === 0) {
      const frozen = outcomes.freeze().map((entries) => Buffer.from(entries))
      outcomes = new Outcomes(100_000)
      outcomes.restore(frozen)
      t.is(outcomes.size, known.size)
    }
  }
  for (const xid of xids) check(xid)
  t.true(known.size > 10_000)
})

test('between half of the limit and the limit is remembered, the newest, also through a snapshot', (t) => {
  let outcomes = new Outcomes(5000)
  const xid = (i: number) => `h:1:${1_000_000 + i}`
  for (let i = 0; i < 12_345; i++) {
    outcomes.add(xid(i), 1 + (i % 15))
    if (i % 1234 === 0) {
      const frozen = outcomes.freeze().map((entries) => Buffer.from(entries))
      outcomes = new Outcomes(5000)
      outcomes.restore(frozen)
    }
    if (i >= 2500 && i % 100 === 0) {
      t.true(outcomes.size >= 2500 && outcomes.size <= 5000)
      for (let k = i - 2499; k <= i; k += 13) t.is(outcomes.get(xid(k)), 1 + (k % 15))
      t.is(outcomes.get(xid(i - 5000)), 0)
    }
  }
})

test('what is added after a snapshot began does not show in it', (t) => {
  const outcomes = new Outcomes(100_000)
  for (let i = 0; i < 1500; i++) outcomes.add(`h:1:${i}`, 9)
  const frozen = outcomes.freeze()
  const before = frozen.map((entries) => Buffer.from(entries))
  for (let i = 1500; i < 9000; i++) outcomes.add(`h:1:${i}`, 9)
  t.deepEqual([...frozen], before)
  t.is(before[0]!.length, 1500 * 12)
})
