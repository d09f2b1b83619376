// `npm run bench:memory`: bytes that a live transaction, a branch and a locked row take in a fragment, as the heap says after a collection.
import { join } from 'node:path'
import { DEFAULT_SETTINGS, Fragment } from '../../tc-core/core/fragment.ts'
import { Outputs } from '../../tc-core/core/outputs.ts'
import { State } from '../../tc-core/core/state.ts'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { BranchType, ResultCode } from '../../tc-core/wire/codes.ts'
import { DEFAULT_LIMITS } from '../../tc-core/wire/limits.ts'
import type { AnyMessage } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { transactionId } from '../../tc-core/wire/xid.ts'
import { clientOf } from '../core/harness.ts'
import type { Outgoing } from './channel.ts'
import { describeMachine } from './proc.ts'
import { formatted } from './report.ts'
import { addMeasured } from './results.ts'
import { branchFields, Rows, WORKLOADS, type Workload } from './workloads.ts'

const COUNT = 200_000
const NOW = Date.now()
const DIALECT = { version: 1, shortMsg: false } as const
const MORE_ROWS = 10
const client = clientOf('2.0.0')
const writer = new Writer(4096)
const out = new Outputs()

/** As it comes over a connection: every text of it is new. */
function received(message: Outgoing): AnyMessage {
  writer.pos = 0
  m.writeBody(writer, message, DIALECT)
  return m.readBody(new Reader(Buffer.from(writer.written)), DIALECT)
}

function heapBytes(): number {
  if (!globalThis.gc) throw new Error('needs node --expose-gc')
  globalThis.gc()
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

function ask(fragment: Fragment, message: Outgoing, proposed = ''): void {
  fragment.step(NOW, { kind: 'request', request: { client, message: received(message), proposed } }, out)
  for (const { message } of out.replies) {
    if ((message as { resultCode?: number }).resultCode !== ResultCode.Success) throw new Error(JSON.stringify(message))
  }
  out.clear()
}

/** Bytes per transaction of so many that live, and of as many that were committed. */
function bytesOf(workload: Workload): { live: number; remembered: number } {
  const settings = { ...DEFAULT_SETTINGS, limits: DEFAULT_LIMITS }
  const before = heapBytes()
  const state = new State(0, settings.limits)
  state.led()
  const fragment = new Fragment(state, settings)
  fragment.lead(NOW)
  const rows = new Rows(workload)
  const fields = branchFields(workload)
  const first = transactionId(0, NOW, 0)
  const xidOf = (i: number) => `127.0.0.1:8091:${first + BigInt(i)}`
  for (let i = 0; i < COUNT; i++) {
    const xid = xidOf(i)
    ask(fragment, { type: m.GlobalBegin.code, timeout: 60_000, transactionName: 'bench' }, xid)
    if (workload.branches === 0) continue
    const { branchType } = workload
    ask(fragment, { type: m.BranchRegister.code, xid, branchType, lockKey: rows.next(), ...fields })
  }
  const live = (heapBytes() - before) / COUNT
  if (workload.branches > 0) return { live, remembered: 0 }
  for (let i = 0; i < COUNT; i++) ask(fragment, { type: m.GlobalCommit.code, xid: xidOf(i), extraData: '' })
  const remembered = (heapBytes() - before) / COUNT
  if (state.sessions.size > 0) throw new Error('not all have ended')
  return { live, remembered }
}

const at = WORKLOADS.at!
const empty = bytesOf(WORKLOADS.empty!)
const tcc = bytesOf({ ...WORKLOADS.tcc!, branchType: BranchType.TCC })
const one = bytesOf(at)
const more = bytesOf({ ...at, rows: at.rows + MORE_ROWS })
const row = (more.live - one.live) / MORE_ROWS
const figures = [
  ['a live transaction without a branch', empty.live],
  ['a TCC branch, with what a Java participant sends along', tcc.live - empty.live],
  ['an AT branch without its row', one.live - empty.live - row],
  ['a locked row, with its share of the lock key', row],
  ['the outcome of one that has ended', empty.remembered]
] as const
const table = {
  title: 'Bytes',
  what: `In the heap of a fragment, by ${formatted(COUNT, 0)} of each, after a collection. What a process has besides, garbage above all, is under Growth.`,
  head: ['what', 'bytes'],
  rows: figures.map(([what, bytes]) => [what, formatted(bytes, 0)])
}
console.log(table.rows.map((row) => `  ${row.join(': ')}`).join('\n'))
const machine = describeMachine(join(import.meta.dirname))
const date = new Date().toISOString()
const sides = [{ name: 'ours', what: 'a fragment alone' }]
const measured = { date, commit: machine.commit, table, raw: Object.fromEntries(figures) }
console.log(`all: ${addMeasured({ part: 'memory', date, machine, sides }, { bytes: measured })}`)
