// The embedded engine for one machine: SQLite (Node's own, node:sqlite) in WAL mode, in a thread of its own.
// A commit costs one flush of a file that does not grow (LMDB: two), so an append is confirmed in less than half the time.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { SeataError } from '../wire/errors.ts'
import { type Lane, type Storage, StorageError } from './port.ts'
import { type Operation, type Reply, Ring, type SqliteThreadData } from './sqlite-protocol.ts'

const RING_BYTES = 8 * 1024 * 1024
const RESTART_MS = 500

interface Waiting {
  resolve(value: unknown): void
  reject(error: Error): void
  /** Where the ring is free up to when this is answered; 0 when the value took another way. */
  readonly ringEnd: number
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
    return this.#thread.write('setIfAbsent', key, value) as Promise<boolean>
  }

  async get(key: string): Promise<Buffer | null> {
    const [value] = await this.getMany([key])
    return value!
  }

  async getMany(keys: readonly string[]): Promise<(Buffer | null)[]> {
    const values = (await this.#thread.call({ kind: 'getMany', keys })) as (Uint8Array | null)[]
    return values.map((value) => value && Buffer.from(value.buffer, value.byteOffset, value.byteLength))
  }

  async set(key: string, value: Uint8Array): Promise<void> {
    await this.#thread.write('set', key, value)
  }

  async delete(keys: readonly string[]): Promise<void> {
    await this.#thread.call({ kind: 'delete', keys })
  }
}

/** The other side of sqlite-thread.ts. Answers come in the order of the calls. */
class SqliteThread {
  readonly #path: string
  readonly #ring = new Ring(new SharedArrayBuffer(RING_BYTES))
  readonly #flushes = new Int32Array(new SharedArrayBuffer(4))
  readonly #waiting: Waiting[] = []
  #worker: Worker | null = null
  #closing = false
  /** Rejects when the database cannot be opened. */
  readonly started: Promise<void>

  constructor(path: string) {
    this.#path = path
    this.started = this.#start()
  }

  #start(): Promise<void> {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const workerData: SqliteThreadData = { path: this.#path, ring: this.#ring.shared, flushes: this.#flushes.buffer }
    const worker = new Worker(new URL(`./sqlite-thread.${extension}`, import.meta.url), { workerData })
    return new Promise((resolve, reject) => {
      worker.once('message', (error: string | null) => {
        if (error !== null) return reject(new Error(error))
        this.#worker = worker
        worker.on('message', (replies: Reply[]) => this.#answered(replies))
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
    return this.#flushes[0]!
  }

  write(kind: 'setIfAbsent' | 'set', key: string, value: Uint8Array): Promise<unknown> {
    const at = this.#ring.put(value)
    if (at < 0) return this.call({ kind, key, value: Buffer.from(value) })
    return this.call({ kind, key, at, length: value.length }, this.#ring.end)
  }

  call(operation: Operation, ringEnd = 0): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!this.#worker) return reject(new StorageError('the database thread is not running'))
      this.#waiting.push({ resolve, reject, ringEnd })
      this.#worker.postMessage(operation)
    })
  }

  #answered(replies: readonly Reply[]): void {
    const answered = this.#waiting.splice(0, replies.length)
    for (const [i, { resolve, reject, ringEnd }] of answered.entries()) {
      if (ringEnd > 0) this.#ring.free(ringEnd)
      const { error, value } = replies[i]!
      if (error === undefined) resolve(value)
      else reject(new StorageError(error))
    }
  }

  /** The thread is gone: what it did of what was asked is not known. Another takes its place. */
  #lost(reason: string): void {
    if (!this.#worker) return
    this.#worker = null
    for (const { reject } of this.#waiting.splice(0)) reject(new StorageError(reason))
    this.#ring.clear()
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
    worker.postMessage({ kind: 'close' } satisfies Operation)
    await ended
  }
}
