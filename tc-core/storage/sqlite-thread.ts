// The database thread: everything that waits here when it wakes up is one transaction, and answered when that is on disk.
import type { DatabaseSync } from 'node:sqlite'
import { type MessagePort, parentPort, receiveMessageOnPort, Worker, workerData } from 'node:worker_threads'
import { Answering, Kind, type Letter, type LetterReply, Outcome, type SqliteThreadData } from './sqlite-protocol.ts'
import { openDatabase, Tables } from './sqlite-tables.ts'

/** Pages of the write-ahead log after which it is written back: small enough to stay in the cache, large enough to be seldom. */
const CHECKPOINT_PAGES = 2_000
const PAGE_BYTES = 4096

/** A checkpoint flushes the log and the database; it is done in two steps. */
const FLUSHES_PER_CHECKPOINT = 4

const { path, shared, letters } = workerData as SqliteThreadData
const port = parentPort as unknown as MessagePort
const asked = new Answering(shared)

function serve(db: DatabaseSync): void {
  const tables = new Tables(db)
  const checkpoints = new Checkpoints(db)

  const write = (kind: number, key: string, value: Uint8Array): boolean => {
    if (kind === Kind.SetIfAbsent) return tables.setIfAbsent(key, value)
    tables.set(key, value)
    return true
  }

  const perform = (letter: Letter): unknown => {
    switch (letter.kind) {
      case 'getMany':
        return letter.keys.map((key) => tables.get(key))
      case 'delete':
        for (const key of letter.keys) tables.delete(key)
        return undefined
      default:
        return write(letter.kind, letter.key, letter.value)
    }
  }

  /** All or, when anything fails, none: then every caller is told that it failed. */
  const commit = (count: number): void => {
    const opened: Letter[] = []
    for (let n = 0; n < count; n++)
      if (asked.kind(n) === Kind.Letter) opened.push((receiveMessageOnPort(letters) as { message: Letter }).message)
    const replies: LetterReply[] = []
    const single = count === 1 && opened[0]?.kind !== 'delete'
    let pages = 0
    try {
      if (!single) tables.begin()
      for (let n = 0; n < count; n++) {
        const kind = asked.kind(n)
        if (kind === Kind.Letter) {
          const letter = opened[replies.length]!
          replies.push({ value: perform(letter) })
          asked.outcome(n, Outcome.Letter)
          pages += pagesOfLetter(letter)
        } else {
          const value = asked.value(n)
          asked.outcome(n, write(kind, asked.key(n), value) ? Outcome.Yes : Outcome.No)
          pages += pagesOf(value)
        }
      }
      if (!single) tables.commit()
      if (pages > 0) asked.flushed(1)
    } catch (error) {
      tables.rollback()
      replies.length = 0
      for (let n = 0; n < count; n++) {
        replies.push({ error: (error as Error).message })
        asked.outcome(n, Outcome.Letter)
      }
    }
    for (const reply of replies) letters.postMessage(reply)
    asked.answer(count)
    checkpoints.wrote(pages)
  }

  for (;;) {
    const count = asked.wait()
    checkpoints.look()
    let n = 0
    while (n < count && asked.kind(n) !== Kind.Close) n++
    if (n > 0) commit(n)
    if (n < count) break
  }
  checkpoints.end()
  db.close()
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

  wrote(pages: number): void {
    this.#pages += pages
    if (this.#pages < CHECKPOINT_PAGES || this.#running) return
    this.#running = true
    this.#helper ??= this.#start()
    asked.askCheckpoint()
  }

  #start(): Worker {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const helper = new Worker(new URL(`./sqlite-checkpoint.${extension}`, import.meta.url), {
      workerData: { path, shared }
    })
    helper.unref()
    return helper
  }

  /** Does what is left to do when the helper has done its part. */
  look(): void {
    if (!asked.checkpointed) return
    this.#running = false
    this.#pages = 0
    asked.flushed(FLUSHES_PER_CHECKPOINT)
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

function pagesOf(value: Uint8Array): number {
  return 1 + Math.ceil(value.length / PAGE_BYTES)
}

function pagesOfLetter(letter: Letter): number {
  if (letter.kind === 'getMany') return 0
  return letter.kind === 'delete' ? letter.keys.length : pagesOf(letter.value)
}

try {
  const db = openDatabase(path)
  port.postMessage(null)
  serve(db)
} catch (error) {
  port.postMessage((error as Error).message)
  port.close()
}
