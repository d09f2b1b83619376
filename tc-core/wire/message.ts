// How a table becomes an encoder, a decoder and a type: the one mechanism behind every message and every logged effect.
import type { Reader, Writer } from './bytes.ts'
import { BadLength, type Dialect, type Field } from './fields.ts'

export type Fields = Readonly<Record<string, Field<any>>>

export interface Table<C extends number = number, F extends Fields = Fields> {
  readonly code: C
  /** Seata's name of the message. */
  readonly name: string
  readonly fields: F
  readonly entries: readonly (readonly [string, Field<any>])[]
  /** An i32 in front counts the bytes of the fields: the envelopes. */
  readonly sized: boolean
}

/** The message that a table describes: its code as `type`, then a property a field. */
export type MessageOf<T> =
  T extends Table<infer C, infer F> ? { type: C } & { [K in keyof F]: F[K] extends Field<infer V> ? V : never } : never

/** A message of any table: its type code, and fields that the table knows. */
export interface AnyMessage {
  readonly type: number
}

/** The bytes of a message are none that could be read, whatever else came. */
export class UnreadableMessage extends Error {}

/** Declares a message: its type code, its name, and its fields in the order of the wire. */
export function table<const C extends number, F extends Fields>(
  code: C,
  name: string,
  fields: F,
  sized = false
): Table<C, F> {
  return { code, name, fields, entries: Object.entries(fields), sized }
}

/** Reads the fields of `t`; throws ShortInput when they are not all there. */
export function readFields<T extends Table>(t: T, r: Reader, d: Dialect): MessageOf<T> {
  const message: Record<string, unknown> = { type: t.code }
  const outerEnd = r.end
  if (t.sized) r.end = envelopeEnd(r)
  for (const [name, field] of t.entries) {
    message[name] = field.when !== undefined && !field.when(message, d) ? field.initial : field.read(r, d)
  }
  if (t.sized) {
    r.pos = r.end
    r.end = outerEnd
  }
  return message as MessageOf<T>
}

/** Reads an envelope's i32 size and returns where the envelope ends. */
export function envelopeEnd(r: Reader): number {
  const size = r.i32()
  if (size < 0) throw BadLength.instance
  const start = r.skip(size)
  const end = r.pos
  r.pos = start
  return end
}

/** Writes the fields of `t`; absent ones (see `when`) are left out, missing ones are written as their initial value. */
export function writeFields(t: Table, w: Writer, message: AnyMessage, d: Dialect): void {
  const values = message as unknown as Record<string, unknown>
  const start = t.sized ? w.room(4) : 0
  for (const [name, field] of t.entries) {
    if (field.when !== undefined && !field.when(values, d)) continue
    field.write(w, values[name] ?? field.initial, d)
  }
  if (t.sized) w.setI32(start, w.pos - start - 4)
}

/** Moves past the fields of a table that has no conditional ones: every request. */
export function skipFields(t: Table, r: Reader): void {
  for (const [, field] of t.entries) field.skip(r)
}

/** A set of tables that can be found by code. */
export class Registry<T extends Table = Table> {
  readonly tables: readonly T[]
  readonly #byCode: (T | undefined)[] = []

  constructor(tables: readonly T[]) {
    this.tables = tables
    for (const t of tables) {
      if (this.#byCode[t.code]) throw new Error(`two tables with code ${t.code}`)
      this.#byCode[t.code] = t
    }
  }

  find(code: number): T | undefined {
    return this.#byCode[code]
  }
}
