// What the gate of the bench takes for a loss.
import test from 'ava'
import { isLoss } from './report.ts'

test('a loss that nearly every round shows is one', (t) => {
  t.true(isLoss([0.7, 0.72, 0.69, 0.8, 0.71, 0.7, 0.95, 0.7], 0.85))
})

test('rounds that say anything show no loss, whatever their median is', (t) => {
  t.false(isLoss([2.1, 1.2, 0.6, 0.8, 0.4, 0.8, 0.5, 1.3], 0.85))
})

test('what is as fast as before, or faster, has lost nothing', (t) => {
  t.false(isLoss([1, 1.02, 0.97, 0.9], 0.85))
  t.false(isLoss([], 0.85))
})
