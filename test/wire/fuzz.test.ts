// Every message there is, in every form: whatever is generated from its table comes back, and a body cut short is short input.
import test from 'ava'
import fc from 'fast-check'
import { Reader, ShortInput, Writer } from '../../tc-core/wire/bytes.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { type AnyMessage, skipFields } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { hex } from './frames.ts'
import { dialects, messageOf, normal, runs } from './generate.ts'

function write(message: AnyMessage, d: Dialect, w = new Writer(512 * 1024)): Buffer {
  m.writeBody(w, message, d)
  return Buffer.from(w.written)
}

function thrownBy(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  return undefined
}

for (const t of m.messages.tables) {
  test(`${t.name}: whatever is generated is read as it was meant, in every form, and written back the same`, (a) => {
    for (const d of dialects) {
      const roundTrip = (message: AnyMessage) => {
        const body = write(message, d)
        const r = new Reader(body)
        const read = m.readBody(r, d)
        a.is(r.left, 0)
        a.deepEqual(read, normal(message, d))
        a.true(write(read, d).equals(body))
      }
      fc.assert(fc.property(messageOf(t), roundTrip), runs(60))
    }
  })

  test(`${t.name}: a body that is cut short, at whatever byte, is short input`, (a) => {
    for (const d of dialects) {
      const cutShort = (message: AnyMessage) => {
        const body = write(message, d)
        // Of long texts the middle tells nothing that their ends do not.
        for (let n = 0; n < body.length; n = n === 400 && body.length > 800 ? body.length - 400 : n + 1) {
          const error = thrownBy(() => m.readBody(new Reader(body, 0, n), d))
          if (!m.isBadBody(error) || error !== ShortInput.instance) throw error ?? new Error(`${n} bytes are enough`)
        }
      }
      fc.assert(fc.property(messageOf(t), cutShort), runs(10))
    }
    a.pass()
  })
}

for (const t of m.messages.tables.filter((t) => t.entries.every(([, field]) => !field.when) && !t.sized)) {
  test(`${t.name}: skipping its fields moves as far as reading them`, (a) => {
    const skip = (message: AnyMessage) => {
      const body = Buffer.concat([write(message, { version: 1, shortMsg: false }), hex('ffff')])
      const r = new Reader(body, 2)
      skipFields(t, r)
      return r.left === 2
    }
    fc.assert(fc.property(messageOf(t), skip), runs(100))
    a.pass()
  })
}

test('a writer that has to grow writes what a large one does', (t) => {
  const growing = fc.property(
    fc.constantFrom(...m.messages.tables).chain(messageOf),
    fc.constantFrom(0, 1, 2),
    (said, v) => {
      const d = { version: v as 0 | 1 | 2, shortMsg: false }
      return write(said, d, new Writer(1)).equals(write(said, d))
    }
  )
  fc.assert(growing, runs(500))
  t.pass()
})
