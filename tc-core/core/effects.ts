// The effects: what the log holds. A fragment's state is its effects applied in order, and nothing else changes it.
// A table an effect, as for messages; codes are for ever.
import { Reader, type Writer } from '../wire/bytes.ts'
import { bool8, type Dialect, i32, i64, str16, str32, u8, u16, u53 } from '../wire/fields.ts'
import { list, share } from '../wire/home.ts'
import { type MessageOf, Registry, readFields, table, writeFields } from '../wire/message.ts'

/** A global transaction begins. Times are Unix ms, `timeout` ms after `beginTime`. `identity`: of the request, 0 when it has none. */
export const SessionBegun = table(1, 'sessionBegun', {
  xid: str16,
  applicationId: str16,
  transactionServiceGroup: str16,
  transactionName: str16,
  timeout: i32,
  beginTime: u53,
  identity: i64
})

/**
 * A branch joins. `rowsLocked`: the rows of its lock key that have their home here are locked with it. The last rows of the lock key have
 * their homes elsewhere: `homes` says where, and how many, in their order.
 */
export const BranchAdded = table(2, 'branchAdded', {
  xid: str16,
  branchId: i64,
  branchType: u8,
  resourceId: str16,
  clientId: str16,
  lockKey: str32,
  applicationData: str32,
  rowsLocked: bool8,
  homes: list(share),
  identity: i64
})

/** What the RM reported. */
export const BranchChanged = table(3, 'branchChanged', {
  xid: str16,
  branchId: i64,
  status: u8,
  applicationData: str32
})

/** A branch is done with; its rows are free already. */
export const BranchRemoved = table(4, 'branchRemoved', { xid: str16, branchId: i64 })

export const StatusChanged = table(5, 'statusChanged', { xid: str16, status: u8 })

/**
 * The rows of one branch are free, or with branchId 0 all rows of the transaction. In the transaction's own fragment: those that have their
 * homes here; the other homes are owed the word.
 */
export const RowsUnlocked = table(6, 'rowsUnlocked', { xid: str16, branchId: i64 })

/** The transaction is over: the session goes, rows it still held are free, its outcome is remembered. */
export const SessionEnded = table(7, 'sessionEnded', { xid: str16, status: u8 })

/** A branch of a transaction of another fragment has locked rows here, their home. */
export const RowsLocked = table(8, 'rowsLocked', {
  xid: str16,
  branchId: i64,
  fragment: u16,
  resourceId: str16,
  lockKey: str32
})

/** A home has confirmed that these branches have no rows there any more. */
export const HomeFreed = table(9, 'homeFreed', { xid: str16, home: u16, branchIds: list(i64) })

/** The trace that the client was in when it began the transaction, as W3C's traceparent: what comes later is part of it too. */
export const SessionTraced = table(10, 'sessionTraced', { xid: str16, origin: str16 })

export const effects = new Registry([
  SessionBegun,
  BranchAdded,
  BranchChanged,
  BranchRemoved,
  StatusChanged,
  RowsUnlocked,
  SessionEnded,
  RowsLocked,
  HomeFreed,
  SessionTraced
])

export type Effect = MessageOf<(typeof effects.tables)[number]>

const DIALECT: Dialect = { version: 1, shortMsg: false }

export function writeEffect(w: Writer, effect: Effect): void {
  w.u8(effect.type)
  writeFields(effects.find(effect.type)!, w, effect, DIALECT)
}

/** Reads the effects of a record in order. An unknown one is a record of a newer version: throws, for skipping it would fork the state. */
export function readEffects(payload: Buffer, take: (effect: Effect) => void): void {
  const r = new Reader(payload)
  while (r.left > 0) {
    const code = r.u8()
    const t = effects.find(code)
    if (!t) throw new Error(`effect ${code} is not known to this version`)
    take(readFields(t, r, DIALECT) as Effect)
  }
}
