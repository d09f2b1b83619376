// Every message by type code, and whole bodies in Seata's own serializer (codec 1): a type code, then the fields.
// To add a message, add its table to its family's file.
import { type Reader, ShortInput, type Writer } from '../bytes.ts'
import { BadLength, type Dialect } from '../fields.ts'
import { type AnyMessage, Registry, readFields, UnreadableMessage, writeFields } from '../message.ts'
import { BatchResult, MergedWarp, MergeResult, plain, UnknownType } from './envelope.ts'
import * as register from './register.ts'

export * from './branch.ts'
export * from './envelope.ts'
export * from './register.ts'
export * from './transaction.ts'

export const messages = new Registry([
  ...plain.tables,
  ...Object.values(register),
  MergedWarp,
  MergeResult,
  BatchResult
])

/** The table of a type code; throws {@link UnknownType}. */
export function tableOf(code: number) {
  const t = messages.find(code)
  if (!t) throw new UnknownType(code)
  return t
}

/** Reads a body: type code and fields. Bytes after the last field are ignored, as the Java server does. */
export function readBody(r: Reader, d: Dialect): AnyMessage {
  return readFields(tableOf(r.u16()), r, d)
}

export function writeBody(w: Writer, message: AnyMessage, d: Dialect): void {
  w.u16(message.type)
  writeFields(tableOf(message.type), w, message, d)
}

/** Whether an error is about the bytes of a body: too short, impossible, or of no known type. */
export function isBadBody(error: unknown): error is Error {
  return (
    error instanceof ShortInput ||
    error instanceof BadLength ||
    error instanceof UnknownType ||
    error instanceof UnreadableMessage
  )
}
