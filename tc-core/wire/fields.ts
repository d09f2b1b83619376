// The kinds of field that a message table is made of: how each is read and written.
import type { Reader, Writer } from './bytes.ts'

/** What a peer's own form of the protocol changes in a body. */
export interface Dialect {
  /** Version byte of the frame: 0 (clients up to 0.6), 1, or 2 (from 2.7). */
  readonly version: 0 | 1 | 2
  /** seata-go writes and expects a one-byte length before `msg` in the results 4, 6, 14 and 22. */
  readonly shortMsg: boolean
}

export interface Field<T> {
  /** What a message has here when it is given nothing, and where `when` says the field is absent. */
  readonly initial: T
  read(r: Reader, d: Dialect): T
  write(w: Writer, value: T, d: Dialect): void
  /** Moves past the field without making a value of it. */
  skip(r: Reader): void
  /** Present only when this holds for the fields before it. */
  readonly when?: (message: Readonly<Record<string, unknown>>, d: Dialect) => boolean
}

/** A length that cannot be: no more input would mend it. */
export class BadLength extends Error {
  static readonly instance = new BadLength('negative length')
}

function length(n: number): number {
  if (n < 0) throw BadLength.instance
  return n
}

const STR16_MAX = 32767

function number<T>(width: number, initial: T, read: (r: Reader) => T, write: (w: Writer, v: T) => void): Field<T> {
  return { initial, read, write, skip: (r) => void r.skip(width) }
}

/** A field that is there only under a condition. */
export function when<T>(condition: NonNullable<Field<T>['when']>, base: Field<T>, initial = base.initial): Field<T> {
  return { ...base, initial, when: condition }
}

export const u8 = number<number>(
  1,
  0,
  (r) => r.u8(),
  (w, v) => w.u8(v)
)
export const i8 = number<number>(
  1,
  0,
  (r) => r.i8(),
  (w, v) => w.u8(v)
)
export const u16 = number<number>(
  2,
  0,
  (r) => r.u16(),
  (w, v) => w.u16(v)
)
export const i32 = number<number>(
  4,
  0,
  (r) => r.i32(),
  (w, v) => w.i32(v)
)
/** A count, an index or a time: up to 2^53, in 7 bytes. Ours, not Seata's. */
export const u53 = number<number>(
  7,
  0,
  (r) => r.u53(),
  (w, v) => w.u53(v)
)
export const i64 = number<bigint>(
  8,
  0n,
  (r) => r.i64(),
  (w, v) => w.i64(v)
)
/** One byte, 1 for true. */
export const bool8 = number<boolean>(
  1,
  false,
  (r) => r.u8() === 1,
  (w, v) => w.u8(v ? 1 : 0)
)
/** Two bytes, 1 for true: GlobalLockQuery's `lockable`. */
export const bool16 = number<boolean>(
  2,
  false,
  (r) => r.u16() === 1,
  (w, v) => w.u16(v ? 1 : 0)
)

/** Cuts the text just written at `at` to at most `max` bytes, at the end of a character; returns its length. */
function cut(w: Writer, at: number, n: number, max: number): number {
  if (n <= max) return n
  n = max
  while ((w.bytes[at + n]! & 0xc0) === 0x80) n--
  w.pos = at + n
  return n
}

/** Text after an i16 length. Null and empty are one; what is longer than 32,767 bytes is cut at a character. */
export const str16: Field<string> = {
  initial: '',
  read: (r) => r.text(length(r.i16())),
  skip: (r) => void r.skip(length(r.i16())),
  write(w, v) {
    const at = w.room(2)
    w.setU16(at, cut(w, at + 2, w.text(v), STR16_MAX))
  }
}

/** Text after an i32 length. */
export const str32: Field<string> = {
  initial: '',
  read: (r) => r.text(length(r.i32())),
  skip: (r) => void r.skip(length(r.i32())),
  write(w, v) {
    const at = w.room(4)
    w.setI32(at, w.text(v))
  }
}

/** `msg` where seata-go uses one byte of length: whichever the peer's dialect says. */
export const msg: Field<string> = {
  ...str16,
  read: (r, d) => (d.shortMsg ? r.text(r.u8()) : str16.read(r, d)),
  write(w, v, d) {
    if (!d.shortMsg) return str16.write(w, v, d)
    const at = w.room(1)
    const n = cut(w, at + 1, w.text(v), 255)
    w.bytes[at] = n
  }
}
