// `npm run bench:memory`: bytes that a live transaction, a branch and a locked row take in a fragment.
import { measureBytes } from './bytes.ts'
import { describeMachine } from './proc.ts'
import { formatted } from './report.ts'
import { addMeasured } from './results.ts'

const COUNT = 200_000

const bytes = measureBytes(COUNT)
const figures = [
  ['a live transaction without a branch', bytes.transaction],
  ['a TCC branch, with what a Java participant sends along', bytes.tccBranch],
  ['an AT branch without its row', bytes.atBranch],
  ['a locked row, with its share of the lock key', bytes.row],
  ['the outcome of one that has ended', bytes.outcome]
] as const
const table = {
  title: 'Bytes',
  what: `In the heap of a fragment, by ${formatted(COUNT, 0)} of each, after a collection. What a process has besides, garbage above all, is under Growth.`,
  head: ['what', 'bytes'],
  rows: figures.map(([what, bytes]) => [what, formatted(bytes, 0)])
}
console.log(table.rows.map((row) => `  ${row.join(': ')}`).join('\n'))
const machine = describeMachine(import.meta.dirname)
const date = new Date().toISOString()
const sides = [{ name: 'ours', what: 'a fragment alone' }]
const measured = { date, commit: machine.commit, table, raw: Object.fromEntries(figures) }
console.log(`all: ${addMeasured({ part: 'memory', date, machine, sides }, { bytes: measured })}`)
