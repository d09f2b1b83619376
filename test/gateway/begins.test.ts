// Where transactions begin: near the rows that they will lock, or with those that begin at the same time.
import test from 'ava'
import { Begins, type Ground } from '../../gateway/begins.ts'
import type { Pending } from '../../gateway/pending.ts'
import { shardingStrategy } from '../../gateway/ring.ts'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { BranchType } from '../../tc-core/wire/codes.ts'
import { isBadBody, writeBody } from '../../tc-core/wire/messages/index.ts'

const ALL = [0, 1, 2, 3, 4, 5, 6, 7]
const DIALECT = { version: 1, shortMsg: false } as const
/** Where each table is guarded. */
const HOMES = { of: (_resourceId: string, name: string) => Number(name.slice(1)) }
const GROUND: Ground = { open: ALL, ring: shardingStrategy('consistent-hash', ALL), homes: HOMES, waiting: 0 }

/** Begins of one gateway, at a time that goes on by itself: 20 ms with each. */
class Script {
  readonly begins = new Begins()
  now = 1000
  #xids = 0

  begin(transactionName: string, more: Partial<Ground> = {}, applicationId = 'app') {
    const w = new Writer()
    const message: { type: number; [field: string]: unknown } = { type: 1, timeout: 60_000, transactionName }
    writeBody(w, message, DIALECT)
    const bytes = Buffer.from(w.written)
    this.now += 20
    const pending = { client: { applicationId }, bytes, start: 0, end: bytes.length, since: this.now } as Pending
    const ground = { ...GROUND, ...more }
    const fragment = this.begins.fragmentOf(pending, ground)
    pending.proposed = `10.0.0.1:8091:${++this.#xids}`
    if (ground.homes) this.begins.begun(pending)
    return { fragment, xid: pending.proposed }
  }

  registers(xid: string, lockKey: string, cut = 0): void {
    const w = new Writer()
    const fields = { branchType: BranchType.AT, resourceId: 'db', lockKey, applicationData: '' }
    const message: { type: number; [field: string]: unknown } = { type: 11, xid, ...fields }
    writeBody(w, message, DIALECT)
    const r = new Reader(Buffer.from(w.written), 2 + 2 + xid.length, w.pos - cut)
    this.begins.registers(xid, r, DIALECT, HOMES)
  }

  /** Where the next few hundred begin, without doubles. */
  places(name: string, more: Partial<Ground> = {}, applicationId = 'app'): number[] {
    const places = Array.from({ length: 300 }, () => this.begin(name, more, applicationId).fragment)
    return [...new Set(places)].sort()
  }
}

function learned(table = 't5'): Script {
  const s = new Script()
  s.registers(s.begin('buy()').xid, `${table}:1,2;t7:3`)
  return s
}

test('transactions begin where the rows are guarded that another of their name and application locked first', (t) => {
  const s = learned()
  t.deepEqual(s.places('buy()'), [5])
  t.deepEqual(s.places('sell()'), ALL)
  t.deepEqual(s.places('buy()', {}, 'another'), ALL)
  t.deepEqual(s.places('buy()'), [5])
})

test('they go along when transactions of their name lock other rows', (t) => {
  const s = learned()
  s.registers(s.begin('buy()').xid, 't2:1')
  t.deepEqual(s.places('buy()'), [2])
})

test('a branch without rows tells nothing, and the next one may', (t) => {
  const s = new Script()
  const { xid } = s.begin('buy()')
  s.registers(xid, '')
  s.registers(xid, 't3:1')
  t.deepEqual(s.places('buy()'), [3])
})

test('they are spread while that fragment takes none, or much waits, or rows of one table have several homes', (t) => {
  const s = learned()
  t.deepEqual(s.places('buy()', { open: [0, 1, 2] }), [0, 1, 2])
  t.deepEqual(s.places('buy()', { waiting: 255 }), [5])
  t.deepEqual(s.places('buy()', { waiting: 256 }), ALL)
  t.deepEqual(s.places('buy()', { homes: null }), ALL)
})

test('one in 10 ms is followed, of the others nothing is looked at', (t) => {
  const s = learned()
  s.begin('buy()')
  s.now -= 20
  const { xid } = s.begin('buy()')
  s.registers(xid, 't1:1')
  t.deepEqual(s.places('buy()'), [5])
})

test('a register of a transaction that is followed, and cannot be read, is told as such', (t) => {
  const s = new Script()
  const { xid } = s.begin('buy()')
  t.true(isBadBody(t.throws(() => s.registers(xid, 't1:1', 8), { any: true })))
})

test('limit: kinds that are remembered, and transactions that are followed; the oldest is forgotten', (t) => {
  const s = new Script()
  const first = s.begin('kind 0')
  for (let i = 1; i <= 64; i++) s.begin(`kind ${i}`)
  s.registers(first.xid, 't1:1')
  t.deepEqual(s.places('kind 0'), ALL)
  for (let i = 0; i < 257; i++) s.registers(s.begin(`kind ${i}`).xid, 't1:1')
  t.deepEqual(s.places('kind 256'), [1])
  t.deepEqual(s.places('kind 1'), [1])
  t.deepEqual(s.places('kind 0'), ALL)
})
