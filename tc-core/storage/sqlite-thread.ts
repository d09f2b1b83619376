// The database thread: everything that waits here when it wakes up is one transaction, and answered when that is on disk.
import { DatabaseSync } from 'node:sqlite'
import { type MessagePort, parentPort, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads'
import { type Operation, type Reply, Ring, type SqliteThreadData } from './sqlite-protocol.ts'

/** Pages of the write-ahead log after which it is written back: small enough to stay in the cache, large enough to be seldom. */
const CHECKPOINT_PAGES = 2_000
const PAGE_BYTES = 4096
/** Another process may hold the database for so long before a write fails, ms. */
const BUSY_MS = 5_000

/** A checkpoint flushes the log and the database; it is done in two steps. */
const FLUSHES_PER_CHECKPOINT = 4

const { path, ring: shared, flushes: counter } = workerData as SqliteThreadData
const port = parentPort as unknown as MessagePort
const ring = new Ring(shared)
const flushes = new Int32Array(counter)

function open(): DatabaseSync {
  const db = new DatabaseSync(path)
  db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`)
  // FULL: a commit is flushed before it returns. Checkpoints are begun below, beside the writing.
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0')
  // With a rowid, values of up to a page lie in the table's leaves; WITHOUT ROWID each of some KB had a page of its own besides, and an
  // append wrote 1.6 times the bytes. A database that an earlier version made stays as it is.
  db.exec('CREATE TABLE IF NOT EXISTS kv (k TEXT PRIMARY KEY, v BLOB NOT NULL)')
  return db
}

function serve(db: DatabaseSync): void {
  const insert = db.prepare('INSERT INTO kv (k, v) VALUES (?, ?) ON CONFLICT DO NOTHING')
  const upsert = db.prepare('INSERT INTO kv (k, v) VALUES (?, ?) ON CONFLICT DO UPDATE SET v = excluded.v')
  const select = db.prepare('SELECT v FROM kv WHERE k = ?')
  const remove = db.prepare('DELETE FROM kv WHERE k = ?')
  const checkpoints = new Checkpoints(db)

  const perform = (operation: Operation): unknown => {
    switch (operation.kind) {
      case 'setIfAbsent':
        return Number(insert.run(operation.key, bytesOf(operation)).changes) === 1
      case 'set':
        return void upsert.run(operation.key, bytesOf(operation))
      case 'getMany':
        return operation.keys.map((key) => (select.get(key) as { v: Uint8Array } | undefined)?.v ?? null)
      case 'delete':
        for (const key of operation.keys) remove.run(key)
        return undefined
      case 'close':
        return undefined
    }
  }

  /** All or, when anything fails, none: then every caller is told that it failed. */
  const commit = (batch: readonly Operation[]): Reply[] => {
    try {
      const single = batch.length === 1 && batch[0]!.kind !== 'delete'
      if (!single) db.exec('BEGIN IMMEDIATE')
      const replies = batch.map((operation) => ({ value: perform(operation) }))
      if (!single) db.exec('COMMIT')
      if (batch.some((operation) => operation.kind !== 'getMany')) flushes[0]!++
      return replies
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK')
      return batch.map(() => ({ error: (error as Error).message }))
    }
  }

  port.on('message', (first: Operation) => {
    const batch = [first]
    for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port))
      batch.push(next.message as Operation)
    const closing = batch.findIndex((operation) => operation.kind === 'close')
    if (closing >= 0) batch.length = closing
    if (batch.length > 0) port.postMessage(commit(batch))
    checkpoints.wrote(batch)
    if (closing < 0) return
    checkpoints.end()
    db.close()
    port.close()
  })
}

function bytesOf(operation: Extract<Operation, { kind: 'setIfAbsent' | 'set' }>): Uint8Array {
  return 'value' in operation ? operation.value : ring.view(operation.at, operation.length)
}

/**
 * Writes the log back into the database. The bulk of it is done by another thread beside the writing; what came in meanwhile is little, and
 * done here, so that the next write finds the log empty and begins it anew: a log that does not grow is flushed in half the time.
 */
class Checkpoints {
  readonly #db: DatabaseSync
  #helper: Worker | null = null
  #running = false
  #pages = 0

  constructor(db: DatabaseSync) {
    this.#db = db
  }

  wrote(batch: readonly Operation[]): void {
    for (const operation of batch) this.#pages += pagesOf(operation)
    if (this.#pages < CHECKPOINT_PAGES || this.#running) return
    this.#running = true
    this.#helper ??= this.#start()
    this.#helper.postMessage('checkpoint')
  }

  #start(): Worker {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const helper = new Worker(new URL(`./sqlite-checkpoint.${extension}`, import.meta.url), { workerData: path })
    helper.on('message', () => this.#finish())
    helper.on('error', () => {
      this.#helper = null
      this.#finish()
    })
    helper.unref()
    return helper
  }

  #finish(): void {
    this.#running = false
    this.#pages = 0
    flushes[0]! += FLUSHES_PER_CHECKPOINT
    try {
      this.#db.exec('PRAGMA wal_checkpoint(PASSIVE)')
    } catch {
      // The disk is full, perhaps: writes say so themselves, and the next checkpoint is tried in its turn.
    }
  }

  end(): void {
    void this.#helper?.terminate()
    this.#helper = null
  }
}

function pagesOf(operation: Operation): number {
  switch (operation.kind) {
    case 'setIfAbsent':
    case 'set':
      return 2 + Math.ceil(('value' in operation ? operation.value.length : operation.length) / PAGE_BYTES)
    case 'delete':
      return operation.keys.length
    default:
      return 0
  }
}

try {
  const db = open()
  port.postMessage(null)
  serve(db)
} catch (error) {
  port.postMessage((error as Error).message)
  port.close()
}
