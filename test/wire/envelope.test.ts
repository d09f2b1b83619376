// Envelopes: several messages in one frame, their size, their ids, and what they may not hold. And tables, of which all messages are made.
import test from 'ava'
import { Reader, ShortInput, Writer } from '../../tc-core/wire/bytes.ts'
import { BadLength, type Dialect, i32, str16, u8 } from '../../tc-core/wire/fields.ts'
import { type AnyMessage, envelopeEnd, Registry, skipFields, table } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { message } from './examples.ts'
import { hex } from './frames.ts'

const v1: Dialect = { version: 1, shortMsg: false }
const envelopes = [m.MergedWarp, m.MergeResult, m.BatchResult]
const withIds = [m.MergedWarp, m.BatchResult]

const code = (t: { code: number }) => t.code.toString(16).padStart(4, '0')

function read(body: string, d = v1): AnyMessage & { messages: AnyMessage[]; msgIds?: number[] } {
  return m.readBody(new Reader(hex(body)), d) as ReturnType<typeof read>
}

function write(message: AnyMessage, d = v1): string {
  const w = new Writer(1)
  m.writeBody(w, message, d)
  return w.written.toString('hex')
}

const reported = message(m.BranchReportResult, { resultCode: 1, msg: '', transactionExceptionCode: 0 })
const failed = message(m.BranchReportResult, { resultCode: 0, msg: 'no', transactionExceptionCode: 9 })

for (const t of envelopes) {
  test(`${t.name}: an empty one has a count of 0`, (a) => {
    a.is(write({ ...message(t, { messages: [], msgIds: [] } as never) }), `${code(t)}000000020000`)
    a.deepEqual(read(`${code(t)} 00000002 0000`).messages, [])
  })

  test(`${t.name}: the size in front says where it ends, and the rest of the body is left alone`, (a) => {
    const r = new Reader(hex(`${code(t)} 0000000a 0002 000e 0100 000e 0100 ffff`))
    const { messages } = m.readBody(r, v1) as ReturnType<typeof read>
    a.deepEqual(messages, [reported, reported])
    a.is(r.left, 2)
    a.is(r.end, r.bytes.length, 'the reader has its own end again')
  })

  test(`${t.name}: a size that is not so is an error`, (a) => {
    const two = '0002 000e 0100 000e 0100'
    a.throws(() => read(`${code(t)} 0000000b ${two}`), { is: ShortInput.instance }, 'larger than the body')
    a.throws(() => read(`${code(t)} 00000009 ${two}`), { is: ShortInput.instance }, 'ends inside a message')
    a.throws(() => read(`${code(t)} 00000001 ${two}`), { is: ShortInput.instance }, 'ends inside the count')
    a.throws(() => read(`${code(t)} 00000000 ${two}`), { is: ShortInput.instance }, 'nothing')
    a.throws(() => read(`${code(t)} 7fffffff ${two}`), { is: ShortInput.instance }, 'larger than any')
    a.throws(() => read(`${code(t)} ffffffff ${two}`), { is: BadLength.instance }, 'negative')
  })

  test(`${t.name}: a count above what is there is an error`, (a) => {
    a.throws(() => read(`${code(t)} 00000006 0002 000e 0100`), { is: ShortInput.instance })
    a.throws(() => read(`${code(t)} 00000002 ffff`), { is: ShortInput.instance })
  })

  test(`${t.name}: what it may not hold is an error, read or written`, (a) => {
    for (const inner of [99, 0, 0xffff, 0xdada, m.RegisterTM.code, m.RegisterRMResult.code, 59, 60, 121]) {
      const type = code({ code: inner })
      const error = a.throws(() => read(`${code(t)} 00000010 0001 ${type} ${'00'.repeat(12)}`), {
        instanceOf: m.UnknownType
      })
      a.is(error.code, inner)
      const said = { type: t.code, messages: [{ type: inner }], msgIds: [1] } as AnyMessage
      a.throws(() => write(said), { instanceOf: m.UnknownType })
    }
  })

  test(`${t.name}: an unknown message behind a known one is an error`, (a) => {
    const error = a.throws(() => read(`${code(t)} 00000008 0002 000e 0100 0063`), { instanceOf: m.UnknownType })
    a.is(error.code, 99)
    a.true(m.isBadBody(error))
  })

  test(`${t.name}: messages inside have the form of the frame around them`, (a) => {
    for (const shortMsg of [false, true]) {
      const bytes = `${code(t)} 00000${shortMsg ? '009' : '00a'} 0001 000e 00 ${shortMsg ? '' : '00'}026e6f 09`
      const w = new Writer()
      m.writeBody(w, { type: t.code, messages: [failed], msgIds: [] } as AnyMessage, { version: 1, shortMsg })
      a.is(w.written.toString('hex'), bytes.replaceAll(' ', ''))
      a.deepEqual(read(bytes, { version: 1, shortMsg }).messages, [failed])
    }
  })
}

for (const t of withIds) {
  test(`${t.name}: ids are read up to the end, all of them, some, or none as from clients before 1.5`, (a) => {
    const one = '0001 000e 0100'
    a.deepEqual(read(`${code(t)} 00000006 ${one}`).msgIds, [])
    a.deepEqual(read(`${code(t)} 0000000a ${one} 0000000b`).msgIds, [11])
    a.deepEqual(read(`${code(t)} 0000000e ${one} 7fffffff ffffffff`).msgIds, [0x7fffffff, -1])
    a.deepEqual(read(`${code(t)} 00000009 ${one} 00000b`).msgIds, [], 'less than an id')
    a.deepEqual(read(`${code(t)} 0000000d ${one} 0000000b 00000c`).msgIds, [11])
    a.is(write({ type: t.code, messages: [reported] } as AnyMessage), `${code(t)}000000060001000e0100`)
  })
}

test('MergeResult has no ids: results are by position', (t) => {
  t.false('msgIds' in read(`${code(m.MergeResult)} 0000000a 0001 000e 0100 0000000b`))
  const said = { type: m.MergeResult.code, messages: [reported], msgIds: [11] }
  t.is(write(said), `${code(m.MergeResult)}000000060001000e0100`)
})

test('an envelope of many messages is written and read whole', (t) => {
  const messages = Array.from({ length: 5000 }, (_, i) =>
    message(m.GlobalBegin, { timeout: i, transactionName: `t${i}` })
  )
  const msgIds = messages.map((_, i) => -i | 0)
  const said = message(m.MergedWarp, { messages, msgIds })
  t.deepEqual(read(write(said)) as AnyMessage, said)
})

test('envelopeEnd moves to the first byte behind the size and returns the end', (t) => {
  const r = new Reader(hex('ff 00000003 010203 ee'), 1)
  t.is(envelopeEnd(r), 8)
  t.is(r.pos, 5)
})

test('a registry finds a table by its code, and refuses two with the same', (t) => {
  const [a, b] = [table(1, 'A', { x: u8 }), table(300, 'B', { y: i32 })]
  const registry = new Registry([a, b])
  t.is(registry.find(1), a)
  t.is(registry.find(300), b)
  for (const code of [0, 2, -1, 65535, 1.5]) t.is(registry.find(code), undefined)
  t.throws(() => new Registry([a, b, table(1, 'C', {})]), { message: /two tables with code 1/ })
})

test('every type code of the protocol has its table, and no other number has', (t) => {
  const codes: number[] = []
  for (let code = 0; code <= 0xffff; code++) if (m.messages.find(code)) codes.push(code)
  t.deepEqual(codes, [
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 59, 60],
    ...[101, 102, 103, 104, 105, 106, 111, 121]
  ])
})

test('skipping the fields of a request moves as far as reading them', (t) => {
  const said = message(m.BranchRegister, {
    ...{ xid: 'x', branchType: 1, resourceId: 'ö', lockKey: 'k'.repeat(40_000), applicationData: '' }
  })
  const body = hex(`${write(said)} abcd`)
  const r = new Reader(body, 2)
  skipFields(m.BranchRegister, r)
  t.is(r.left, 2)
  t.throws(() => skipFields(m.BranchRegister, new Reader(body, 2, body.length - 3)), { is: ShortInput.instance })
})

test('a table of no fields is a message of its type alone', (t) => {
  const empty = table(7, 'Empty', {})
  const r = new Reader(Buffer.alloc(0))
  skipFields(empty, r)
  t.is(r.pos, 0)
  t.deepEqual(
    table(8, 'Named', { a: str16, b: u8 }).entries.map(([name]) => name),
    ['a', 'b']
  )
})
