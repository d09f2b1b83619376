// No lock outlives its need: a home asks the owner's fragment about locks that block somebody, and slowly about all others.
// A lock stays behind when its request comes late, after the branch was removed or in place of a leader that was deposed.
import { BranchNeeded, BranchNeededResult } from '../wire/home.ts'
import type { MessageOf } from '../wire/message.ts'
import type { Fragment } from './fragment.ts'
import { unlock } from './home.ts'
import type { Row } from './lock-key.ts'
import type { Conflict, Holding, Owner } from './locks.ts'
import { keeps } from './rules.ts'
import type { Timed } from './timers.ts'

/** Ms after which a lock that blocks somebody is asked about, and asked again. */
const BLOCKING_AGE_MS = 1000
/** The same for one that blocks nobody. */
const QUIET_AGE_MS = 10_000
/** Every so many ms, so many transactions are looked at. */
const PERIOD_MS = 1000
const SLICE = 256

/** The first of these rows that another transaction owns. If that is old, its fragment is asked whether it still needs it. */
export function blockedBy(f: Fragment, xid: string, resourceId: string, rows: readonly Row[]): Conflict | null {
  const conflict = f.state.locks.conflict(xid, resourceId, rows)
  if (conflict && conflict.owner.fragment !== f.state.fragment) {
    const { owner, branchId } = conflict
    ask(f, owner, owner.holdings.find((holding) => holding.branchId === branchId)!, BLOCKING_AGE_MS)
  }
  return conflict
}

function ask(f: Fragment, { xid, fragment }: Owner, holding: Holding, age: number): void {
  if (f.now - holding.lookedAt < age || !keeps(f, 'sweep')) return
  holding.lookedAt = f.now
  f.send(fragment, { type: BranchNeeded.code, xid, branchId: holding.branchId }, 'now')
}

/** The slow round over all locks of other fragments' transactions; it rests while there are none. */
export class Sweep implements Timed {
  at = 0
  heapIndex = -1
  #round: Iterator<Owner> | null = null

  /** Rows were locked for the transaction just now. */
  locked(f: Fragment, xid: string): void {
    f.state.locks.owners.get(xid)!.holdings.at(-1)!.lookedAt = f.now
    this.begin(f, f.now)
  }

  begin(f: Fragment, now: number): void {
    if (this.heapIndex < 0 && f.state.locks.foreign.size > 0) f.timers.set(this, now + PERIOD_MS)
  }

  due(f: Fragment): void {
    this.#round ??= f.state.locks.foreign.values()
    for (let n = 0; n < SLICE; n++) {
      const { value: owner } = this.#round.next()
      if (!owner) {
        this.#round = null
        break
      }
      for (const holding of owner.holdings) ask(f, owner, holding, QUIET_AGE_MS)
    }
    this.begin(f, f.now)
  }
}

/**
 * The owner's answer, by the newest state and when that is in the log. A branch whose register is under way is part of the state already:
 * it is needed until it is removed, and that it was removed is said only when the log says so too.
 */
export function branchNeeded(f: Fragment, home: number, { xid, branchId }: MessageOf<typeof BranchNeeded>): void {
  const session = f.state.sessions.get(xid)
  const branch = session?.branch(branchId)
  const underWay = branch?.round && !keeps(f, 'ask-again')
  const guessed = !keeps(f, 'never-guess') && f.inherits(branchId)
  const needed = !underWay && !guessed && branch !== undefined && branch.homes.length > 0
  const answer = { type: BranchNeededResult.code, xid, branchId, needed, rollbacking: session?.rollsBack ?? false }
  f.send(home, answer, keeps(f, 'linear-answers') ? 'confirmed' : 'now')
}

export function branchNeededResult(f: Fragment, fragment: number, message: MessageOf<typeof BranchNeededResult>): void {
  const { xid, branchId, needed, rollbacking } = message
  const owner = f.state.locks.owners.get(xid)
  if (owner?.fragment !== fragment) return
  if (rollbacking) owner.rollbacking = true
  if (!needed) unlock(f, xid, branchId)
}
