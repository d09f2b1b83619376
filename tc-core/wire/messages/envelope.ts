// Several messages in one frame: MergedWarp from clients, MergeResult and BatchResult back.
import type { Field } from '../fields.ts'
import { type AnyMessage, Registry, readFields, skipFields, type Table, table, writeFields } from '../message.ts'
import * as branch from './branch.ts'
import * as transaction from './transaction.ts'

/** What an envelope may hold. Envelopes are never nested. */
export const plain = new Registry<Table>(
  [...Object.values(transaction), ...Object.values(branch)].filter((t): t is Table & typeof t => 'entries' in t)
)

/** An inner message has a type code in front and no length: one that is unknown makes the rest unreadable. */
export class UnknownType extends Error {
  readonly code: number
  constructor(code: number) {
    super(`no message has type code ${code}`)
    this.code = code
  }
}

function plainTable(code: number) {
  const t = plain.find(code)
  if (!t) throw new UnknownType(code)
  return t
}

const messages: Field<AnyMessage[]> = {
  initial: [],
  read(r, d) {
    const count = r.u16()
    const list: AnyMessage[] = []
    for (let i = 0; i < count; i++) list.push(readFields(plainTable(r.u16()), r, d))
    return list
  },
  write(w, list, d) {
    w.u16(list.length)
    for (const m of list) {
      w.u16(m.type)
      writeFields(plainTable(m.type), w, m, d)
    }
  },
  skip(r) {
    const count = r.u16()
    for (let i = 0; i < count; i++) skipFields(plainTable(r.u16()), r)
  }
}

/** Ids up to the end of the envelope; clients before 1.5 send none. */
const msgIds: Field<number[]> = {
  initial: [],
  read(r) {
    const ids: number[] = []
    while (r.left >= 4) ids.push(r.i32())
    return ids
  },
  write(w, ids) {
    for (const id of ids) w.i32(id)
  },
  skip: (r) => void r.skip(r.left)
}

export const MergedWarp = table(59, 'MergedWarp', { messages, msgIds }, true)
/** Results by position. */
export const MergeResult = table(60, 'MergeResult', { messages }, true)
/** Results by id (client 1.5 and later). */
export const BatchResult = table(121, 'BatchResult', { messages, msgIds }, true)
