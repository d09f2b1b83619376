// The TM's messages: begin, commit, rollback, status, report, and their results.
import { i8, i32, msg, str16, u8, when } from '../fields.ts'
import { table } from '../message.ts'

type Result = { resultCode?: unknown }
const failed = (m: Result): boolean => (m.resultCode ?? 0) === 0

/** Every transaction result begins with these. `msg` is on the wire only when resultCode is 0 (Failed). */
export const transactionResult = {
  resultCode: u8,
  msg: when(failed, str16),
  transactionExceptionCode: u8
}

/** The same for the four results whose `msg` seata-go writes with one byte of length. */
export const shortResult = { ...transactionResult, msg: when(failed, msg) }

const globalEnd = { xid: str16, extraData: str16 }
const globalEndResult = { ...transactionResult, globalStatus: u8 }

export const GlobalBegin = table(1, 'GlobalBegin', { timeout: i32, transactionName: str16 })
export const GlobalBeginResult = table(2, 'GlobalBeginResult', { ...transactionResult, xid: str16, extraData: str16 })
export const GlobalCommit = table(7, 'GlobalCommit', globalEnd)
export const GlobalCommitResult = table(8, 'GlobalCommitResult', globalEndResult)
export const GlobalRollback = table(9, 'GlobalRollback', globalEnd)
export const GlobalRollbackResult = table(10, 'GlobalRollbackResult', globalEndResult)
export const GlobalStatus = table(15, 'GlobalStatus', globalEnd)
export const GlobalStatusResult = table(16, 'GlobalStatusResult', globalEndResult)
/** `globalStatus` -1: none given. */
export const GlobalReport = table(17, 'GlobalReport', { ...globalEnd, globalStatus: i8 })
export const GlobalReportResult = table(18, 'GlobalReportResult', globalEndResult)
