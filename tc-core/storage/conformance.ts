// What a store must keep for the log to be safe on it: one suite for every engine, and for a user's own store.
import type { Lane, Storage } from './port.ts'

export interface Check {
  readonly name: string
  /** What breaks without it. */
  readonly why: string
  /** Throws when the store does not keep it. `open` gives another connection to the same data; `key` makes keys that nobody else uses. */
  run(open: () => Promise<Storage>, key: (name: string) => string): Promise<void>
}

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(what)
}

function same(a: Uint8Array | null, b: Uint8Array): boolean {
  return a !== null && Buffer.compare(a, b) === 0
}

const bytes = (text: string) => Buffer.from(text)

async function lanes(open: () => Promise<Storage>, count: number): Promise<Lane[]> {
  const storages = await Promise.all(Array.from({ length: count }, open))
  return storages.map((storage, i) => storage.lane(`check-${i}`))
}

export const CHECKS: readonly Check[] = [
  {
    name: 'set-if-absent writes once',
    why: 'an index of the log has one writer for ever',
    async run(open, key) {
      const [lane] = await lanes(open, 1)
      const k = key('once')
      expect((await lane!.setIfAbsent(k, bytes('first'))) === true, 'the first write was refused')
      expect((await lane!.setIfAbsent(k, bytes('second'))) === false, 'the second write was taken')
      expect((await lane!.setIfAbsent(k, bytes('first'))) === false, 'the same bytes were written twice')
      expect(same(await lane!.get(k), bytes('first')), 'the value changed')
    }
  },
  {
    name: 'of many writers of one key exactly one is told that it wrote, and its value stands',
    why: 'two leaders would both believe that they lead',
    async run(open, key) {
      const writers = await lanes(open, 8)
      for (let round = 0; round < 25; round++) {
        const k = key(`race-${round}`)
        const wrote = await Promise.all(writers.map((lane, i) => lane.setIfAbsent(k, bytes(`writer ${i}`))))
        const winners = wrote.flatMap((won, i) => (won ? [i] : []))
        expect(winners.length === 1, `${winners.length} writers were told that they wrote`)
        for (const lane of writers)
          expect(same(await lane.get(k), bytes(`writer ${winners[0]}`)), 'another value stands')
      }
    }
  },
  {
    name: 'a read that begins after a confirmed write sees it, over every connection',
    why: 'a replica would take the end of the log for the end when it is not',
    async run(open, key) {
      const [writer, ...readers] = await lanes(open, 4)
      for (let i = 0; i < 50; i++) {
        const k = key(`seen-${i}`)
        await writer!.setIfAbsent(k, bytes(`${i}`))
        const values = await Promise.all(readers.map((reader) => reader.get(k)))
        expect(
          values.every((value) => same(value, bytes(`${i}`))),
          'a confirmed write was not seen'
        )
        const many = await Promise.all(readers.map((reader) => reader.getMany([k])))
        expect(
          many.every(([value]) => same(value ?? null, bytes(`${i}`))),
          'a confirmed write was not seen by a read of many'
        )
      }
    }
  },
  {
    name: 'what is called first on one lane takes effect first',
    why: 'a claim is checked by reads behind it on the same connection',
    async run(open, key) {
      const [lane, other] = await lanes(open, 2)
      const k = key('order')
      await Promise.all(Array.from({ length: 50 }, (_, i) => lane!.set(k, bytes(`${i}`))))
      expect(same(await other!.get(k), bytes('49')), 'writes overtook each other')
    }
  },
  {
    name: 'bytes come back as they were: every byte value, small and large, under long keys',
    why: 'records and snapshots are binary',
    async run(open, key) {
      const [lane, other] = await lanes(open, 2)
      const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
      const large = Buffer.alloc(1024 * 1024, all)
      for (const [name, value] of [
        ['all', all],
        ['one', bytes('x')],
        ['large', large],
        ['k'.repeat(120), all]
      ] as const) {
        await lane!.setIfAbsent(key(name), value)
        expect(same(await other!.get(key(name)), value), `a value of ${value.length} bytes changed`)
      }
    }
  },
  {
    name: 'a read of many gives the values in the order of the keys, and nothing where nothing is',
    why: 'replay reads ahead and stops at the first missing index',
    async run(open, key) {
      const [lane] = await lanes(open, 1)
      await lane!.setIfAbsent(key('many-b'), bytes('b'))
      await lane!.setIfAbsent(key('many-d'), bytes('d'))
      const values = await lane!.getMany(['a', 'b', 'c', 'd', 'b'].map((name) => key(`many-${name}`)))
      const found = values.map((value) => value?.toString() ?? null)
      expect(JSON.stringify(found) === '[null,"b",null,"d","b"]', `it gave ${JSON.stringify(found)}`)
      expect((await lane!.get(key('many-a'))) === null, 'an absent key has a value')
      expect((await lane!.getMany([])).length === 0, 'nothing asked for, and something given')
    }
  },
  {
    name: 'set overwrites, delete removes, and a deleted key can be written again',
    why: 'hints are overwritten, covered records are trimmed',
    async run(open, key) {
      const [lane, other] = await lanes(open, 2)
      const names = ['a', 'b', 'c'].map((name) => key(`delete-${name}`))
      await lane!.set(names[0]!, bytes('1'))
      await lane!.set(names[0]!, bytes('2'))
      expect(same(await other!.get(names[0]!), bytes('2')), 'a second set did not overwrite')
      for (const name of names) await lane!.set(name, bytes('x'))
      await lane!.delete([names[0]!, names[1]!, key('delete-absent')])
      expect(
        (await other!.get(names[0]!)) === null && (await other!.get(names[1]!)) === null,
        'a deleted key has a value'
      )
      expect(same(await other!.get(names[2]!), bytes('x')), 'a key was deleted that nobody named')
      expect(await lane!.setIfAbsent(names[0]!, bytes('again')), 'a deleted key cannot be written')
      await lane!.delete([])
    }
  },
  {
    name: 'what is confirmed is there for who opens the store later',
    why: 'a start finds everything that was acknowledged',
    async run(open, key) {
      const [lane] = await lanes(open, 1)
      await lane!.setIfAbsent(key('kept'), bytes('kept'))
      const [later] = await lanes(open, 1)
      expect(same(await later!.get(key('kept')), bytes('kept')), 'it is not')
    }
  }
]
