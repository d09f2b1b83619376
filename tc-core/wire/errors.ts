// Every error there is, by code: what a client gets, or what else happens. docs/errors.md is this table in words.
import type { ExceptionName } from './codes.ts'

interface Answer {
  /** The client gets resultCode Failed with this exception code, by its name (its number depends on the client's version). */
  readonly exception: ExceptionName
  /** Java's wrapper around the text: TransactionException[…] or RuntimeException[…]. */
  readonly wrapper: 'TransactionException' | 'RuntimeException'
  /** `%s` are filled in order. Seata's own texts are kept to the letter: operators search for them. */
  readonly text: string
}

interface Event {
  /** What happens instead of an answer. */
  readonly effect: 'connection closed' | 'start refused' | 'fragment stopped' | 'retried inside'
  readonly text: string
}

function transaction(exception: ExceptionName, text: string): Answer {
  return { exception, wrapper: 'TransactionException', text }
}

function runtime(text: string): Answer {
  return { exception: 'Unknown', wrapper: 'RuntimeException', text }
}

export const ERRORS = {
  SEATA_GLOBAL_NOT_EXIST: transaction(
    'GlobalTransactionNotExist',
    'Could not found global transaction xid = %s, may be has finished.'
  ),
  SEATA_GLOBAL_NOT_ACTIVE: transaction(
    'GlobalTransactionNotActive',
    'Could not register branch into global session xid = %s status = %s, cause by globalSession not active'
  ),
  SEATA_BRANCH_NOT_EXIST: transaction(
    'BranchTransactionNotExist',
    'Could not found branch session xid = %s branchId = %s'
  ),
  SEATA_LOCK_CONFLICT: transaction(
    'LockKeyConflict',
    'Global lock acquire failed xid = %s branchId = %s, Global lock on [%s] is holding by xid %s branchId %s'
  ),
  SEATA_LOCK_CONFLICT_FAIL_FAST: transaction(
    'LockKeyConflictFailFast',
    'Global lock acquire failed xid = %s branchId = %s, Global lock on [%s] is holding by xid %s branchId %s'
  ),
  SEATA_LOCK_HOME_SILENT: transaction(
    'LockKeyConflict',
    'Global lock acquire failed xid = %s, fragment %s that guards some of the rows does not answer, try again later'
  ),
  SEATA_APPLICATION_DATA_TOO_LONG: transaction(
    'FailedToAddBranch',
    'Failed to store branch xid = %s , applicationData of %s bytes is above the limit of %s'
  ),
  SEATA_TOO_MANY_BRANCHES: transaction(
    'FailedToAddBranch',
    'Failed to store branch xid = %s , it has %s branches and that is the limit'
  ),
  SEATA_TOO_MANY_LOCK_KEYS: transaction(
    'FailedToAddBranch',
    'Failed to store branch xid = %s , a lock key of %s rows is above the limit of %s'
  ),
  SEATA_BRANCH_TOO_LARGE: transaction(
    'FailedToAddBranch',
    'Failed to store branch xid = %s , lock key and applicationData of %s bytes are above the limit of %s'
  ),
  SEATA_BRANCH_TYPE_UNKNOWN: runtime('unsupported type:%s'),
  SEATA_RESOURCE_ID_MISSING: transaction('FailedToAddBranch', 'Failed to store branch xid = %s , resourceId is empty'),
  SEATA_TOO_MANY_TRANSACTIONS: transaction(
    'BeginFailed',
    'Fail to store global session, %s transactions are active and that is the limit'
  ),
  SEATA_RM_BEHIND: transaction(
    'BeginFailed',
    'Fail to store global session, resource managers do not keep up with phase two, try again later'
  ),
  SEATA_SHUTTING_DOWN: transaction('BeginFailed', 'Fail to store global session, the server is shutting down'),
  SEATA_NAME_TOO_LONG: transaction(
    'BeginFailed',
    'Fail to store global session, %s of %s bytes is above the limit of %s'
  ),
  SEATA_SEND_COMMIT_FAILED: transaction(
    'Unknown',
    'org.apache.seata.core.exception.BranchTransactionException: Send branch commit failed, xid = %s branchId = %s'
  ),
  SEATA_SEND_ROLLBACK_FAILED: transaction(
    'Unknown',
    'org.apache.seata.core.exception.BranchTransactionException: Send branch rollback failed, xid = %s branchId = %s'
  ),
  SEATA_RM_NOT_CONNECTED: transaction(
    'Unknown',
    'java.lang.RuntimeException: rm client is not connected. dbkey:%s,clientId:%s'
  ),
  SEATA_XID_INVALID: runtime('xid [%s] is not valid'),
  SEATA_STORE_UNAVAILABLE: transaction('FailedStore', 'the store does not answer: %s'),
  SEATA_OVERLOADED: transaction('FailedStore', 'too many requests are waiting (%s), try again later'),
  SEATA_UNAVAILABLE: transaction('FailedStore', 'no leader serves fragment %s, try again later'),
  SEATA_NOT_REGISTERED: runtime('register as TM or RM first'),
  SEATA_BODY_UNREADABLE: runtime('cannot read the message: %s'),
  SEATA_CODEC_UNKNOWN: runtime('serializer %s is not supported, use seata or protobuf'),
  SEATA_COMPRESSOR_UNKNOWN: runtime(
    'compressor %s is not supported, use one of none, gzip, zip, 7z, bzip2, lz4, deflater, zstd'
  ),
  SEATA_NOT_A_REQUEST: runtime('message type %s is not a request to a coordinator'),

  SEATA_FRAME_INVALID: { effect: 'connection closed', text: 'cannot frame what the client sent: %s' },
  SEATA_IDLE: { effect: 'connection closed', text: 'no byte for %s ms' },
  SEATA_TOO_MANY_CLIENTS: { effect: 'connection closed', text: 'there are %s connections and that is the limit' },
  SEATA_TOO_MUCH_HELD: {
    effect: 'connection closed',
    text: 'the gateway holds %s bytes of %s and the limit is %s; %s of them are of this client'
  },
  SEATA_XID_TAKEN: { effect: 'retried inside', text: 'transaction id %s is in use, another one is proposed' },
  SEATA_OPTION_INVALID: { effect: 'start refused', text: '%s' },
  SEATA_STORE_OPEN_FAILED: { effect: 'start refused', text: 'cannot open the store %s: %s' },
  SEATA_RECORD_CORRUPT: { effect: 'fragment stopped', text: 'the record at %s is damaged: %s' },
  SEATA_SNAPSHOT_CORRUPT: { effect: 'fragment stopped', text: 'the snapshot at %s is damaged: %s' }
} as const satisfies Record<string, Answer | Event>

export type ErrorCode = keyof typeof ERRORS
/** The codes that are answered in the protocol's own form. */
export type AnswerCode = { [K in ErrorCode]: (typeof ERRORS)[K] extends Answer ? K : never }[ErrorCode]

/** The text of an error, `%s` filled in order. */
export function errorText(code: ErrorCode, ...details: readonly unknown[]): string {
  let i = 0
  return ERRORS[code].text.replace(/%s/g, () => String(details[i++] ?? ''))
}

/** The `msg` of a failed result, in the form that Java gives it. */
export function errorMessage(code: AnswerCode, ...details: readonly unknown[]): string {
  return `${ERRORS[code].wrapper}[${errorText(code, ...details)}]`
}

/** An error that stops something, with its code from the table. */
export class SeataError extends Error {
  readonly code: ErrorCode
  constructor(code: ErrorCode, details: readonly unknown[] = [], cause?: unknown) {
    super(errorText(code, ...details), cause === undefined ? undefined : { cause })
    this.code = code
  }
}
