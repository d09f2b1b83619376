// What lives may take so much and no more: a field or an array too many shows here.
import test from 'ava'
import { measureBytes } from './bytes.ts'

test('a live transaction, its branches and its rows take no more bytes than they need', (t) => {
  const { transaction, tccBranch, atBranch, row } = measureBytes(20_000)
  t.true(transaction < 400)
  t.true(tccBranch < 400)
  t.true(atBranch < 490)
  t.true(row < 145)
})
