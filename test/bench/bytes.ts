// What lives in a fragment in bytes, as the heap says after a collection.
import { DEFAULT_SETTINGS, Fragment } from '../../tc-core/core/fragment.ts'
import { Outputs } from '../../tc-core/core/outputs.ts'
import { State } from '../../tc-core/core/state.ts'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { BranchType, ResultCode } from '../../tc-core/wire/codes.ts'
import { DEFAULT_LIMITS } from '../../tc-core/wire/limits.ts'
import type { AnyMessage } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { transactionId } from '../../tc-core/wire/xid.ts'
import { collectGarbage } from '../core/garbage.ts'
import { clientOf } from '../core/harness.ts'
import type { Outgoing } from './channel.ts'
import { branchFields, Rows, WORKLOADS, type Workload } from './workloads.ts'

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
  collectGarbage()
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

/** Bytes per transaction of `count` that live, and of as many that were committed. */
function bytesOf(workload: Workload, count: number): { live: number; remembered: number } {
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
  for (let i = 0; i < count; i++) {
    const xid = xidOf(i)
    ask(fragment, { type: m.GlobalBegin.code, timeout: 60_000, transactionName: 'bench' }, xid)
    if (workload.branches === 0) continue
    const { branchType } = workload
    ask(fragment, { type: m.BranchRegister.code, xid, branchType, lockKey: rows.next(), ...fields })
  }
  const live = (heapBytes() - before) / count
  if (workload.branches > 0) return { live, remembered: 0 }
  for (let i = 0; i < count; i++) ask(fragment, { type: m.GlobalCommit.code, xid: xidOf(i), extraData: '' })
  const remembered = (heapBytes() - before) / count
  if (state.sessions.size > 0) throw new Error('not all have ended')
  return { live, remembered }
}

export interface Bytes {
  readonly transaction: number
  /** With what a Java participant sends along. */
  readonly tccBranch: number
  /** Without its row. */
  readonly atBranch: number
  /** With its share of the lock key. */
  readonly row: number
  /** The outcome of a transaction that has ended. */
  readonly outcome: number
}

/** By `count` of each. */
export function measureBytes(count: number): Bytes {
  const at = WORKLOADS.at!
  const empty = bytesOf(WORKLOADS.empty!, count)
  const tcc = bytesOf({ ...WORKLOADS.tcc!, branchType: BranchType.TCC }, count)
  const one = bytesOf(at, count)
  const more = bytesOf({ ...at, rows: at.rows + MORE_ROWS }, count)
  const row = (more.live - one.live) / MORE_ROWS
  return {
    transaction: empty.live,
    tccBranch: tcc.live - empty.live,
    atBranch: one.live - empty.live - row,
    row,
    outcome: empty.remembered
  }
}
