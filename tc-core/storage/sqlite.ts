// The embedded engine for one machine: SQLite (Node's own, node:sqlite) in WAL mode, in a thread of its own.
// A commit costs one flush of a file that does not grow (LMDB: two), so an append is confirmed in less than half the time.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { SeataError } from '../wire/errors.ts'
import { empty } from '../wire/table.ts'
import { type Lane, type Storage, StorageError } from './port.ts'
import {
  Asking,
  Kind,
  type Letter,
  type LetterReply,
  newShared,
  Outcome,
  type SqliteThreadData,
  type WriteKind
} from './sqlite-protocol.ts'

const RESTART_MS = 500

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** Opens (and creates) the database in `directory`; rejects with SEATA_STORE_OPEN_FAILED. Several processes may share it. */
export async function openSqlite(directory: string): Promise<Storage> {
  const url = `sqlite:${directory}`
  try {
    mkdirSync(directory, { recursive: true })
    const thread = new SqliteThread(join(directory, 'seata.db'))
    await thread.started
    const lane = new SqliteLane(thread)
    return {
      url,
      linearizableReads: true,
      embedded: true,
      get flushes() {
        return thread.flushes
      },
      lane: () => lane,
      close: () => thread.close()
    }
  } catch (error) {
    throw new SeataError('SEATA_STORE_OPEN_FAILED', [url, (error as Error).message], error)
  }
}

class SqliteLane implements Lane {
  readonly #thread: SqliteThread

  constructor(thread: SqliteThread) {
    this.#thread = thread
  }

  setIfAbsent(key: string, value: Uint8Array): Promise<boolean> {
    return this.#thread.write(Kind.SetIfAbsent, key, value) as Promise<boolean>
  }

  async get(key: string): Promise<Buffer | null> {
    const [value] = await this.getMany([key])
    return value!
  }

  async getMany(keys: readonly string[]): Promise<(Buffer | null)[]> {
    const values = (await this.#thread.send({ kind: 'getMany', keys })) as (Uint8Array | null)[]
    return values.map((value) => value && Buffer.from(value.buffer, value.byteOffset, value.byteLength))
  }

  async set(key: string, value: Uint8Array): Promise<void> {
    await this.#thread.write(Kind.Set, key, value)
  }

  async delete(keys: readonly string[]): Promise<void> {
    await this.#thread.send({ kind: 'delete', keys })
  }
}

/** The other side of sqlite-thread.ts. Answers come in the order of the calls. */
class SqliteThread {
  readonly #path: string
  #asking = new Asking(newShared())
  readonly #waiting: Waiting[] = []
  /** Calls for which there was no room yet, in their order. */
  readonly #late: (() => void)[] = []
  #listening = false
  #worker: Worker | null = null
  #letters: MessagePort | null = null
  #closing = false
  /** Flushes of threads that are gone. */
  #flushes = 0
  /** Rejects when the database cannot be opened. */
  readonly started: Promise<void>

  constructor(path: string) {
    this.#path = path
    this.started = this.#start()
  }

  #start(): Promise<void> {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const shared = newShared()
    const { port1, port2 } = new MessageChannel()
    const workerData: SqliteThreadData = { path: this.#path, shared, letters: port2 }
    const options = { workerData, transferList: [port2] }
    const worker = new Worker(new URL(`./sqlite-thread.${extension}`, import.meta.url), options)
    return new Promise((resolve, reject) => {
      worker.once('message', (error: string | null) => {
        if (error !== null) return reject(new Error(error))
        this.#asking = new Asking(shared)
        this.#letters = port1
        this.#worker = worker
        resolve()
      })
      worker.on('error', (error) => {
        reject(error)
        this.#lost(error.message)
      })
      worker.once('exit', () => this.#lost('the database thread ended'))
    })
  }

  get flushes(): number {
    return this.#flushes + this.#asking.flushes
  }

  write(kind: WriteKind, key: string, value: Uint8Array): Promise<unknown> {
    return this.#call(() => {
      if (!this.#asking.write(kind, key, value)) this.#post({ kind, key, value: Buffer.from(value) })
    })
  }

  send(letter: Letter): Promise<unknown> {
    return this.#call(() => this.#post(letter))
  }

  #post(letter: Letter): void {
    this.#letters!.postMessage(letter)
    this.#asking.ask(Kind.Letter)
  }

  #call(ask: () => void): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!this.#worker) return reject(new StorageError('the database thread is not running'))
      this.#waiting.push({ resolve, reject })
      this.#inTurn(ask)
      this.#listen()
    })
  }

  #inTurn(ask: () => void): void {
    if (this.#late.length > 0 || this.#asking.isFull) this.#late.push(ask)
    else ask()
  }

  #listen(): void {
    if (this.#listening || this.#waiting.length === 0) return
    this.#listening = true
    const asking = this.#asking
    const answered = asking.answered() ?? Promise.resolve()
    void answered.then(() => {
      if (asking !== this.#asking) return
      this.#listening = false
      this.#take()
      this.#listen()
    })
  }

  /** Tells who waits what is answered. */
  #take(): void {
    const asking = this.#asking
    let count = 0
    for (let outcome = asking.take(); outcome >= 0; outcome = asking.take()) {
      const { resolve, reject } = this.#waiting[count++]!
      if (outcome !== Outcome.Letter) {
        resolve(outcome === Outcome.Yes)
        continue
      }
      const { error, value } = (receiveMessageOnPort(this.#letters!) as { message: LetterReply }).message
      if (error === undefined) resolve(value)
      else reject(new StorageError(error))
    }
    this.#waiting.splice(0, count)
    while (this.#late.length > 0 && !asking.isFull) this.#late.shift()!()
  }

  /** The thread is gone: what it did of what it has not answered is not known. Another takes its place. */
  #lost(reason: string): void {
    if (!this.#worker) return
    this.#worker = null
    this.#take()
    this.#listening = false
    this.#flushes += this.#asking.flushes
    this.#asking = new Asking(newShared())
    empty(this.#late)
    for (const { reject } of this.#waiting.splice(0)) reject(new StorageError(reason))
    if (!this.#closing) this.#restart()
  }

  #restart(): void {
    setTimeout(() => {
      if (!this.#closing) this.#start().catch(() => this.#restart())
    }, RESTART_MS).unref()
  }

  async close(): Promise<void> {
    this.#closing = true
    const worker = this.#worker
    if (!worker) return
    const ended = new Promise((resolve) => worker.once('exit', resolve))
    this.#inTurn(() => this.#asking.ask(Kind.Close))
    await ended
  }
}
