// Messages generated from the tables themselves: a new table needs nothing here, a new kind of field one line.
// FUZZ_SEED and FUZZ_FACTOR choose other runs and more of them; a failure prints its seed and the smallest case.
import fc, { type Arbitrary } from 'fast-check'
import * as fields from '../../tc-core/wire/fields.ts'
import type { AnyMessage, Table } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'

const factor = Number(process.env.FUZZ_FACTOR ?? 1)
export const runs = (numRuns: number) => ({ seed: Number(process.env.FUZZ_SEED ?? 20260), numRuns: numRuns * factor })

export const dialects = ([0, 1, 2] as const).flatMap((version) =>
  [false, true].map((shortMsg): fields.Dialect => ({ version, shortMsg }))
)

// Long texts stop around the places where they are cut; half surrogates come from single UTF-16 units.
const long = fc
  .tuple(fc.constantFrom(255, 32767), fc.integer({ min: -5, max: 5 }), fc.constantFrom('a', 'ö', '€', '😀'), fc.nat(3))
  .map(([max, more, character, before]) => {
    const size = Buffer.byteLength(character)
    return 'x'.repeat(before) + character.repeat(Math.ceil((max + more - before) / size))
  })
const text = fc.oneof(
  { weight: 8, arbitrary: fc.string({ maxLength: 12 }) },
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
  { weight: 2, arbitrary: fc.array(fc.nat(0xffff), { maxLength: 6 }).map((units) => String.fromCharCode(...units)) },
  { weight: 1, arbitrary: long }
)

/** What comes of a text that is sent: whole characters up to `max` bytes. */
function sent(text: string, max: number): string {
  let kept = ''
  let bytes = 0
  for (const character of text.toWellFormed()) {
    bytes += Buffer.byteLength(character)
    if (bytes > max) break
    kept += character
  }
  return kept
}

interface Kind {
  readonly values: Arbitrary<unknown>
  /** What the value is after it was sent, where that is something else. */
  sent?(value: any, d: fields.Dialect): unknown
}

const plainMessage = fc.constantFrom(...m.plain.tables).chain((t) => messageOf(t))

/** How to generate a kind of field: known by how it is written, for `when` makes other objects of them. */
const kinds = new Map<unknown, Kind>([
  [fields.u8.write, { values: fc.oneof(fc.constantFrom(0, 1), fc.nat(255)) }],
  [fields.i8.write, { values: fc.integer({ min: -128, max: 127 }) }],
  [fields.u16.write, { values: fc.nat(0xffff) }],
  [fields.i32.write, { values: fc.integer() }],
  [fields.u53.write, { values: fc.maxSafeNat() }],
  [fields.i64.write, { values: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }) }],
  [fields.bool8.write, { values: fc.boolean() }],
  [fields.bool16.write, { values: fc.boolean() }],
  [fields.str16.write, { values: text, sent: (v) => sent(v, 32767) }],
  [fields.str32.write, { values: text, sent: (v) => sent(v, Infinity) }],
  [fields.msg.write, { values: text, sent: (v, d) => sent(v, d.shortMsg ? 255 : 32767) }],
  [
    m.MergedWarp.fields.messages.write,
    {
      values: fc.array(plainMessage, { maxLength: 4 }),
      sent: (v: AnyMessage[], d) => v.map((inner) => normal(inner, d))
    }
  ],
  [m.MergedWarp.fields.msgIds.write, { values: fc.array(fc.integer(), { maxLength: 5 }) }]
])

function kindOf(t: Table, name: string): Kind {
  const kind = kinds.get(t.fields[name]!.write)
  if (!kind) throw new Error(`nothing generates the field ${name} of ${t.name}`)
  return kind
}

export function messageOf(t: Table): Arbitrary<AnyMessage> {
  const values = t.entries.map(([name]) => [name, kindOf(t, name).values] as const)
  return fc.record(Object.fromEntries(values)).map((fields) => ({ type: t.code, ...fields }))
}

/** The message as the other side reads it: what is not on the wire as its initial value. */
export function normal(message: AnyMessage, d: fields.Dialect): AnyMessage {
  const t = m.tableOf(message.type)
  const values = message as unknown as Record<string, unknown>
  const read: Record<string, unknown> = {}
  for (const [name, field] of t.entries) {
    const absent = field.when !== undefined && !field.when(values, d)
    read[name] = absent ? field.initial : (kindOf(t, name).sent?.(values[name], d) ?? values[name])
  }
  return { type: message.type, ...read }
}
