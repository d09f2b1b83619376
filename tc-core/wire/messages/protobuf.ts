// The messages in Seata's protobuf: their names, and which field of ours has which number where.
// Facts: Apache Seata's .proto files, the same from 1.0 on but for the package.
import { GlobalStatus, statusFor } from '../codes.ts'
import type { AnyMessage } from '../message.ts'
import {
  anys,
  bool,
  type Context,
  enumeration,
  ids,
  int32,
  int64,
  type Node,
  nest,
  readNamed,
  type Shape,
  Shapes,
  text,
  typeCode,
  writeNamed
} from '../protobuf.ts'
import { tableOf } from './index.ts'

/** The newest first: it is what a peer gets that never said which one it speaks. */
export const PACKAGES = ['org.apache.seata.protocol.protobuf.', 'io.seata.protocol.protobuf.'] as const

/** Exception codes have no BeginFailed, so all after it are one less, and nothing above FailedWriteSession (17 in Seata's own). */
const LAST_EXCEPTION = 17
/** LockKeyConflictFailFast in the clients' own numbers, before 2.0 and from then on. To an RM it is a conflict, whatever it is called. */
const FAIL_FAST: readonly number[] = [19, 20]
const LOCK_KEY_CONFLICT = 2

function exceptionToProtobuf(code: number): number {
  if (FAIL_FAST.includes(code)) return LOCK_KEY_CONFLICT - 1
  return code >= LOCK_KEY_CONFLICT && code <= LAST_EXCEPTION ? code - 1 : 0
}

/** What no enum of Seata has, for all that is out of the range of a byte. */
const UNKNOWN = 127

const same = (n: number) => n
const read = (n: number) => (n >= 0 && n < UNKNOWN ? n : UNKNOWN)
/** The result of UnregisterRM has no code in Seata's own serializer: there `identified` says it all. */
const resultCode: Node = {
  ...enumeration('resultCode', read, same),
  write(w, tag, values) {
    if (Number(values.resultCode ?? values.identified ?? 0) !== 0) w.uint32(tag).int32(1)
  }
}
const exceptionCode = enumeration('transactionExceptionCode', (n) => (n === 0 ? 0 : read(n + 1)), exceptionToProtobuf)
/** Statuses end with Finished, as they did for clients before 1.5. */
const globalStatus = enumeration('globalStatus', read, (n) => (n < 0 ? GlobalStatus.UnKnown : statusFor(n, 0)))
const branchStatus = enumeration('branchStatus', read, same)
/** AT, TCC and SAGA: an RM has no way to speak of XA in this serializer. */
const branchType = enumeration('branchType', read, same)

const abstractMessage = nest({ 1: typeCode })
const result = nest({ 1: abstractMessage, 2: resultCode, 3: text('msg') })
const request = nest({ 1: abstractMessage })
const response = nest({ 1: result, 2: exceptionCode })

const identifyRequest = nest({
  1: abstractMessage,
  2: text('version'),
  3: text('applicationId'),
  4: text('transactionServiceGroup'),
  5: text('extraData')
})
const identifyResponse: Shape = {
  1: nest({ 1: result, 2: text('version'), 4: bool('identified') })
}
const resourceIds: Shape = { 1: identifyRequest, 2: text('resourceIds') }

const globalEndRequest = nest({ 1: request, 2: text('xid'), 3: text('extraData') })
const globalEndResponse: Shape = { 1: nest({ 1: response, 2: globalStatus }) }

const branchRegister: Shape = {
  1: request,
  2: text('xid'),
  3: branchType,
  4: text('resourceId'),
  5: text('lockKey'),
  6: text('applicationData')
}
const branchEndRequest: Shape = {
  1: nest({
    1: request,
    2: text('xid'),
    3: int64('branchId'),
    4: branchType,
    5: text('resourceId'),
    6: text('applicationData')
  })
}
const branchEndResponse: Shape = {
  1: nest({ 1: response, 2: text('xid'), 3: int64('branchId'), 4: branchStatus })
}

const shapes = new Shapes(PACKAGES)

const SHAPES: readonly (readonly [number, string, Shape])[] = [
  [1, 'GlobalBeginRequestProto', { 1: request, 2: int32('timeout'), 3: text('transactionName') }],
  [2, 'GlobalBeginResponseProto', { 1: response, 2: text('xid'), 3: text('extraData') }],
  [3, 'BranchCommitRequestProto', branchEndRequest],
  [4, 'BranchCommitResponseProto', branchEndResponse],
  [5, 'BranchRollbackRequestProto', branchEndRequest],
  [6, 'BranchRollbackResponseProto', branchEndResponse],
  [7, 'GlobalCommitRequestProto', { 1: globalEndRequest }],
  [8, 'GlobalCommitResponseProto', globalEndResponse],
  [9, 'GlobalRollbackRequestProto', { 1: globalEndRequest }],
  [10, 'GlobalRollbackResponseProto', globalEndResponse],
  [11, 'BranchRegisterRequestProto', branchRegister],
  [12, 'BranchRegisterResponseProto', { 1: response, 2: int64('branchId') }],
  [
    13,
    'BranchReportRequestProto',
    {
      1: request,
      2: text('xid'),
      3: int64('branchId'),
      4: text('resourceId'),
      5: branchStatus,
      6: text('applicationData'),
      7: branchType
    }
  ],
  [14, 'BranchReportResponseProto', { 1: response }],
  [15, 'GlobalStatusRequestProto', { 1: globalEndRequest }],
  [16, 'GlobalStatusResponseProto', globalEndResponse],
  [17, 'GlobalReportRequestProto', { 1: globalEndRequest, 2: globalStatus }],
  [18, 'GlobalReportResponseProto', globalEndResponse],
  [21, 'GlobalLockQueryRequestProto', { 1: nest(branchRegister) }],
  [22, 'GlobalLockQueryResponseProto', { 1: response, 2: bool('lockable') }],
  [59, 'MergedWarpMessageProto', { 1: abstractMessage, 2: anys('messages', shapes), 3: ids('msgIds') }],
  [60, 'MergedResultMessageProto', { 1: abstractMessage, 2: anys('messages', shapes) }],
  [101, 'RegisterTMRequestProto', { 1: identifyRequest }],
  [102, 'RegisterTMResponseProto', identifyResponse],
  [103, 'RegisterRMRequestProto', resourceIds],
  [104, 'RegisterRMResponseProto', identifyResponse],
  [105, 'UnregisterRMRequestProto', resourceIds],
  [106, 'UnregisterRMResponseProto', identifyResponse],
  [111, 'UndoLogDeleteRequestProto', { 1: request, 2: text('resourceId'), 3: int32('saveDays'), 4: branchType }],
  [121, 'BatchResultMessageProto', { 1: abstractMessage, 2: anys('messages', shapes), 3: ids('msgIds') }]
]

/** Zero, false or nothing is what proto3 leaves out. */
function absent(initial: unknown): () => unknown {
  if (Array.isArray(initial)) return () => []
  const zero = typeof initial === 'number' ? 0 : initial
  return () => zero
}

for (const [code, name, shape] of SHAPES) {
  const fields = tableOf(code).entries.map(([field, { initial }]) => [field, absent(initial)] as const)
  shapes.add(code, name, shape, () => Object.fromEntries(fields.map(([field, make]) => [field, make()])))
}

/** Reads a body in protobuf; throws UnreadableMessage. `context` is told the package that the peer speaks. */
export function readProtobuf(body: Buffer, context: Context): AnyMessage {
  return readNamed(shapes, body, context)
}

/** A message as a body in protobuf. */
export function writeProtobuf(message: AnyMessage, context: Context): Buffer {
  return writeNamed(shapes, message, context)
}
