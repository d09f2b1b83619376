// What an RM asks for: register a branch, report on it, query locks.
import { BranchStatus, BranchType, GlobalStatus, statusName } from '../wire/codes.ts'
import type { AnswerCode } from '../wire/errors.ts'
import { MAX_BRANCH_BYTES } from '../wire/limits.ts'
import type { MessageOf } from '../wire/message.ts'
import type { BranchRegister, BranchReport, GlobalLockQuery } from '../wire/messages/index.ts'
import { failure, success } from './answers.ts'
import { BranchAdded, BranchChanged } from './effects.ts'
import type { Fragment } from './fragment.ts'
import { parseLockKey, type Row } from './lock-key.ts'
import { joinsAnyTime, locksRows } from './modes/modes.ts'
import type { Request } from './outputs.ts'
import type { Session } from './session.ts'

type Register = MessageOf<typeof BranchRegister>

/** Checks in Java's order, the first that fails is the answer; then the rows and the branch, or neither. */
export function register(f: Fragment, request: Request, message: Register): void {
  const { xid, resourceId, branchType } = message
  const refuse = (code: AnswerCode, ...details: unknown[]) =>
    f.reply(request, failure(message, request.client, code, details), 'confirmed')

  if (branchType > BranchType.SAGA_ANNOTATION) return refuse('SEATA_BRANCH_TYPE_UNKNOWN', branchType)
  const session = f.state.sessions.get(xid)
  if (!session) return refuse('SEATA_GLOBAL_NOT_EXIST', xid)
  const tooLarge = sizeError(f, session, message)
  if (tooLarge) return refuse(...tooLarge)
  if (session.status !== GlobalStatus.Begin && !joinsAnyTime(branchType)) {
    return refuse('SEATA_GLOBAL_NOT_ACTIVE', xid, statusName(session.status))
  }
  const branchId = f.newBranchId()
  const rows = locksRows(branchType) ? parseLockKey(message.lockKey) : []
  if (rows.length > f.settings.limits.maxLockKeys) {
    return refuse('SEATA_TOO_MANY_LOCK_KEYS', xid, rows.length, f.settings.limits.maxLockKeys)
  }
  const conflict = f.state.locks.conflict(xid, resourceId, rows)
  if (conflict) {
    const failFast = conflict.owner.rollbacking && !isAutoCommit(message.applicationData)
    const code = failFast ? 'SEATA_LOCK_CONFLICT_FAIL_FAST' : 'SEATA_LOCK_CONFLICT'
    return refuse(code, xid, branchId, name(conflict.row), conflict.owner.xid, conflict.branchId)
  }
  f.emit({
    type: BranchAdded.code,
    xid,
    branchId,
    branchType,
    resourceId,
    clientId: request.client.clientId,
    lockKey: message.lockKey,
    applicationData: message.applicationData,
    rowsLocked: rows.length > 0
  })
  f.reply(request, success(message, { branchId }), 'confirmed')
}

function sizeError(f: Fragment, session: Session, message: Register): [AnswerCode, ...unknown[]] | null {
  const { limits } = f.settings
  const { xid, lockKey, applicationData } = message
  if (message.resourceId === '') return ['SEATA_RESOURCE_ID_MISSING', xid]
  if (session.branches.length >= limits.maxBranches) return ['SEATA_TOO_MANY_BRANCHES', xid, limits.maxBranches]
  if ((lockKey.length + applicationData.length) * 3 <= limits.maxApplicationDataBytes) return null
  const dataBytes = Buffer.byteLength(applicationData)
  if (dataBytes > limits.maxApplicationDataBytes) {
    return ['SEATA_APPLICATION_DATA_TOO_LONG', xid, dataBytes, limits.maxApplicationDataBytes]
  }
  const bytes = Buffer.byteLength(lockKey) + dataBytes
  return bytes > MAX_BRANCH_BYTES ? ['SEATA_BRANCH_TOO_LARGE', xid, bytes, MAX_BRANCH_BYTES] : null
}

function name(row: Row): string {
  return `${row.table}:${row.pk}`
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
  const session = f.state.sessions.get(xid)
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

/** Lockable: every row is free or this transaction's. An empty xid (`@GlobalLock`) owns nothing. */
export function lockQuery(f: Fragment, request: Request, message: MessageOf<typeof GlobalLockQuery>): void {
  const rows = locksRows(message.branchType) ? parseLockKey(message.lockKey) : []
  const lockable = f.state.locks.conflict(message.xid, message.resourceId, rows) === null
  f.reply(request, success(message, { lockable }), 'confirmed')
}
