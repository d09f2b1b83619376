// What of etcd's v3 API this product speaks: seven kinds of requests to bytes, and out of the answers what is needed of them.
import protobuf from 'protobufjs/minimal.js'

const { Reader, Writer } = protobuf

/** The paths of the calls. */
export const RPC = {
  range: '/etcdserverpb.KV/Range',
  put: '/etcdserverpb.KV/Put',
  txn: '/etcdserverpb.KV/Txn',
  authenticate: '/etcdserverpb.Auth/Authenticate',
  status: '/etcdserverpb.Maintenance/Status'
} as const

export type Method = (typeof RPC)[keyof typeof RPC]

/** A field's number and wire type in one, as it stands before the field. */
const message = (field: number) => (field << 3) | 2
const number = (field: number) => field << 3

const KEY = message(1)
const Put = { value: message(2) }
const Compare = { target: number(2), key: message(3), createRevision: number(5) }
const Txn = { compare: message(1), success: message(2) }
const Op = { range: message(1), put: message(2), deleteRange: message(3), txn: message(4) }
const Login = { name: message(1), password: message(2) }

const TxnAnswer = { succeeded: number(2), responses: message(3) }
const OpAnswer = { range: message(1), txn: message(4) }
const RangeAnswer = { kvs: message(2) }
const KeyValue = { value: message(5) }
const StatusAnswer = { header: message(1), leader: number(4) }
const Header = { memberId: number(2) }
const LoginAnswer = { token: message(2) }

/** Compare.target: the revision at which a key was created. It is 0 for a key that is not there. */
const TARGET_CREATE = 1

/** Without `serializable`: the member asks the leader first, so the read is linearizable. */
export function rangeRequest(key: string): Buffer {
  return bytesOf(Writer.create().uint32(KEY).string(key))
}

export function putRequest(key: string, value: Uint8Array): Buffer {
  return bytesOf(putFields(Writer.create(), key, value))
}

/** Puts when the key was never created, or is deleted. */
export function putIfAbsentRequest(key: string, value: Uint8Array): Buffer {
  const w = Writer.create()
  w.uint32(Txn.compare).fork()
  w.uint32(Compare.target).int32(TARGET_CREATE).uint32(Compare.key).string(key).uint32(Compare.createRevision).int32(0)
  w.ldelim()
  w.uint32(Txn.success).fork().uint32(Op.put).fork()
  return bytesOf(putFields(w, key, value).ldelim().ldelim())
}

/** A transaction without a condition of its own around transactions: each inner one holds or not by itself. */
export function groupRequest(transactions: readonly Buffer[]): Buffer {
  const w = Writer.create()
  for (const inner of transactions) w.uint32(Txn.success).fork().uint32(Op.txn).bytes(inner).ldelim()
  return bytesOf(w)
}

/** Nothing but reads: the member takes it for one linearizable read. */
export function rangesRequest(keys: readonly string[]): Buffer {
  return operations(Op.range, keys)
}

export function deletesRequest(keys: readonly string[]): Buffer {
  return operations(Op.deleteRange, keys)
}

export function authenticateRequest(name: string, password: string): Buffer {
  return bytesOf(Writer.create().uint32(Login.name).string(name).uint32(Login.password).string(password))
}

export const statusRequest = Buffer.alloc(0)

function putFields(w: protobuf.Writer, key: string, value: Uint8Array): protobuf.Writer {
  return w.uint32(KEY).string(key).uint32(Put.value).bytes(value)
}

/** A transaction of one operation a key; a range and its deletion alike have the key as their first field. */
function operations(op: number, keys: readonly string[]): Buffer {
  const w = Writer.create()
  for (const key of keys) w.uint32(Txn.success).fork().uint32(op).fork().uint32(KEY).string(key).ldelim().ldelim()
  return bytesOf(w)
}

function bytesOf(w: protobuf.Writer): Buffer {
  const bytes = w.finish()
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Whether the compare of a transaction held. */
export function succeeded(answer: Uint8Array): boolean {
  let held = false
  eachField(answer, TxnAnswer.succeeded, (r) => (held = r.bool()))
  return held
}

/** The same for each inner transaction of `groupRequest`, in its order. */
export function groupSucceeded(answer: Buffer): boolean[] {
  const held: boolean[] = []
  eachField(answer, TxnAnswer.responses, (r) =>
    eachField(r.bytes(), OpAnswer.txn, (op) => void held.push(succeeded(op.bytes())))
  )
  return held
}

/** The value of the one key that was asked for. */
export function valueIn(answer: Uint8Array): Buffer | null {
  let value: Buffer | null = null
  eachField(answer, RangeAnswer.kvs, (r) => {
    // An empty value is left out on the wire.
    value = Buffer.alloc(0)
    eachField(r.bytes(), KeyValue.value, (kv) => (value = kv.bytes() as Buffer))
  })
  return value
}

/** The values of `rangesRequest`, in the order of its keys. */
export function valuesIn(answer: Buffer): (Buffer | null)[] {
  const values: (Buffer | null)[] = []
  eachField(answer, TxnAnswer.responses, (r) =>
    eachField(r.bytes(), OpAnswer.range, (op) => void values.push(valueIn(op.bytes())))
  )
  return values
}

export function tokenIn(answer: Buffer): string {
  let token = ''
  eachField(answer, LoginAnswer.token, (r) => (token = r.string()))
  return token
}

/** Who a member is, and whom it takes for the leader, by its answer to its status; '' when it knows of none. */
export function leaderIn(answer: Buffer): { member: string; leader: string } {
  let leader = ''
  let member = ''
  eachField(answer, StatusAnswer.header, (r) =>
    eachField(r.bytes(), Header.memberId, (header) => (member = String(header.uint64())))
  )
  // Left out when there is none.
  eachField(answer, StatusAnswer.leader, (r) => (leader = String(r.uint64())))
  return { member, leader }
}

/** Reads every field with this tag and skips the others. Throws RangeError when the bytes are no message. */
function eachField(bytes: Uint8Array, wanted: number, read: (r: protobuf.Reader) => unknown): void {
  const r = Reader.create(bytes)
  while (r.pos < r.len) {
    const tag = r.uint32()
    if (tag === wanted) read(r)
    else r.skipType(tag & 7)
  }
}
