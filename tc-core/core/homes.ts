// The owner's side of rows that have their homes in other fragments: a branch is acknowledged when it is in the log here and every home
// has confirmed that its rows are locked there.
import { GlobalStatus, statusName } from '../wire/codes.ts'
import { type LockResult, LockRows, type Share } from '../wire/home.ts'
import { MAX_WAITING_FOR_HOMES } from '../wire/limits.ts'
import { type Birth, type LockHomes, lockHomes } from '../wire/lock-homes.ts'
import type { MessageOf } from '../wire/message.ts'
import type { BranchRegister } from '../wire/messages/index.ts'
import { failure, success } from './answers.ts'
import type { Fragment } from './fragment.ts'
import { parseLockKey, type Row, writeLockKey } from './lock-key.ts'
import type { Request } from './outputs.ts'
import { conflictCode } from './rm.ts'
import { Round } from './rounds.ts'
import { keeps } from './rules.ts'
import type { Branch, Session } from './session.ts'
import { dropBranch } from './unlock.ts'

/** No fragment's number: the one that asks. */
const HERE = -1

/** Every fragment guards the rows of its own transactions: right only where there is no other. */
export const ALL_HERE: LockHomes = { of: () => HERE }

/** The homes of a cluster's rows. */
export function homesOf(birth: Birth): LockHomes {
  return birth.fragments > 1 ? lockHomes(birth) : ALL_HERE
}

const NONE: ReadonlyMap<number, Row[]> = new Map()

/** The rows that have their home here, and the others by home. */
export function byHome(
  f: Fragment,
  resourceId: string,
  rows: readonly Row[]
): { here: readonly Row[]; away: ReadonlyMap<number, readonly Row[]> } {
  const { homes } = f.settings
  if (homes === ALL_HERE) return { here: rows, away: NONE }
  const here: Row[] = []
  const away = new Map<number, Row[]>()
  for (const row of rows) {
    const home = homes.of(resourceId, row.table, row.pk)
    if (home === HERE || home === f.state.fragment) here.push(row)
    else if (away.has(home)) away.get(home)!.push(row)
    else away.set(home, [row])
  }
  return { here, away }
}

/** The lock keys of a branch's rows in other fragments, by home. */
function lockKeys({ homes, lockKey }: Branch): [number, string][] {
  const rows = parseLockKey(lockKey)
  let end = rows.length - homes.reduce((sum: number, share: Share) => sum + share.rows, 0)
  return homes.map((share) => [share.home, writeLockKey(rows.slice(end, (end += share.rows)))])
}

/** A register that waits for the homes of its rows. */
export class LockRound extends Round<MessageOf<typeof LockResult>> {
  readonly #session: Session
  readonly #branch: Branch
  /** The request came again: the branch may have been acknowledged before. */
  readonly #again: boolean

  constructor(f: Fragment, request: Request, session: Session, branch: Branch, again: boolean) {
    super(f, request)
    this.#session = session
    this.#branch = branch
    this.#again = again
    branch.round = this
    const { xid } = session
    const { branchId, resourceId } = branch
    for (const [home, lockKey] of lockKeys(branch)) {
      this.ask(f, home, (naming) => ({ type: LockRows.code, ...naming, xid, branchId, resourceId, lockKey }))
    }
  }

  protected override close(f: Fragment): void {
    super.close(f)
    this.#branch.round = null
  }

  protected agrees(result: MessageOf<typeof LockResult>): boolean {
    return result.locked
  }

  /** Whoever asked before, that home never confirmed, or it would have the rows: nobody was told that the branch has them. */
  protected refused(f: Fragment, { row, holder, holderBranchId, rollbacking }: MessageOf<typeof LockResult>): void {
    const { xid } = this.#session
    const { branchId, applicationData } = this.#branch
    dropBranch(f, this.#session, this.#branch)
    this.fail(f, conflictCode(rollbacking, applicationData), xid, branchId, row, holder, holderBranchId)
  }

  protected completed(f: Fragment): void {
    const { status } = this.#session
    if (status !== GlobalStatus.Begin) return this.#tooLate(f, status)
    const { branchId } = this.#branch
    // A later leader has the branch, too, and takes it for acknowledged: no proof is needed that there is none.
    const release = keeps(f, 'both-confirmed') ? 'logged' : 'now'
    for (const request of this.requests) f.reply(request, success(request.message, { branchId }), release)
  }

  /** If an earlier sending of the request may have been acknowledged, the branch stays until the transaction ends. */
  protected silent(f: Fragment, home: number): void {
    if (!this.#again || !keeps(f, 'never-guess')) dropBranch(f, this.#session, this.#branch)
    this.fail(f, 'SEATA_LOCK_HOME_SILENT', this.#session.xid, home)
  }

  /** The transaction is decided while the homes are asked. */
  decided(f: Fragment, status: number): void {
    this.close(f)
    this.#tooLate(f, status)
  }

  #tooLate(f: Fragment, status: number): void {
    if (!this.#again) dropBranch(f, this.#session, this.#branch)
    this.fail(f, 'SEATA_GLOBAL_NOT_ACTIVE', this.#session.xid, statusName(status))
  }
}

/** The same request again: the same branch. What its homes have confirmed before they confirm again. */
export function registerAgain(
  f: Fragment,
  request: Request,
  message: MessageOf<typeof BranchRegister>,
  session: Session,
  branch: Branch
): void {
  if (branch.homes.length === 0) return f.reply(request, success(message, { branchId: branch.branchId }), 'confirmed')
  if (f.rounds.full) return tooMany(f, request)
  if (branch.round) branch.round.join(f, request)
  else new LockRound(f, request, session, branch, true)
}

/** Too many requests wait for homes: one more is refused. */
export function tooMany(f: Fragment, request: Request): void {
  const { message, client } = request
  f.reply(request, failure(message, client, 'SEATA_OVERLOADED', [MAX_WAITING_FOR_HOMES]), 'confirmed')
}

/** The transaction is decided: nobody waits for homes any more, and branches that nobody was told of are no part of it. */
export function failWaiting(f: Fragment, session: Session, status: number): void {
  if (f.rounds.waiting === 0) return
  for (const branch of [...session.branches]) branch.round?.decided(f, status)
}
