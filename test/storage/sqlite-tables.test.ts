// SQLite's tables: whatever its key looks like, a value is found again and by nobody else's key; and databases of earlier and of later versions.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import test from 'ava'
import { openSqlite } from '../../tc-core/storage/sqlite.ts'
import { openDatabase, Tables } from '../../tc-core/storage/sqlite-tables.ts'
import { random } from '../core/random.ts'

const directory = mkdtempSync(join(tmpdir(), 'seata-tables-'))
test.after.always(() => rmSync(directory, { recursive: true, force: true }))
let made = 0
const newPath = () => join(directory, `${++made}.db`)

const bytes = (text: string) => Buffer.from(text)
const text = (value: Uint8Array | null) => value && Buffer.from(value).toString()
const record = (log: string, index: number | string) => `{${log}}:e:${String(index).padStart(14, '0')}`

/** Records, and keys that are nearly such: each is another. */
const KEYS = [
  record('c:0', 0),
  record('c:0', 1),
  record('c:1', 1),
  record('c:0', 2 ** 40 - 1),
  record('c:0', 2 ** 40),
  record('c:0', 2 ** 40 + 1),
  record('c:0', 99_999_999_999_999),
  record('c:0', '1e5'),
  record('c:0', 100_000),
  record('c:0', 10),
  record('c:0', '0:'),
  record('c:0', '-1'),
  record('c:0', ' 1'),
  record('c:0', '٣'),
  '{c:0}:e:0000000000001',
  '{c:0}:e:000000000000001',
  '{c:0}:s:00000000000001',
  '{c:0}:c:00000000000001:00000000000001',
  '{c:0}:e:00000000000001:e:00000000000001',
  ':e:00000000000001',
  'e:00000000000001',
  '00000000000001',
  '{c:0}:hint',
  ''
]

test('values are found by their own key and by no other, as in a Map', (t) => {
  const db = openDatabase(newPath())
  const tables = new Tables(db)
  const known = new Map<string, string>()
  const r = random(5)
  for (let i = 0; i < 4000; i++) {
    const key = r.pick(KEYS)
    const value = `${i}`
    switch (r.below(3)) {
      case 0:
        t.is(tables.setIfAbsent(key, bytes(value)), !known.has(key), key)
        if (!known.has(key)) known.set(key, value)
        break
      case 1:
        tables.set(key, bytes(value))
        known.set(key, value)
        break
      default:
        tables.delete(key)
        known.delete(key)
    }
    if (i % 50 === 0) for (const one of KEYS) t.is(text(tables.get(one)), known.get(one) ?? null, one)
  }
  db.close()
})

test('more logs than can have a number: the others are kept by name', (t) => {
  const path = newPath()
  const db = openDatabase(path)
  const tables = new Tables(db)
  tables.begin()
  for (let log = 0; log < 8300; log++) t.true(tables.setIfAbsent(record(`c:${log}`, 7), bytes(`${log}`)))
  tables.commit()
  const again = new Tables(db)
  for (const log of [0, 1, 8190, 8191, 8192, 8299]) {
    t.is(text(again.get(record(`c:${log}`, 7))), `${log}`)
    t.false(again.setIfAbsent(record(`c:${log}`, 7), bytes('other')))
    again.delete(record(`c:${log}`, 7))
    t.is(again.get(record(`c:${log}`, 7)), null)
  }
  t.is(again.get(record('c:9000', 7)), null)
  again.delete(record('c:9000', 7))
  db.close()
})

test('the number of a log is given with the transaction, or not at all', (t) => {
  const path = newPath()
  const [one, other] = [openDatabase(path), openDatabase(path)]
  const [a, b] = [new Tables(one), new Tables(other)]
  a.begin()
  a.setIfAbsent(record('a', 1), bytes('a'))
  a.rollback()
  t.true(b.setIfAbsent(record('b', 1), bytes('b')))
  t.is(a.get(record('a', 1)), null)
  t.true(a.setIfAbsent(record('a', 1), bytes('a')))
  t.is(text(b.get(record('a', 1))), 'a')
  t.is(text(a.get(record('b', 1))), 'b')
  one.close()
  other.close()
})

/** As the first layout was made, and used. */
const FIRST = 'CREATE TABLE IF NOT EXISTS kv (k TEXT PRIMARY KEY, v BLOB NOT NULL)'
const INSERT = 'INSERT INTO kv (k, v) VALUES (?, ?) ON CONFLICT DO NOTHING'

test('a database of the first layout is taken over whole, and not opened any more by who knows no other', (t) => {
  const path = newPath()
  const old = new DatabaseSync(path)
  old.exec(`PRAGMA journal_mode = WAL; ${FIRST}`)
  const insert = old.prepare(INSERT)
  for (const [i, key] of KEYS.entries()) insert.run(key, bytes(`${i}`))

  const db = openDatabase(path)
  const tables = new Tables(db)
  for (const [i, key] of KEYS.entries()) {
    t.is(text(tables.get(key)), `${i}`, key)
    t.false(tables.setIfAbsent(key, bytes('other')), key)
  }
  // One that is open still, and one that is opened now: neither finds an empty store.
  t.throws(() => insert.run('new', bytes('x')))
  old.exec(FIRST)
  t.throws(() => old.prepare(INSERT))
  db.close()
  old.close()

  const again = openDatabase(path)
  t.is(text(new Tables(again).get(KEYS[1]!)), '1')
  again.close()
})

test('a database of a later layout is not opened', async (t) => {
  const folder = mkdtempSync(join(directory, 'later-'))
  const db = openDatabase(join(folder, 'seata.db'))
  db.exec('PRAGMA user_version = 3')
  db.close()
  await t.throwsAsync(openSqlite(folder), { code: 'SEATA_STORE_OPEN_FAILED', message: /a later version has made it/ })
})
