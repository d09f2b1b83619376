// The home's side of rows that transactions of other fragments lock. Every answer tells what is in the log here, so that it stays true
// whoever leads next; asking, locking and freeing may come again and change nothing then.
import {
  type LockQuery,
  LockQueryResult,
  LockResult,
  type LockRows,
  type Rollbacking,
  RowsFreed,
  type UnlockRows
} from '../wire/home.ts'
import type { MessageOf } from '../wire/message.ts'
import { RowsLocked, RowsUnlocked } from './effects.ts'
import type { Fragment } from './fragment.ts'
import { parseLockKey, rowName } from './lock-key.ts'
import { keeps } from './rules.ts'
import { blockedBy } from './sweep.ts'

/** All rows or none. A branch that has rows here has all that it ever asked for. */
export function lockRows(f: Fragment, owner: number, message: MessageOf<typeof LockRows>): void {
  const { term, round, xid, branchId, resourceId, lockKey } = message
  const result = { type: LockResult.code, term, round, row: '', holder: '', holderBranchId: 0n, rollbacking: false }
  if (!f.state.locks.holds(xid, branchId)) {
    const conflict = blockedBy(f, xid, resourceId, parseLockKey(lockKey))
    if (conflict) {
      const { xid: holder, rollbacking } = conflict.owner
      const named = { row: rowName(conflict.row), holder, holderBranchId: conflict.branchId, rollbacking }
      return f.send(owner, { ...result, ...named, locked: false }, 'confirmed')
    }
    f.emit({ type: RowsLocked.code, xid, branchId, fragment: owner, resourceId, lockKey })
    f.sweep.locked(f, xid)
  }
  f.send(owner, { ...result, locked: true }, keeps(f, 'wait-for-log') ? 'confirmed' : 'now')
}

export function unlockRows(f: Fragment, owner: number, message: MessageOf<typeof UnlockRows>): void {
  const { xid, branchIds } = message
  for (const branchId of branchIds) unlock(f, xid, branchId)
  f.send(owner, { type: RowsFreed.code, xid, branchIds }, 'eventually')
}

/** A branch without rows here: it never asked, or this is said again. */
export function unlock(f: Fragment, xid: string, branchId: bigint): void {
  if (!f.state.locks.holds(xid, branchId)) return
  f.emit({ type: RowsUnlocked.code, xid, branchId: keeps(f, 'unlock-owner') ? branchId : 0n })
}

/** It is only noted: whoever leads here next learns it from the sweep. */
export function rollbacking(f: Fragment, fragment: number, { xid }: MessageOf<typeof Rollbacking>): void {
  const owner = f.state.locks.owners.get(xid)
  if (owner?.fragment === fragment) owner.rollbacking = true
}

export function answerLockQuery(f: Fragment, asker: number, message: MessageOf<typeof LockQuery>): void {
  const { term, round, xid, resourceId, lockKey } = message
  const lockable = blockedBy(f, xid, resourceId, parseLockKey(lockKey)) === null
  f.send(asker, { type: LockQueryResult.code, term, round, lockable }, 'confirmed')
}
