// The results that clients get, built by request: success, and each error in the form that the client's version understands.
import { ResultCode, statusFor } from '../wire/codes.ts'
import type { AnswerCode } from '../wire/errors.ts'
import { failedResult } from '../wire/failed-result.ts'
import type { Client } from '../wire/link.ts'
import type { AnyMessage } from '../wire/message.ts'
import { GlobalBeginResult } from '../wire/messages/index.ts'

/** A successful result: its type is the request's plus one, its fields are given by name. */
export function success(request: AnyMessage, fields: Record<string, unknown>): AnyMessage {
  return { type: request.type + 1, resultCode: ResultCode.Success, ...fields } as AnyMessage
}

/** That of a begin. */
export function begun(xid: string): AnyMessage {
  return { type: GlobalBeginResult.code, resultCode: ResultCode.Success, xid } as AnyMessage
}

/** A result that carries a global status. */
export function status(request: AnyMessage, client: Pick<Client, 'version'>, globalStatus: number): AnyMessage {
  const known = statusFor(globalStatus, client.version)
  return { type: request.type + 1, resultCode: ResultCode.Success, globalStatus: known } as AnyMessage
}

/** A failed result; see failedResult for what `globalStatus` is when it is not given. */
export function failure(
  request: AnyMessage,
  client: Pick<Client, 'version'>,
  code: AnswerCode,
  details: readonly unknown[],
  globalStatus?: number
): AnyMessage {
  return failedResult(request.type, client.version, code, details, globalStatus)
}
