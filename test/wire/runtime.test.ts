// The clock of a process: one time for what runs without a break, and never an old one after it.
import test from 'ava'
import { exactNow, systemRuntime } from '../../tc-core/wire/runtime.ts'

/** Takes at least so many ms without a break. */
function busy(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

test('what runs without a break has one time, and what comes after it a new one', async (t) => {
  await new Promise(setImmediate)
  const before = exactNow()
  busy(3)
  t.is(exactNow(), before)
  await null
  const after = exactNow()
  t.true(after >= before + 3, `${after - before}`)
  busy(3)
  await new Promise(setImmediate)
  t.true(exactNow() >= after + 3)
  t.true(Math.abs(systemRuntime.now() - Date.now()) < 1000)
})
