// What an RM asks for: register a branch, report on it. Querying locks is in lock-query.ts.
import { BranchStatus, BranchType, GlobalStatus, statusName } from '../wire/codes.ts'
import type { AnswerCode } from '../wire/errors.ts'
import type { Share } from '../wire/home.ts'
import { MAX_BRANCH_BYTES } from '../wire/limits.ts'
import type { MessageOf } from '../wire/message.ts'
import type { BranchRegister, BranchReport } from '../wire/messages/index.ts'
import { failure, success } from './answers.ts'
import { BranchAdded, BranchChanged } from './effects.ts'
import type { Fragment } from './fragment.ts'
import { byHome, LockRound, registerAgain, tooMany } from './homes.ts'
import { parseLockKey, rowName, writeLockKey } from './lock-key.ts'
import { joinsAnyTime, locksRows } from './modes/modes.ts'
import type { Request } from './outputs.ts'
import { keeps } from './rules.ts'
import type { Session } from './session.ts'
import { blockedBy } from './sweep.ts'

type Register = MessageOf<typeof BranchRegister>

/** Checks in Java's order, the first that fails is the answer; then the rows and the branch, or neither. */
export function register(f: Fragment, request: Request, message: Register): void {
  const { xid, resourceId, branchType } = message
  const refuse = (code: AnswerCode, ...details: unknown[]) =>
    f.reply(request, failure(message, request.client, code, details), 'confirmed')

  if (branchType > BranchType.SAGA_ANNOTATION) return refuse('SEATA_BRANCH_TYPE_UNKNOWN', branchType)
  const session = f.state.live(xid)
  if (!session) return refuse('SEATA_GLOBAL_NOT_EXIST', xid)
  const { identity = 0n } = request
  const known =
    identity === 0n || !keeps(f, 'same-branch')
      ? undefined
      : session.branches.findLast((branch) => branch.identity === identity)
  const tooLarge = known ? null : sizeError(f, session, message)
  if (tooLarge) return refuse(...tooLarge)
  if (session.status !== GlobalStatus.Begin && !joinsAnyTime(branchType)) {
    return refuse('SEATA_GLOBAL_NOT_ACTIVE', xid, statusName(session.status))
  }
  if (known) return registerAgain(f, request, message, session, known)
  const branchId = f.newBranchId()
  const rows = locksRows(branchType) ? parseLockKey(message.lockKey) : []
  if (rows.length > f.settings.limits.maxLockKeys) {
    return refuse('SEATA_TOO_MANY_LOCK_KEYS', xid, rows.length, f.settings.limits.maxLockKeys)
  }
  const { here, away } = byHome(f, resourceId, rows)
  const conflict = blockedBy(f, xid, resourceId, here)
  if (conflict) {
    const { owner, row } = conflict
    const code = conflictCode(owner.rollbacking, message.applicationData)
    return refuse(code, xid, branchId, rowName(row), owner.xid, conflict.branchId)
  }
  const isAway = away.size > 0
  const lockKey = isAway ? [here, ...away.values()].map(writeLockKey).filter(Boolean).join(';') : message.lockKey
  const tooManyBytes = isAway ? bytesError(xid, lockKey, message.applicationData) : null
  if (tooManyBytes) return refuse(...tooManyBytes)
  if (isAway && f.rounds.full) return tooMany(f, request)
  f.emit({
    type: BranchAdded.code,
    xid,
    branchId,
    branchType,
    resourceId,
    clientId: request.client.clientId,
    lockKey,
    applicationData: message.applicationData,
    rowsLocked: here.length > 0,
    homes: isAway ? Array.from(away, ([home, { length }]) => ({ home, rows: length })) : NOWHERE,
    identity
  })
  if (!isAway) return f.reply(request, success(message, { branchId }), 'confirmed')
  new LockRound(f, request, session, session.branch(branchId)!, false)
}

const NOWHERE: readonly Share[] = []

function sizeError(f: Fragment, session: Session, message: Register): [AnswerCode, ...unknown[]] | null {
  const { maxBranches, maxApplicationDataBytes } = f.settings.limits
  const { branches, debts } = session
  const { xid, lockKey, applicationData } = message
  if (message.resourceId === '') return ['SEATA_RESOURCE_ID_MISSING', xid]
  // Of what homes are owed there may be no more than of branches: nothing else bounds it while they do not confirm.
  if (branches.length + debts.length >= maxBranches) return ['SEATA_TOO_MANY_BRANCHES', xid, maxBranches]
  if ((lockKey.length + applicationData.length) * 3 <= maxApplicationDataBytes) return null
  const dataBytes = Buffer.byteLength(applicationData)
  if (dataBytes > maxApplicationDataBytes) {
    return ['SEATA_APPLICATION_DATA_TOO_LONG', xid, dataBytes, maxApplicationDataBytes]
  }
  return bytesError(xid, lockKey, applicationData)
}

function bytesError(xid: string, lockKey: string, applicationData: string): [AnswerCode, ...unknown[]] | null {
  const bytes = Buffer.byteLength(lockKey) + Buffer.byteLength(applicationData)
  return bytes > MAX_BRANCH_BYTES ? ['SEATA_BRANCH_TOO_LARGE', xid, bytes, MAX_BRANCH_BYTES] : null
}

/** Who must not wait for rows of a transaction that rolls back is told so. */
export function conflictCode(rollbacking: boolean, applicationData: string): AnswerCode {
  return rollbacking && !isAutoCommit(applicationData) ? 'SEATA_LOCK_CONFLICT_FAIL_FAST' : 'SEATA_LOCK_CONFLICT'
}

/** Java's rule: true unless the JSON says `"autoCommit": false`. Then the RM's local transaction holds rows and must not wait. */
function isAutoCommit(applicationData: string): boolean {
  if (!applicationData.includes('autoCommit')) return true
  try {
    return (JSON.parse(applicationData) as { autoCommit?: unknown } | null)?.autoCommit !== false
  } catch {
    return true
  }
}

/** Whatever the transaction's status, and whatever `branchType` says (Java clients always say AT). */
export function report(f: Fragment, request: Request, message: MessageOf<typeof BranchReport>): void {
  const { xid, branchId } = message
  const session = f.state.live(xid)
  const refuse = (code: AnswerCode, ...details: unknown[]) =>
    f.reply(request, failure(message, request.client, code, details), 'confirmed')
  if (!session) return refuse('SEATA_GLOBAL_NOT_EXIST', xid)
  if (!session.branch(branchId)) return refuse('SEATA_BRANCH_NOT_EXIST', xid, branchId)
  const { limits } = f.settings
  const bytes = Buffer.byteLength(message.applicationData)
  if (bytes > limits.maxApplicationDataBytes) {
    return refuse('SEATA_APPLICATION_DATA_TOO_LONG', xid, bytes, limits.maxApplicationDataBytes)
  }
  const status = message.branchStatus > BranchStatus.STOP_RETRY ? BranchStatus.Unknown : message.branchStatus
  f.emit({ type: BranchChanged.code, xid, branchId, status, applicationData: message.applicationData })
  f.reply(request, success(message, {}), 'confirmed')
}
