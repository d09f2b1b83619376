// docs/performance.md says what the bench has left, and its ratios are taken within each round.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { ratioOf } from '../bench/report.ts'
import { addWorkloads, type PartResult } from '../bench/results.ts'
import type { Round } from '../bench/round.ts'
import { growthPicture, performancePage, ratiosPicture } from './performance.ts'

const docs = join(import.meta.dirname, '../../docs')
const read = (name: string) => readFileSync(join(docs, name), 'utf8')

test('performance.md and its pictures are what the results say; npm run docs writes them', (t) => {
  t.is(read('performance.md'), performancePage(read('performance.md')))
  for (const [name, picture] of Object.entries({ 'performance.svg': ratiosPicture(), 'growth.svg': growthPicture() })) {
    if (picture === null) t.false(existsSync(join(docs, name)), name)
    else t.is(read(name), picture)
  }
})

const ms = { p50: 1, p90: 2, p99: 3, max: 4 }

function round(server: string, number: number, txPerSecond: number): Round {
  return {
    ...{ workload: 'at', callers: 32, connections: 4, merge: true, rate: null, seconds: 5, transactions: 100 },
    ...{ txPerSecond, perSecond: [], latencyMs: ms, errors: 0, errorTexts: {}, refused: 0, refusalMs: ms, skipped: 0 },
    ...{ conflicts: 0, givenUp: 0, owed: 0, owedMost: 0, owedSeconds: 0, owedForEver: 0, owedMs: ms, repeated: 0 },
    ...{
      cpuSeconds: 1,
      bytesSent: 1,
      bytesReceived: 1,
      server,
      round: number,
      serverCpuSeconds: 1,
      roleCpuSeconds: {}
    },
    ...{ elsewhereCpuSeconds: 0, memory: null, appends: null, fsyncs: null, requests: null, snapshots: null },
    ...{ gcSeconds: null, heapBytes: null }
  }
}

/** The machine was slow in the second round, for both. */
const rounds = [
  ...[round('ours', 1, 200), round('peer', 1, 100), round('stub', 1, 400)],
  ...[round('ours', 2, 30), round('peer', 2, 10), round('stub', 2, 60)],
  ...[round('ours', 3, 400), round('peer', 3, 100), round('stub', 3, 800)]
]

const head: Omit<PartResult, 'result'> = {
  part: 'file',
  date: '2026-01-02T03:04:05.000Z',
  machine: {
    ...{
      cores: 2,
      cpu: 'some',
      memoryGb: 4,
      kernel: '1',
      node: 'v24',
      fileSystem: 'ext4',
      loadAverage: 0,
      commit: 'abc'
    }
  },
  sides: [{ name: 'ours', what: 'ours' }]
}

test('a ratio is the median of the ratios of each round, not the ratio of the medians', (t) => {
  t.deepEqual(ratioOf(rounds, 'ours', 'peer', 'tx/s'), { median: 3, min: 2, max: 4 })
  t.is(ratioOf(rounds, 'ours', 'nobody', 'tx/s'), null)
})

test('a page is made of results: figures, ratios, the share of the floor, a picture', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'seata-results-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const empty = '<!-- results -->\n<!-- /results -->'
  t.regex(performancePage(empty, folder), /Not measured yet/)
  addWorkloads(head, { at: { what: 'one', date: head.date, commit: 'abc', rounds } }, folder)
  const alone = (round: Round) => ({ flushMs: { p50: 0.1, p99: 0.2, max: 10 * round.round }, crcMbPerSecond: 3000 })
  const timed = rounds.map((round) => ({ ...round, alone: alone(round) }))
  addWorkloads(head, { tcc: { what: 'two', date: head.date, commit: 'def', rounds: timed } }, folder)
  const page = performancePage(empty, folder)
  t.regex(
    page,
    /\| at \| 200 \(30–400\) \| 100 \(10–100\) \| 400 \(60–800\) \| 3\.00 \(2\.00–4\.00\) × \| 50 % \| 17 % \|/
  )
  t.regex(page, /\| tcc \|/)
  t.regex(
    page,
    /a flush to disk p50 0\.10, p99 0\.20, at most 20\.00 \(10\.00–30\.00\) ms; CRC-32 on one core 3,000 MB\/s/
  )
  t.regex(page, /Commit abc, def; medians of 3 rounds/)
  t.regex(ratiosPicture(folder)!, /at \(ours\)[\s\S]*3\.0 ×/)
})
