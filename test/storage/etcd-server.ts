// A stand-in for an etcd member, for tests on a bare machine: a map behind gRPC, whose every call a test may hold, fail or lose.
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js'
import protobuf from 'protobufjs/minimal.js'
import { openEtcd } from '../../tc-core/storage/etcd.ts'
import type { Storage } from '../../tc-core/storage/port.ts'

const { Reader, Writer } = protobuf

export interface Call {
  readonly server: StandIn
  readonly method: 'Range' | 'Put' | 'Txn' | 'Authenticate' | 'Status'
  /** Of every key that the request names. */
  readonly keys: readonly string[]
  readonly token: string | undefined
}

/** What becomes of a call: null lets it pass, a code or silence fails it before it is done; `lost` fails it after, `garbage` is its answer. */
export type Fate = null | { code: number; text?: string } | 'silent' | 'lost' | 'garbage'

/** What the members of one cluster share. */
export class StandInData {
  readonly values = new Map<string, Buffer>()
  /** All calls but Status, as they came. */
  readonly calls: Call[] = []
  fate: (call: Call) => Fate | Promise<Fate> = () => null
  /** Null: one that is none of the stand-ins. */
  leader: StandIn | null = null
}

type Unary = ServerUnaryCall<Buffer, Buffer>
type Answer = sendUnaryData<Buffer>
type Fields = Map<number, (number | Buffer)[]>

function fieldsOf(bytes: Uint8Array): Fields {
  const fields: Fields = new Map()
  const r = Reader.create(bytes)
  while (r.pos < r.len) {
    const tag = r.uint32()
    const list = fields.get(tag >>> 3) ?? []
    fields.set(tag >>> 3, list)
    list.push((tag & 7) === 2 ? Buffer.from(r.bytes()) : r.uint32())
  }
  return fields
}

const bytesIn = (fields: Fields, field: number) => (fields.get(field) ?? []) as Buffer[]
const textIn = (fields: Fields, field: number) => bytesIn(fields, field)[0]?.toString() ?? ''
const wrapped = (field: number, bytes: Uint8Array) =>
  Writer.create()
    .uint32((field << 3) | 2)
    .bytes(bytes)
    .finish()
const NOTHING = Buffer.alloc(0)
const OP_TXN = 4

/** The keys of an operation; those of an inner transaction are the keys of its operations. */
function keysIn(op: Fields): string[] {
  const [kind, [body]] = [...op][0]! as [number, [Buffer]]
  const fields = fieldsOf(body)
  return kind === OP_TXN ? bytesIn(fields, 2).map(fieldsOf).flatMap(keysIn) : [textIn(fields, 1)]
}

interface Teardown {
  teardown(then: () => unknown): void
}

export class StandIn {
  readonly #data: StandInData
  readonly #server = new Server({ 'grpc.max_receive_message_length': -1 })
  port = 0
  /** Whom it takes for the leader when it is not the one that all others do. */
  believes: StandIn | null = null

  private constructor(data: StandInData) {
    this.#data = data
  }

  /** Started, and stopped with the test. */
  static async start(
    t: Teardown,
    data = new StandInData(),
    credentials = ServerCredentials.createInsecure()
  ): Promise<StandIn> {
    const standIn = new StandIn(data)
    const services = { KV: ['Range', 'Put', 'Txn'], Auth: ['Authenticate'], Maintenance: ['Status'] } as const
    for (const [service, methods] of Object.entries(services)) {
      for (const method of methods) standIn.#serve(service, method)
    }
    standIn.port = await new Promise((resolve, reject) =>
      standIn.#server.bindAsync('127.0.0.1:0', credentials, (error, port) => (error ? reject(error) : resolve(port)))
    )
    t.teardown(() => standIn.stop())
    return standIn
  }

  /** From now on connections to it are refused. */
  stop(): void {
    this.#server.forceShutdown()
  }

  get address(): string {
    return `127.0.0.1:${this.port}`
  }

  #serve(service: string, method: Call['method']): void {
    const same = (bytes: Buffer) => bytes
    const path = `/etcdserverpb.${service}/${method}`
    this.#server.register(
      path,
      (call: Unary, answer: Answer) => void this.#answer(method, call, answer),
      same,
      same,
      'unary'
    )
  }

  async #answer(method: Call['method'], grpc: Unary, answer: Answer) {
    const fields = fieldsOf(grpc.request)
    const operations = method === 'Txn' ? bytesIn(fields, 2).map(fieldsOf) : []
    const keys = method === 'Txn' ? operations.flatMap(keysIn) : [textIn(fields, 1)]
    const call = { server: this, method, keys, token: grpc.metadata.get('token')[0]?.toString() }
    if (method !== 'Status') this.#data.calls.push(call)
    const fate = await this.#data.fate(call)
    if (fate === 'silent') return
    if (fate === 'garbage') return answer(null, Buffer.from([0x12, 0xff]))
    if (fate && fate !== 'lost') return answer({ code: fate.code, details: fate.text ?? 'injected' })
    const result = this.#perform(method, fields, operations)
    if (fate === 'lost') return answer({ code: status.UNAVAILABLE, details: 'the answer is lost' })
    answer(null, Buffer.from(result))
  }

  /** Who it is and who leads: a member's number is its port here. */
  #status(): Uint8Array {
    const header = Writer.create().uint32(16).uint32(this.port).finish()
    const leader = (this.believes ?? this.#data.leader)?.port ?? 7
    return Buffer.concat([wrapped(1, header), Writer.create().uint32(32).uint32(leader).finish()])
  }

  #perform(method: Call['method'], fields: Fields, operations: readonly Fields[]): Uint8Array {
    if (method === 'Status') return this.#status()
    if (method === 'Authenticate') return wrapped(2, Buffer.from(`${textIn(fields, 1)}/${textIn(fields, 2)}`))
    if (method === 'Range') return this.#range(fields)
    if (method === 'Put') return this.#put(fields)
    return this.#transaction(fields, operations)
  }

  /** The only compare that is ever sent: the key is not there. */
  #transaction(fields: Fields, operations: readonly Fields[]): Uint8Array {
    const held = bytesIn(fields, 1).every((compare) => !this.#data.values.has(textIn(fieldsOf(compare), 3)))
    const answers = held ? operations.map((op) => wrapped(3, this.#operation(op))) : []
    return Buffer.concat([Writer.create().uint32(16).bool(held).finish(), ...answers])
  }

  #operation(op: Fields): Uint8Array {
    const [kind, [body]] = [...op][0]! as [number, [Buffer]]
    const fields = fieldsOf(body)
    if (kind === 1) return wrapped(1, this.#range(fields))
    if (kind === 2) return wrapped(2, this.#put(fields))
    if (kind === OP_TXN) return wrapped(OP_TXN, this.#transaction(fields, bytesIn(fields, 2).map(fieldsOf)))
    this.#data.values.delete(textIn(fields, 1))
    return wrapped(3, NOTHING)
  }

  #range(fields: Fields): Uint8Array {
    const value = this.#data.values.get(textIn(fields, 1))
    return value ? wrapped(2, Buffer.concat([wrapped(1, bytesIn(fields, 1)[0]!), wrapped(5, value)])) : NOTHING
  }

  #put(fields: Fields): Uint8Array {
    this.#data.values.set(textIn(fields, 1), bytesIn(fields, 2)[0] ?? NOTHING)
    return NOTHING
  }
}

/** Stand-ins of one cluster, and its URL. */
export async function cluster(t: Teardown, size: number, login = '') {
  const data = new StandInData()
  const members = await Promise.all(Array.from({ length: size }, () => StandIn.start(t, data)))
  const url = `etcd://${login}${members.map(({ address }) => address).join(',')}`
  return { data, members, url }
}

/** Closed with the test. */
export async function open(t: Teardown, url: string): Promise<Storage> {
  const storage = await openEtcd(url)
  t.teardown(() => storage.close())
  return storage
}
