// Seata's numbers: message types, statuses, results and exception codes, and which client versions know which of them.
// Facts: Apache Seata's enums from 0.6 to 2.7; ordinals of exception codes differ between releases (see exceptionOrdinal).
import { V1_5_0, V2_0_0, V2_4_0 } from './version.ts'

export const GlobalStatus = {
  UnKnown: 0,
  Begin: 1,
  Committing: 2,
  CommitRetrying: 3,
  Rollbacking: 4,
  RollbackRetrying: 5,
  TimeoutRollbacking: 6,
  TimeoutRollbackRetrying: 7,
  AsyncCommitting: 8,
  Committed: 9,
  CommitFailed: 10,
  Rollbacked: 11,
  RollbackFailed: 12,
  TimeoutRollbacked: 13,
  TimeoutRollbackFailed: 14,
  Finished: 15,
  CommitRetryTimeout: 16,
  RollbackRetryTimeout: 17,
  Deleting: 18,
  StopCommitOrCommitRetry: 19,
  StopRollbackOrRollbackRetry: 20
} as const

export const BranchStatus = {
  Unknown: 0,
  Registered: 1,
  PhaseOne_Done: 2,
  PhaseOne_Failed: 3,
  PhaseOne_Timeout: 4,
  PhaseTwo_Committed: 5,
  PhaseTwo_CommitFailed_Retryable: 6,
  PhaseTwo_CommitFailed_Unretryable: 7,
  PhaseTwo_Rollbacked: 8,
  PhaseTwo_RollbackFailed_Retryable: 9,
  PhaseTwo_RollbackFailed_Unretryable: 10,
  PhaseTwo_CommitFailed_XAER_NOTA_Retryable: 11,
  PhaseTwo_RollbackFailed_XAER_NOTA_Retryable: 12,
  PhaseOne_RDONLY: 13,
  STOP_RETRY: 14
} as const

export const BranchType = { AT: 0, TCC: 1, SAGA: 2, XA: 3, SAGA_ANNOTATION: 4 } as const

export const ResultCode = { Failed: 0, Success: 1 } as const

/** The frame's message type byte. Dispatch never depends on 0 against 2: merged RM requests come as one-way and want an answer. */
export const MessageType = { Request: 0, Response: 1, OneWay: 2, Ping: 3, Pong: 4 } as const

/** The frame's serializer byte. */
export const Codec = { Seata: 1, Protobuf: 2 } as const

/** Serializers of Java's own, which write whole objects of Java's classes: known by name, so that an error can name them. */
const JAVA_SERIALIZERS: Readonly<Record<number, string>> = {
  4: 'kryo',
  8: 'fst',
  22: 'hessian',
  40: 'grpc',
  50: 'jackson',
  86: 'fury',
  87: 'fory',
  100: 'fastjson2'
}

/** What a user calls a serializer that is not spoken. */
export function serializerName(codec: number): string {
  return JAVA_SERIALIZERS[codec] ?? String(codec)
}

/** Exception codes by name; what a client gets is {@link exceptionOrdinal} of it. Names in the order of Seata 2.0. */
const EXCEPTIONS = [
  'Unknown',
  'BeginFailed',
  'LockKeyConflict',
  'IO',
  'BranchRollbackFailed_Retriable',
  'BranchRollbackFailed_Unretriable',
  'BranchRegisterFailed',
  'BranchReportFailed',
  'LockableCheckFailed',
  'BranchTransactionNotExist',
  'GlobalTransactionNotExist',
  'GlobalTransactionNotActive',
  'GlobalTransactionStatusInvalid',
  'FailedToSendBranchCommitRequest',
  'FailedToSendBranchRollbackRequest',
  'FailedToAddBranch',
  'FailedLockGlobalTransaction',
  'FailedWriteSession',
  'FailedStore',
  'NotRaftLeader',
  'LockKeyConflictFailFast',
  'TransactionTimeout',
  'CommitHeuristic',
  'Broken'
] as const

export type ExceptionName = (typeof EXCEPTIONS)[number]

const NOT_RAFT_LEADER = EXCEPTIONS.indexOf('NotRaftLeader')

/**
 * The number of an exception code for a client of this version (see version.ts; 0 is unknown).
 * 0 to 18 are the same everywhere. 2.0 put NotRaftLeader in at 19 and moved LockKeyConflictFailFast from 19 to 20;
 * clients before 1.5 know neither, and a number out of their range costs them the whole answer.
 */
export function exceptionOrdinal(name: ExceptionName, version: number): number {
  const ordinal = EXCEPTIONS.indexOf(name)
  if (ordinal < NOT_RAFT_LEADER || version >= V2_0_0) return ordinal
  if (name === 'LockKeyConflictFailFast') return version >= V1_5_0 ? 19 : EXCEPTIONS.indexOf('LockKeyConflict')
  return EXCEPTIONS.indexOf(name === 'NotRaftLeader' ? 'FailedStore' : 'Unknown')
}

/** The other way round. */
export function exceptionName(ordinal: number, version: number): ExceptionName {
  const shifted = version < V2_0_0 && ordinal === NOT_RAFT_LEADER ? ordinal + 1 : ordinal
  return EXCEPTIONS[shifted] ?? 'Unknown'
}

/** A global status that a client of this version can decode: statuses above its range become the nearest older one. */
export function statusFor(status: number, version: number): number {
  if (status <= GlobalStatus.Finished || version >= knownSince(status)) return status
  switch (status) {
    case GlobalStatus.CommitRetryTimeout:
    case GlobalStatus.StopCommitOrCommitRetry:
      return GlobalStatus.CommitRetrying
    case GlobalStatus.RollbackRetryTimeout:
    case GlobalStatus.StopRollbackOrRollbackRetry:
      return GlobalStatus.RollbackRetrying
    default:
      return GlobalStatus.Finished
  }
}

/** The first version that knows a status above Finished. */
function knownSince(status: number): number {
  return status <= GlobalStatus.RollbackRetryTimeout ? V1_5_0 : V2_4_0
}

const statusNames = new Map<number, string>(Object.entries(GlobalStatus).map(([name, code]) => [code, name]))

/** Seata's name of a global status, for texts and logs. */
export function statusName(status: number): string {
  return statusNames.get(status) ?? `Unknown(${status})`
}
