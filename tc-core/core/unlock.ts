// Freeing rows: here with the effect that says so, at other homes by telling them until each has confirmed.
// What a home is owed is in the log, so a new leader goes on telling.
import { Rollbacking, type RowsFreed, UnlockRows } from '../wire/home.ts'
import type { MessageOf } from '../wire/message.ts'
import { BranchRemoved, HomeFreed, RowsUnlocked, SessionEnded } from './effects.ts'
import type { Fragment } from './fragment.ts'
import { keeps } from './rules.ts'
import type { Branch, Debt, Session } from './session.ts'
import type { Timed } from './timers.ts'

/** Ms until homes that have not confirmed are told again; twice as long each time. */
const FIRST_REPEAT_MS = 200
const LAST_REPEAT_MS = 10_000

/** Tells the homes of a transaction's rows until none is owed the word. */
export class Unlock implements Timed {
  at = 0
  heapIndex = -1
  readonly #session: Session
  #repeat = FIRST_REPEAT_MS

  constructor(session: Session) {
    this.#session = session
  }

  /** Debts came up just now: their homes are told. */
  begin(f: Fragment): void {
    tell(
      f,
      this.#session,
      this.#session.debts.filter((debt) => !debt.told)
    )
    this.#repeat = FIRST_REPEAT_MS
    f.timers.set(this, f.now + this.#repeat)
  }

  due(f: Fragment): void {
    tell(f, this.#session, this.#session.debts)
    this.#repeat = Math.min(this.#repeat * 2, LAST_REPEAT_MS)
    f.timers.set(this, f.now + this.#repeat)
  }
}

/** Frees the rows of a branch, with branchId 0n of all branches, wherever they have their homes. */
export function free(f: Fragment, session: Session, branchId: bigint): void {
  const { xid, branches } = session
  const isAway = (branch: Branch | undefined) => branch !== undefined && branch.homes.length > 0
  const away = branchId === 0n ? branches.some(isAway) : isAway(session.branch(branchId))
  if (away || f.state.locks.holds(xid, branchId)) f.emit({ type: RowsUnlocked.code, xid, branchId })
  if (!away) return
  session.unlock ??= new Unlock(session)
  session.unlock.begin(f)
}

/** The branch is done with, or never counted: it goes, and its rows are free. */
export function dropBranch(f: Fragment, session: Session, { branchId }: Branch): void {
  free(f, session, branchId)
  f.emit({ type: BranchRemoved.code, xid: session.xid, branchId })
}

/** Who waits at the homes for rows of this transaction need wait no longer. If it gets lost, they wait as for any other. */
export function tellRollbacking(f: Fragment, { xid, branches }: Session): void {
  const homes = new Set(branches.flatMap((branch) => branch.homes.map((share) => share.home)))
  for (const home of homes) f.send(home, { type: Rollbacking.code, xid }, 'confirmed')
}

/** Takes up what the log says is owed, with the next tick. */
export function resumeUnlock(f: Fragment, session: Session, now: number): void {
  if (session.debts.length === 0) return
  session.unlock = new Unlock(session)
  f.timers.set(session.unlock, now)
}

/** The word leaves when the effect that frees the rows is in the log: until then the rows are the branch's. */
function tell(f: Fragment, { xid }: Session, debts: readonly Debt[]): void {
  const release = keeps(f, 'decision-first') ? 'confirmed' : 'now'
  for (const [home, owed] of Map.groupBy(debts, (debt) => debt.home)) {
    const branchIds = owed.map((debt) => debt.branchId)
    f.send(home, { type: UnlockRows.code, xid, branchIds }, release)
    for (const debt of owed) debt.told = true
  }
}

/** A home has confirmed. The last one to do so lets a transaction go that has ended. */
export function rowsFreed(f: Fragment, home: number, { xid, branchIds }: MessageOf<typeof RowsFreed>): void {
  const session = f.state.sessions.get(xid)
  if (!session) return
  const paid = session.debts.filter((debt) => debt.home === home && branchIds.includes(debt.branchId))
  if (paid.length === 0) return
  const isLast = paid.length === session.debts.length
  if (isLast) f.timers.remove(session.unlock!)
  if (isLast && session.over) f.emit({ type: SessionEnded.code, xid, status: session.status })
  else f.emit({ type: HomeFreed.code, xid, home, branchIds: paid.map((debt) => debt.branchId) })
}
