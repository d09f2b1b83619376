// What fragments say to each other, through its bytes; and lock keys as they are written for homes.
import test from 'ava'
import { parseLockKey, writeLockKey } from '../../tc-core/core/lock-key.ts'
import { ShortInput, Writer } from '../../tc-core/wire/bytes.ts'
import { type HomeMessage, homeMessages, readHomeMessage, writeHomeMessage } from '../../tc-core/wire/home.ts'
import { type Random, random } from './random.ts'

/** Any value of a field, told by what the field is initially. */
function someValue(initial: unknown, r: Random): unknown {
  if (typeof initial === 'bigint') return BigInt(r.below(2 ** 31)) << BigInt(r.below(32))
  if (typeof initial === 'boolean') return r.next() < 0.5
  if (typeof initial === 'number') return r.below(2 ** 30)
  if (typeof initial === 'string') return 'äx:1,'.repeat(r.below(20))
  return Array.from({ length: r.below(5) }, () => someValue(0n, r))
}

function bytesOf(message: HomeMessage): Buffer {
  const w = new Writer(16)
  writeHomeMessage(w, message)
  return Buffer.from(w.written)
}

test('every message is read as it was written', (t) => {
  const r = random(1)
  t.is(homeMessages.tables.length, 9)
  for (const table of homeMessages.tables) {
    for (let n = 0; n < 50; n++) {
      const message: Record<string, unknown> = { type: table.code }
      for (const [name, field] of table.entries) message[name] = someValue(field.initial, r)
      t.deepEqual(
        readHomeMessage(bytesOf(message as unknown as HomeMessage)),
        message as unknown as HomeMessage,
        table.name
      )
    }
  }
})

test('a message of a kind that this version does not know is as if it were lost; one that is cut off is an error', (t) => {
  t.is(readHomeMessage(Buffer.from([99, 1, 2, 3])), null)
  const bytes = bytesOf({ type: 3, xid: 'h:1:2', branchIds: [1n, 2n] })
  for (let n = 0; n < bytes.length; n++)
    t.throws(() => readHomeMessage(bytes.subarray(0, n)), { is: ShortInput.instance })
})

test('a lock key that is written from rows is read as these rows, those of one table together', (t) => {
  const r = random(2)
  for (let n = 0; n < 500; n++) {
    const rows = Array.from({ length: r.below(8) }, () => ({
      table: r.pick(['t', 'u', '', 'a,b', 'ü']),
      pk: r.pick(['1', '2', ' 3', 'a:b', 'x_y'])
    }))
    const read = parseLockKey(writeLockKey(rows))
    const byTable = [...Map.groupBy(rows, ({ table }) => table).values()].flat()
    t.deepEqual(read, byTable)
  }
})
