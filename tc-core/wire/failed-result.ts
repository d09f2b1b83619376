// Failed results: an error of the table in the form of the request's result, for the client's version.
import { exceptionOrdinal, GlobalStatus, ResultCode, statusFor } from './codes.ts'
import { type AnswerCode, ERRORS, errorMessage } from './errors.ts'
import type { AnyMessage } from './message.ts'
import { GlobalCommit, GlobalStatusResult, messages, RegisterTM } from './messages/index.ts'

/**
 * A failed result for a request of this type. What is no request has no result of its own: it gets a failed GlobalStatusResult, which
 * every client can read. Java's TM looks at `globalStatus` alone in the results of commit, rollback and status, so that must say what is,
 * or that nothing is known.
 */
export function failedResult(
  requestType: number,
  version: number,
  code: AnswerCode,
  details: readonly unknown[],
  globalStatus: number = unknownStatus(requestType)
): AnyMessage {
  const result = requestType > 0 ? messages.find(requestType + 1) : undefined
  const msg = errorMessage(code, ...details)
  const type = result && 'resultCode' in result.fields ? result.code : GlobalStatusResult.code
  return {
    type,
    resultCode: ResultCode.Failed,
    msg,
    transactionExceptionCode: exceptionOrdinal(ERRORS[code].exception, version),
    globalStatus: statusFor(globalStatus, version),
    identified: false,
    // A failed registration has no msg before v2; Java tells its user what is in here instead.
    version: requestType >= RegisterTM.code ? msg : undefined
  } as AnyMessage
}

/**
 * To a Java TM a commit answered with anything but Finished or a timeout status is a success; Finished makes it throw CommitHeuristic,
 * which says that the outcome is open.
 */
function unknownStatus(requestType: number): number {
  return requestType === GlobalCommit.code ? GlobalStatus.Finished : GlobalStatus.UnKnown
}
