// A node by hand: requests go in as a gateway sends them, phase-two calls come out to the test.
import { Node, type NodeOptions } from '../../tc-core/host/node.ts'
import { type MemoryData, openMemory } from '../../tc-core/storage/memory.ts'
import type { Lane, Storage } from '../../tc-core/storage/port.ts'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import type { BranchCall, CallOutcome, Client, LinkRequest, Refusal } from '../../tc-core/wire/link.ts'
import type { Log } from '../../tc-core/wire/log.ts'
import { readBody, writeBody } from '../../tc-core/wire/messages/index.ts'
import { clientOf } from '../core/harness.ts'

export interface Logged {
  readonly level: string
  readonly text: string
  readonly fields?: Readonly<Record<string, any>>
}

export function recordingLog(lines: Logged[] = []): Log & { lines: Logged[] } {
  const write = (level: string) => (fields: object, text: string) => void lines.push({ level, text, fields })
  return { lines, debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}

export interface Message {
  readonly type: number
  readonly [field: string]: any
}

const DIALECT = { version: 1, shortMsg: false } as const
let lastId = 0

export class NodeHarness {
  readonly node: Node
  readonly log = recordingLog()
  readonly calls: { call: BranchCall; done: (outcome: CallOutcome) => void }[] = []
  readonly serving: boolean[] = []

  constructor(options: Partial<NodeOptions> & { storage: Storage }) {
    this.node = new Node({ cluster: 'test', name: 'n1', fragments: 1, logger: this.log, ...options })
    this.node.downstream = {
      call: (call, done) => void this.calls.push({ call, done }),
      servingChanged: (fragment) => void this.serving.push(this.node.serves(fragment)),
      fragmentsChanged: () => {}
    }
  }

  /** The answer, or why there is none. */
  request(
    message: Message,
    more: { client?: Client; xid?: string; fragment?: number; trace?: string; waited?: number } = {}
  ): Promise<Message | Refusal> {
    const { client = clientOf('2.6.0'), xid = `127.0.0.1:8091:${++lastId}`, fragment = 0, trace, waited } = more
    const w = new Writer()
    writeBody(w, message, DIALECT)
    return this.raw(Buffer.from(w.written), client, xid, fragment, trace, waited)
  }

  raw(
    bytes: Buffer,
    client = clientOf('2.6.0'),
    xid = `127.0.0.1:8091:${++lastId}`,
    fragment = 0,
    trace = '',
    waited = 0
  ): Promise<Message | Refusal> {
    return new Promise((resolve) => {
      const request: LinkRequest = {
        client,
        fragment,
        dialect: DIALECT,
        codec: 1,
        bytes,
        start: 0,
        end: bytes.length,
        proposed: xid,
        identity: 0n,
        again: false,
        waited,
        trace,
        keep: () => {},
        answer: (body) => resolve(readBody(new Reader(Buffer.from(body)), DIALECT) as unknown as Message),
        refuse: resolve
      }
      this.node.request(request)
    })
  }

  async begin(timeout = 60_000): Promise<string> {
    const answer = (await this.request({ type: 1, timeout, transactionName: 'tx' })) as Message
    if (answer.resultCode !== 1) throw new Error(answer.msg)
    return answer.xid as string
  }

  async status(xid: string): Promise<number> {
    return ((await this.request({ type: 15, xid, extraData: '' })) as Message).globalStatus as number
  }
}

/** A memory store whose operations go through the test's hands; `read` is a getMany that is about to be answered. */
export function controlled(
  data: MemoryData,
  control: { before(kind: string, key: string): Promise<void> | void }
): Storage {
  const storage = openMemory(data)
  return {
    ...storage,
    lane: (name) => {
      const lane = storage.lane(name)
      const through = async <T>(kind: string, key: string, operation: () => Promise<T>): Promise<T> => {
        await control.before(kind, key)
        return operation()
      }
      const wrapped: Lane = {
        setIfAbsent: (key, value) => through('setIfAbsent', key, () => lane.setIfAbsent(key, value)),
        get: (key) => through('get', key, () => lane.get(key)),
        getMany: async (keys) => {
          const values = await through('getMany', keys[0] ?? '', () => lane.getMany(keys))
          await control.before('read', keys[0] ?? '')
          return values
        },
        set: (key, value) => through('set', key, () => lane.set(key, value)),
        delete: (keys) => through('delete', keys[0] ?? '', () => lane.delete(keys))
      }
      return wrapped
    }
  }
}

/** A gate that operations wait at while it is closed. */
export function gate() {
  let waiting: (() => void)[] = []
  let closed = false
  return {
    close: () => void (closed = true),
    open: () => {
      closed = false
      for (const go of waiting) go()
      waiting = []
    },
    get waiting() {
      return waiting.length
    },
    pass: (): Promise<void> => (closed ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve())
  }
}

/** Resolves when the condition holds; rejects after a generous time. */
export async function eventually(condition: () => boolean | Promise<boolean>, what = 'it', ms = 10_000): Promise<void> {
  const until = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > until) throw new Error(`${what} did not happen in ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
