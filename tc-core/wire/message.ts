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
  /** Made with the first message. */
  codec: Codec | null
}

/** What reads, writes and passes over the fields of one table, one after the other. */
interface Codec {
  read(r: Reader, d: Dialect): { type: number }
  write(w: Writer, message: AnyMessage, d: Dialect): void
  skip(r: Reader): void
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
  const entries = Object.entries(fields)
  return { code, name, fields, entries, sized, codec: null }
}

/**
 * Makes a table's code of its fields, as source text, once: one loop for all tables would see every shape of object that there is, and V8 makes
 * nothing fast of that. Messages of a table are of one shape, too. All that goes into the text are the names in our own tables.
 */
function compile({ code, entries }: Table): Codec {
  const fields = entries.map(([, field]) => field)
  const key = (i: number) => JSON.stringify(entries[i]![0])
  const each = (line: (i: number) => string) => fields.map((_, i) => line(i)).join('\n')
  const ifThere = (i: number) => (fields[i]!.when === undefined ? '' : `if (f${i}.when(m, d)) `)
  const source = `
    ${each((i) => `const f${i} = fields[${i}], i${i} = f${i}.initial`)}
    return {
      read(r, d) {
        const m = { type: code, ${each((i) => `${key(i)}: i${i},`)} }
        ${each((i) => `${ifThere(i)}m[${key(i)}] = f${i}.read(r, d)`)}
        return m
      },
      write(w, m, d) {
        ${each((i) => `${ifThere(i)}f${i}.write(w, m[${key(i)}] ?? i${i}, d)`)}
      },
      skip(r) {
        ${each((i) => `f${i}.skip(r)`)}
      }
    }`
  return new Function('code', 'fields', source)(code, fields) as Codec
}

function codecOf(t: Table): Codec {
  return (t.codec ??= compile(t))
}

/** Reads the fields of `t`; throws ShortInput when they are not all there. */
export function readFields<T extends Table>(t: T, r: Reader, d: Dialect): MessageOf<T> {
  if (!t.sized) return codecOf(t).read(r, d) as MessageOf<T>
  const outerEnd = r.end
  r.end = envelopeEnd(r)
  const message = codecOf(t).read(r, d)
  r.pos = r.end
  r.end = outerEnd
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
  if (!t.sized) return codecOf(t).write(w, message, d)
  const start = w.room(4)
  codecOf(t).write(w, message, d)
  w.setI32(start, w.pos - start - 4)
}

/** Moves past the fields of a table that has no conditional ones: every request. */
export function skipFields(t: Table, r: Reader): void {
  codecOf(t).skip(r)
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
