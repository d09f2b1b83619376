// Memory is judged after it had time to fill, and a slow leak is told from a heap that breathes.
import test from 'ava'
import { growthOf } from './bounded.ts'

const SECONDS = 300
const series = (mb: (second: number) => number) => Array.from({ length: SECONDS }, (_, second) => mb(second))

test('what fills in the first minute and breathes is bounded', (t) => {
  const growth = growthOf(series((s) => Math.min(700, 400 + 6 * s) + 30 * Math.sin(s)))!
  t.true(growth.bounded)
  t.true(Math.abs(growth.late - 700) < 10)
})

test('what grows on is not, be it slowly', (t) => {
  t.false(growthOf(series((s) => 700 + (0.04 * 700 * s) / 60 + 30 * Math.sin(s)))!.bounded)
  t.false(growthOf(series((s) => 400 + 3 * s))!.bounded)
})

test('a short run says nothing', (t) => {
  t.is(growthOf(series(() => 700).slice(0, 179)), null)
})
