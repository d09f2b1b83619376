// The tables of SQLite's engine. A log's records lie by number: a table by text has an index besides, and where one page is changed by an
// append now, it was two. All other keys lie by name.
import { DatabaseSync } from 'node:sqlite'

/** Of the tables below, as the database itself says. What a later version has made is not opened. */
const LAYOUT = 2

/** Another process may hold the database for so long before a write fails, ms. */
const BUSY_MS = 5_000

/** A record's key ends with this, and the digits of its index. */
const RECORD = ':e:'
const DIGITS = 14
/** A row of `records` is numbered by its log and its index in it: 53 bits, all that a double holds. */
const INDEXES = 2 ** 40
const MAX_LOGS = 2 ** 13 - 1

/** Not the number of any row: the key lies by name, or nowhere. */
const BY_NAME = -1

interface Value {
  readonly v: Uint8Array
}

/** Opens, or makes, the database at `path`. */
export function openDatabase(path: string): DatabaseSync {
  const db = new DatabaseSync(path)
  db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`)
  // FULL: a commit is flushed before it returns. Checkpoints are begun by who writes, beside the writing.
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0')
  if (layoutOf(db) !== LAYOUT) makeTables(db)
  return db
}

function layoutOf(db: DatabaseSync): number {
  return (db.prepare('PRAGMA user_version').get() as { user_version: number }).user_version
}

function makeTables(db: DatabaseSync): void {
  db.exec('BEGIN IMMEDIATE')
  try {
    const layout = layoutOf(db)
    if (layout > LAYOUT)
      throw new Error(`a later version has made it: its layout is ${layout}, and ${LAYOUT} is known here`)
    // Another process may have been faster.
    if (layout < LAYOUT) {
      // With a rowid, values of up to a page lie in the table's leaves; WITHOUT ROWID each of some KB has a page of its own.
      db.exec(`
        CREATE TABLE logs (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE records (n INTEGER PRIMARY KEY, v BLOB NOT NULL);
        CREATE TABLE named (k TEXT PRIMARY KEY, v BLOB NOT NULL)`)
      moveFromFirstLayout(db)
      db.exec(`PRAGMA user_version = ${LAYOUT}`)
    }
    db.exec('COMMIT')
    // What moved was one commit, and the write-ahead log never gets shorter by itself.
    db.exec('PRAGMA wal_checkpoint(TRUNCATE)')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    db.close()
    throw error
  }
}

/** Where the first layout had all, the table `kv`, there is something else from now on: a program that knows no other must not begin anew. */
function moveFromFirstLayout(db: DatabaseSync): void {
  const isThere = db.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'kv'").get() !== undefined
  if (isThere) {
    const tables = new Tables(db)
    for (const { k, v } of db.prepare('SELECT k, v FROM kv').iterate() as Iterable<Value & { k: string }>) {
      tables.setIfAbsent(k, v)
    }
    db.exec('DROP TABLE kv')
  }
  db.exec("CREATE VIEW kv AS SELECT 'made by a later version' AS unreadable")
}

export class Tables {
  readonly #db: DatabaseSync
  readonly #statements
  /** Numbers of logs, as far as they were asked for. */
  readonly #logs = new Map<string, number>()

  constructor(db: DatabaseSync) {
    this.#db = db
    this.#statements = {
      begin: db.prepare('BEGIN IMMEDIATE'),
      commit: db.prepare('COMMIT'),
      record: statementsOf(db, 'records', 'n'),
      named: statementsOf(db, 'named', 'k'),
      log: db.prepare('SELECT number FROM logs WHERE name = ?'),
      newLog: db.prepare(`INSERT INTO logs (name) SELECT ? WHERE (SELECT count(*) FROM logs) < ${MAX_LOGS}
        ON CONFLICT DO NOTHING`)
    }
  }

  begin(): void {
    this.#statements.begin.run()
  }

  commit(): void {
    this.#statements.commit.run()
  }

  /** After whatever went wrong. */
  rollback(): void {
    // Numbers that were given meanwhile are free again, and another process may give them to other logs.
    this.#logs.clear()
    if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
  }

  /** False: another value is there. */
  setIfAbsent(key: string, value: Uint8Array): boolean {
    const n = this.#place(key, true)
    const { record, named } = this.#statements
    const { changes } = n === BY_NAME ? named.insert.run(key, value) : record.insert.run(n, value)
    return Number(changes) === 1
  }

  set(key: string, value: Uint8Array): void {
    const n = this.#place(key, true)
    const { record, named } = this.#statements
    if (n === BY_NAME) named.upsert.run(key, value)
    else record.upsert.run(n, value)
  }

  get(key: string): Uint8Array | null {
    const n = this.#place(key, false)
    const { record, named } = this.#statements
    const row = (n === BY_NAME ? named.select.get(key) : record.select.get(n)) as Value | undefined
    return row?.v ?? null
  }

  delete(key: string): void {
    const n = this.#place(key, false)
    const { record, named } = this.#statements
    if (n === BY_NAME) named.remove.run(key)
    else record.remove.run(n)
  }

  /** The number of a record's row; BY_NAME for all that is none, or has an index too many, or is of a log without a number. */
  #place(key: string, gives: boolean): number {
    const index = indexIn(key)
    if (index < 0 || index >= INDEXES) return BY_NAME
    const name = key.slice(0, -DIGITS)
    const log = this.#logs.get(name) ?? this.#find(name, gives)
    return log === undefined ? BY_NAME : log * INDEXES + index
  }

  /** A log's number. What is written gives it one, unless there are as many as can be: then it never gets one, for none is ever free again. */
  #find(name: string, gives: boolean): number | undefined {
    if (gives) this.#statements.newLog.run(name)
    const row = this.#statements.log.get(name) as { number: number } | undefined
    if (row) this.#logs.set(name, row.number)
    return row?.number
  }
}

function statementsOf(db: DatabaseSync, table: string, key: string) {
  const insert = `INSERT INTO ${table} (${key}, v) VALUES (?, ?) ON CONFLICT`
  return {
    insert: db.prepare(`${insert} DO NOTHING`),
    upsert: db.prepare(`${insert} DO UPDATE SET v = excluded.v`),
    select: db.prepare(`SELECT v FROM ${table} WHERE ${key} = ?`),
    remove: db.prepare(`DELETE FROM ${table} WHERE ${key} = ?`)
  }
}

/** The index at the end of a record's key; -1: it is not the key of one. */
function indexIn(key: string): number {
  const at = key.length - DIGITS
  if (at < RECORD.length || !key.startsWith(RECORD, at - RECORD.length)) return -1
  let index = 0
  for (let i = at; i < key.length; i++) {
    const digit = key.charCodeAt(i) - 48
    if (digit < 0 || digit > 9) return -1
    index = index * 10 + digit
  }
  return index
}
