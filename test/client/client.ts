// A small Seata client for tests and the bench: TM and RM on one connection, frames and messages by the product's own tables.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { BranchStatus, Codec, MessageType } from '../../tc-core/wire/codes.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { type Frame, FrameReader, writeFrame } from '../../tc-core/wire/frame.ts'
import { readHeadMap } from '../../tc-core/wire/head-map.ts'
import type { AnyMessage, MessageOf } from '../../tc-core/wire/message.ts'
import {
  type BatchResult,
  type BranchCommit,
  type BranchRegisterResult,
  BranchRollback,
  type GlobalBeginResult,
  type GlobalCommitResult,
  type MergeResult,
  readBody,
  writeBody
} from '../../tc-core/wire/messages/index.ts'

export type BranchEnd = MessageOf<typeof BranchCommit>
/** What an RM does with a phase-two request: the branch status that it answers, or 'silent'. */
export type BranchHandler = (
  request: BranchEnd,
  kind: 'commit' | 'rollback'
) => number | 'silent' | Promise<number | 'silent'>

export interface ClientOptions {
  readonly port: number
  readonly host?: string
  /** Client version that it registers with; default 2.0.0. */
  readonly version?: string
  readonly applicationId?: string
  readonly group?: string
  readonly timeoutMs?: number
}

interface Waiting {
  resolve(message: AnyMessage): void
  reject(error: Error): void
  timer: NodeJS.Timeout
}

const DIALECT: Dialect = { version: 1, shortMsg: false }

const commitOk: BranchHandler = (_, kind) =>
  kind === 'commit' ? BranchStatus.PhaseTwo_Committed : BranchStatus.PhaseTwo_Rollbacked

export class SeataClient {
  readonly socket: Socket
  /** Called for every phase-two request; by default says yes to all. */
  onBranch: BranchHandler = commitOk
  /** Said in the head map of what is sent from now on; empty: nothing is said. */
  traceparent = ''
  /** What the head map of the last frame said. */
  told: ReadonlyMap<string, string | null> = new Map()
  /** Called for messages that nobody waits for (UndoLogDelete, late answers). */
  onOther: (message: AnyMessage, id: number) => void = () => {}
  readonly #options: ClientOptions
  readonly #waiting = new Map<number, Waiting>()
  readonly #children = new Map<number, number[]>()
  readonly #reader = new FrameReader(
    (frame) => this.#onFrame(frame),
    () => {}
  )
  readonly #out = new Writer(4096)
  #flushing = false
  #id = 0
  #closed: Error | null = null

  static async connect(options: ClientOptions): Promise<SeataClient> {
    const socket = connect(options.port, options.host ?? '127.0.0.1')
    socket.setNoDelay(true)
    await once(socket, 'connect')
    return new SeataClient(socket, options)
  }

  constructor(socket: Socket, options: ClientOptions) {
    this.socket = socket
    this.#options = options
    socket.on('data', (chunk: Buffer) => this.#reader.push(chunk))
    socket.on('error', () => {})
    socket.on('close', () => this.#fail(new Error('connection closed')))
  }

  get #identity() {
    return {
      version: this.#options.version ?? '2.0.0',
      applicationId: this.#options.applicationId ?? 'test-app',
      transactionServiceGroup: this.#options.group ?? 'default_tx_group',
      extraData: ''
    }
  }

  registerTM(): Promise<AnyMessage> {
    return this.request({ type: 101, ...this.#identity })
  }

  registerRM(...resourceIds: string[]): Promise<AnyMessage> {
    return this.request({ type: 103, ...this.#identity, resourceIds: resourceIds.join(',') })
  }

  begin(transactionName = 'test', timeout = 60_000): Promise<MessageOf<typeof GlobalBeginResult>> {
    return this.request({ type: 1, timeout, transactionName })
  }

  register(xid: string, resourceId: string, branchType: number, lockKey = '', applicationData = '') {
    const message = { type: 11, xid, branchType, resourceId, lockKey, applicationData }
    return this.request<MessageOf<typeof BranchRegisterResult>>(message)
  }

  /** GlobalCommit 7, GlobalRollback 9, GlobalStatus 15. */
  end(type: 7 | 9 | 15, xid: string): Promise<MessageOf<typeof GlobalCommitResult>> {
    return this.request({ type, xid, extraData: '' })
  }

  commit(xid: string) {
    return this.end(7, xid)
  }

  rollback(xid: string) {
    return this.end(9, xid)
  }

  status(xid: string) {
    return this.end(15, xid)
  }

  /** Sends a request and waits for its answer; rejects after `timeoutMs` (default 15 s) or when the connection closes. */
  request<T extends AnyMessage>(message: { type: number; [field: string]: unknown }): Promise<T> {
    const id = ++this.#id
    return this.#wait<T>(id, () => this.send(message, MessageType.Request, id))
  }

  /** Sends requests as one MergedWarp and waits for all answers, whichever form they come in. */
  merged(list: { type: number; [field: string]: unknown }[]): Promise<AnyMessage[]> {
    const msgIds = list.map(() => ++this.#id)
    const id = ++this.#id
    this.#children.set(id, msgIds)
    const answers = msgIds.map((child) => this.#wait(child, () => {}))
    this.send({ type: 59, messages: list, msgIds }, MessageType.OneWay, id)
    return Promise.all(answers)
  }

  #wait<T extends AnyMessage>(id: number, start: () => void): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(this.#closed)
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        reject(new Error(`no answer to request ${id}`))
      }, this.#options.timeoutMs ?? 15_000)
      this.#waiting.set(id, { resolve: resolve as (m: AnyMessage) => void, reject, timer })
      start()
    })
  }

  /** Writes a message; what is sent in one turn of the event loop leaves in one write. */
  send(message: { type: number; [field: string]: unknown }, messageType: number, id: number): void {
    const body = new Writer(256)
    writeBody(body, message, DIALECT)
    const { traceparent } = this
    writeFrame(this.#out, { version: 1, messageType, codec: Codec.Seata, compressor: 0, id, traceparent }, body.written)
    if (this.#flushing) return
    this.#flushing = true
    queueMicrotask(() => {
      this.#flushing = false
      this.socket.write(Buffer.from(this.#out.written))
      this.#out.pos = 0
    })
  }

  async #branchEnd(message: BranchEnd, id: number): Promise<void> {
    const kind = message.type === (BranchRollback.code as number) ? 'rollback' : 'commit'
    const branchStatus = await this.onBranch(message, kind)
    if (branchStatus === 'silent' || this.#closed) return
    const { xid, branchId } = message
    this.send({ type: message.type + 1, resultCode: 1, xid, branchId, branchStatus }, MessageType.Response, id)
  }

  #onFrame(frame: Frame): void {
    if (frame.bodyStart === frame.bodyEnd) return
    this.told = readHeadMap(frame.bytes, frame.headStart, frame.bodyStart)
    const message = readBody(new Reader(frame.bytes, frame.bodyStart, frame.bodyEnd), DIALECT)
    if (message.type === 3 || message.type === 5) return void this.#branchEnd(message as BranchEnd, frame.id)
    if (message.type === 60) {
      const children = this.#children.get(frame.id) ?? []
      this.#children.delete(frame.id)
      const list = (message as unknown as MessageOf<typeof MergeResult>).messages
      for (const [i, child] of children.entries()) this.#settle(child, list[i]!)
    } else if (message.type === 121) {
      const { messages, msgIds } = message as unknown as MessageOf<typeof BatchResult>
      for (const [i, child] of msgIds.entries()) this.#settle(child, messages[i]!)
    } else {
      this.#settle(frame.id, message)
    }
  }

  #settle(id: number, message: AnyMessage): void {
    const waiting = this.#waiting.get(id)
    if (!waiting) return this.onOther(message, id)
    this.#waiting.delete(id)
    clearTimeout(waiting.timer)
    waiting.resolve(message)
  }

  #fail(error: Error): void {
    this.#closed = error
    for (const waiting of this.#waiting.values()) {
      clearTimeout(waiting.timer)
      waiting.reject(error)
    }
    this.#waiting.clear()
  }

  close(): void {
    this.socket.destroy()
  }
}
