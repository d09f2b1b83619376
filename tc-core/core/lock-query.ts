// GlobalLockQuery: whether rows could be locked, asked of every fragment that guards some of them.
import { LockQuery, type LockQueryResult } from '../wire/home.ts'
import type { MessageOf } from '../wire/message.ts'
import type { GlobalLockQuery } from '../wire/messages/index.ts'
import { success } from './answers.ts'
import type { Fragment } from './fragment.ts'
import { byHome, tooMany } from './homes.ts'
import { parseLockKey, type Row, writeLockKey } from './lock-key.ts'
import { locksRows } from './modes/modes.ts'
import type { Request } from './outputs.ts'
import { Round } from './rounds.ts'
import { blockedBy } from './sweep.ts'

type Query = MessageOf<typeof GlobalLockQuery>

/** Lockable: every row is free or this transaction's. An empty xid (`@GlobalLock`) owns nothing. */
export function lockQuery(f: Fragment, request: Request, message: Query): void {
  const { xid, resourceId } = message
  const rows = locksRows(message.branchType) ? parseLockKey(message.lockKey) : []
  const { here, away } = byHome(f, resourceId, rows)
  const lockable = blockedBy(f, xid, resourceId, here) === null
  if (!lockable || away.size === 0) return f.reply(request, success(message, { lockable }), 'confirmed')
  if (f.rounds.full) return tooMany(f, request)
  new QueryRound(f, request, message, away)
}

class QueryRound extends Round<MessageOf<typeof LockQueryResult>> {
  readonly #message: Query

  constructor(f: Fragment, request: Request, message: Query, away: ReadonlyMap<number, readonly Row[]>) {
    super(f, request)
    this.#message = message
    const { xid, resourceId } = message
    for (const [home, rows] of away) {
      const lockKey = writeLockKey(rows)
      this.ask(f, home, (naming) => ({ type: LockQuery.code, ...naming, xid, resourceId, lockKey }))
    }
  }

  protected agrees(result: MessageOf<typeof LockQueryResult>): boolean {
    return result.lockable
  }

  protected refused(f: Fragment): void {
    this.#answer(f, false)
  }

  protected completed(f: Fragment): void {
    this.#answer(f, true)
  }

  protected silent(f: Fragment, home: number): void {
    this.fail(f, 'SEATA_LOCK_HOME_SILENT', this.#message.xid, home)
  }

  #answer(f: Fragment, lockable: boolean): void {
    for (const request of this.requests) f.reply(request, success(this.#message, { lockable }), 'confirmed')
  }
}
