// Where rows are guarded. The places stand here as numbers: who computes others for a cluster that lives lets two transactions own one row.
import test from 'ava'
import { type Birth, lockHomes, tablesHaveHomes } from '../../tc-core/wire/lock-homes.ts'

const DB = 'jdbc:mysql://db/shop'
const KEYS = Array.from({ length: 9 }, (_, i) => String(i + 1))

const placed = (birth: Birth) => {
  const homes = lockHomes(birth)
  return KEYS.map((pk) => homes.of(DB, 'account', pk)).join('')
}

/** Rows of 10,000 that each of 8 fragments guards. */
function shares(lockParts: number): number[] {
  const homes = lockHomes({ fragments: 8, lockParts })
  const counts = new Array<number>(8).fill(0)
  for (let pk = 0; pk < 10_000; pk++) counts[homes.of('r', 't', String(pk))]!++
  return counts
}

test('F8, G2: a row has one home, and it is the same for ever', (t) => {
  t.is(placed({ fragments: 8, lockParts: 0 }), '006201127', 'a cluster from before there were parts')
  t.is(placed({ fragments: 8, lockParts: 1 }), '555555555')
  t.is(placed({ fragments: 8, lockParts: 16 }), '135232060')
})

test('the rows of a table have one home, and tables have several', (t) => {
  const homes = lockHomes({ fragments: 8, lockParts: 1 })
  t.deepEqual(
    ['account', 'orders', 'stock', 't5', 't6', 't7'].map((table) => homes.of(DB, table, '1')),
    [5, 6, 6, 7, 6, 0]
  )
  t.not(homes.of('jdbc:mysql://other/shop', 'account', '1'), homes.of(DB, 'account', '1'))
})

test('the more parts a table has, the more evenly its rows are spread', (t) => {
  for (const [lockParts, least] of [
    [16, 600],
    [1024, 1000],
    [0, 1150]
  ] as const) {
    t.true(Math.min(...shares(lockParts)) > least, `${lockParts} parts: ${shares(lockParts)}`)
  }
})

test('what is remembered has a limit: a table that comes after many others is where it was', (t) => {
  const homes = lockHomes({ fragments: 8, lockParts: 1 })
  for (let i = 0; i < 10_000; i++) homes.of('r', `t${i}`, '')
  const long = 't'.repeat(100_000)
  t.is(homes.of('r', long, '1'), homes.of('r', long, '2'))
  t.is(homes.of(DB, 'account', '1'), 5)
})

test('a table has no home of its own where its rows have several, or where there is one fragment', (t) => {
  t.true(tablesHaveHomes({ fragments: 8, lockParts: 1 }))
  t.false(tablesHaveHomes({ fragments: 8, lockParts: 2 }))
  t.false(tablesHaveHomes({ fragments: 8, lockParts: 0 }))
  t.false(tablesHaveHomes({ fragments: 1, lockParts: 1 }))
})
