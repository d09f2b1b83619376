// What fragments say to each other about row locks. An owner is the fragment of a transaction, a home the fragment that guards a row.
// Any of these may be lost, late, repeated or out of order: what each says stays true, or carries what tells that it is outdated.
import { Reader, type Writer } from './bytes.ts'
import { bool8, type Dialect, type Field, i32, i64, str16, str32, u16, u53 } from './fields.ts'
import { type MessageOf, Registry, readFields, skipFields, table, writeFields } from './message.ts'

/** A list of one field, after an i32 count. */
export function list<T>(item: Field<T>): Field<readonly T[]> {
  return {
    initial: [],
    read: (r, d) => Array.from({ length: r.i32() }, () => item.read(r, d)),
    write(w, items, d) {
      w.i32(items.length)
      for (const one of items) item.write(w, one, d)
    },
    skip(r) {
      for (let n = r.i32(); n > 0; n--) item.skip(r)
    }
  }
}

/** So many of a branch's rows have their home in this fragment. */
export interface Share {
  readonly home: number
  readonly rows: number
}

const ShareFields = table(0, 'share', { home: u16, rows: i32 })

export const share: Field<Share> = {
  initial: { home: 0, rows: 0 },
  read(r, d) {
    const { home, rows } = readFields(ShareFields, r, d)
    return { home, rows }
  },
  write: (w, value, d) => writeFields(ShareFields, w, value as never, d),
  skip: (r) => skipFields(ShareFields, r)
}

/** Which question of which leader of the asker an answer is to: a later leader, or a later round of questions, takes no notice of it. */
const question = { term: u53, round: u53 }

/** Owner to home: lock these rows for the branch, all or none. */
export const LockRows = table(1, 'lockRows', {
  ...question,
  xid: str16,
  branchId: i64,
  resourceId: str16,
  lockKey: str32
})

/** Home to owner: the rows are locked, and that is in the log; or the row, its holder, and whether that one rolls back. */
export const LockResult = table(2, 'lockResult', {
  ...question,
  locked: bool8,
  row: str32,
  holder: str16,
  holderBranchId: i64,
  rollbacking: bool8
})

/** Owner to home: these branches need their rows no more. */
export const UnlockRows = table(3, 'unlockRows', { xid: str16, branchIds: list(i64) })

/** Home to owner: these branches have no rows here, and that is in the log. */
export const RowsFreed = table(4, 'rowsFreed', { xid: str16, branchIds: list(i64) })

/** Owner to home: the transaction rolls back; who must not wait for it fails fast. */
export const Rollbacking = table(5, 'rollbacking', { xid: str16 })

/** Home to owner: does the branch still need the rows that it has here? */
export const BranchNeeded = table(6, 'branchNeeded', { xid: str16, branchId: i64 })

/** Owner to home. Once no, it is no for ever: branch ids never come again. */
export const BranchNeededResult = table(7, 'branchNeededResult', {
  xid: str16,
  branchId: i64,
  needed: bool8,
  rollbacking: bool8
})

/** Could the transaction lock these rows? */
export const LockQuery = table(8, 'lockQuery', { ...question, xid: str16, resourceId: str16, lockKey: str32 })

export const LockQueryResult = table(9, 'lockQueryResult', { ...question, lockable: bool8 })

export const homeMessages = new Registry([
  LockRows,
  LockResult,
  UnlockRows,
  RowsFreed,
  Rollbacking,
  BranchNeeded,
  BranchNeededResult,
  LockQuery,
  LockQueryResult
])

export type HomeMessage = MessageOf<(typeof homeMessages.tables)[number]>

const DIALECT: Dialect = { version: 1, shortMsg: false }

export function writeHomeMessage(w: Writer, message: HomeMessage): void {
  w.u8(message.type)
  writeFields(homeMessages.find(message.type)!, w, message, DIALECT)
}

/** Reads a message; null when it is of a newer version's kind: that is as if it were lost. */
export function readHomeMessage(bytes: Buffer): HomeMessage | null {
  const r = new Reader(bytes)
  const t = homeMessages.find(r.u8())
  return t ? (readFields(t, r, DIALECT) as HomeMessage) : null
}
