// The RM's messages: register, report, lock query, and the coordinator's phase-two requests to it.
import { bool16, i64, str16, str32, u8, u16 } from '../fields.ts'
import { table } from '../message.ts'
import { shortResult, transactionResult } from './transaction.ts'

const register = { xid: str16, branchType: u8, resourceId: str16, lockKey: str32, applicationData: str32 }
const branchEnd = { xid: str16, branchId: i64, branchType: u8, resourceId: str16, applicationData: str32 }
const branchEndResult = { ...shortResult, xid: str16, branchId: i64, branchStatus: u8 }

export const BranchRegister = table(11, 'BranchRegister', register)
export const BranchRegisterResult = table(12, 'BranchRegisterResult', { ...transactionResult, branchId: i64 })
/** `branchType` is AT from every Java client, whatever the branch: never dispatch on it. */
export const BranchReport = table(13, 'BranchReport', {
  xid: str16,
  branchId: i64,
  branchStatus: u8,
  resourceId: str16,
  applicationData: str32,
  branchType: u8
})
export const BranchReportResult = table(14, 'BranchReportResult', shortResult)
export const GlobalLockQuery = table(21, 'GlobalLockQuery', register)
export const GlobalLockQueryResult = table(22, 'GlobalLockQueryResult', { ...shortResult, lockable: bool16 })

export const BranchCommit = table(3, 'BranchCommit', branchEnd)
export const BranchCommitResult = table(4, 'BranchCommitResult', branchEndResult)
export const BranchRollback = table(5, 'BranchRollback', branchEnd)
export const BranchRollbackResult = table(6, 'BranchRollbackResult', branchEndResult)
/** One-way; `saveDays`: how long undo logs are kept. */
export const UndoLogDelete = table(111, 'UndoLogDelete', { branchType: u8, resourceId: str16, saveDays: u16 })
