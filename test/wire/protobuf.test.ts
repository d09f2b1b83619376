// The serializer protobuf: golden bodies byte for byte, every message there and back, and bytes that are no message.
import test from 'ava'
import fc from 'fast-check'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { FrameReader } from '../../tc-core/wire/frame.ts'
import { type AnyMessage, UnreadableMessage } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { PACKAGES, readProtobuf, writeProtobuf } from '../../tc-core/wire/messages/protobuf.ts'
import { captures } from '../golden/golden.ts'
import { hex } from './frames.ts'
import { messageOf, normal, runs } from './generate.ts'

const V2 = { version: 2, shortMsg: false } as const
const APACHE = { package: PACKAGES[0] as string }

const golden = captures().flatMap(({ name, frames }) =>
  frames.filter((f) => f.serializer === 2 && typeof f.bodyTypeCode === 'string').map((f) => ({ name, ...f }))
)

test('every body that Java wrote in protobuf is read, and written back byte for byte', (t) => {
  const names = new Set<string>()
  for (const { name, n, hex: bytes, bodyTypeCode } of golden) {
    new FrameReader(
      (frame) => {
        const body = Buffer.from(frame.bytes.subarray(frame.bodyStart, frame.bodyEnd))
        const context = { package: '' }
        const message = readProtobuf(body, context)
        t.is(context.package, PACKAGES[0])
        t.is(writeProtobuf(message, context).toString('hex'), body.toString('hex'), `${name} ${n} ${bodyTypeCode}`)
        names.add(bodyTypeCode as string)
      },
      () => t.fail()
    ).push(Buffer.from(bytes!, 'hex'))
  }
  t.true(names.size > 15, `${names.size} kinds`)
})

test('the examples of the protocol sheet: a begin and its result, as Java lays them out', (t) => {
  const begin = Buffer.concat([
    hex('0000003a'),
    Buffer.from('org.apache.seata.protocol.protobuf.GlobalBeginRequestProto'),
    hex('0a040a02080110e0d4031a0c6372656174652d6f72646572')
  ])
  const message = { type: 1, timeout: 60000, transactionName: 'create-order' }
  t.like(readProtobuf(begin, { ...APACHE }), message)
  t.deepEqual(writeProtobuf(message, APACHE), begin)
})

test('the package of Seata before 2.1 is understood, and answered in', (t) => {
  const old = { package: 'io.seata.protocol.protobuf.' }
  const context = { ...APACHE }
  const message = readProtobuf(writeProtobuf({ type: 7, xid: 'x' } as AnyMessage, old), context)
  t.deepEqual(context, old)
  t.like(message, { type: 7, xid: 'x', extraData: '' })
  t.true(writeProtobuf(message, context).includes('io.seata.protocol.protobuf.GlobalCommitRequestProto'))
})

/** What becomes of a value that this serializer has no way to say. */
function sayable(message: AnyMessage): AnyMessage {
  const said = { ...message } as Record<string, any>
  const small = (field: string, max: number) => {
    if (said[field] > max) said[field] %= max + 1
  }
  small('resultCode', 1)
  small('branchType', 4)
  small('branchStatus', 14)
  small('transactionExceptionCode', 17)
  if (said.transactionExceptionCode === 1) said.transactionExceptionCode = 0
  if (said.globalStatus !== undefined) said.globalStatus = Math.abs(said.globalStatus) % 16
  if (said.messages !== undefined) said.messages = said.messages.map(sayable)
  return said as unknown as AnyMessage
}

for (const table of m.messages.tables) {
  test(`${table.name}: whatever it says comes back over protobuf and Seata's own serializer`, (t) => {
    const roundTrip = (generated: AnyMessage) => {
      const message = normal(sayable(generated), V2)
      const read = readProtobuf(writeProtobuf(message, APACHE), { ...APACHE })
      const w = new Writer()
      m.writeBody(w, read, V2)
      t.deepEqual(m.readBody(new Reader(w.written), V2), normal(message, V2))
    }
    fc.assert(fc.property(messageOf(table), roundTrip), runs(60))
  })
}

test('what this serializer cannot say becomes the nearest that it can', (t) => {
  const after = (message: object) => readProtobuf(writeProtobuf(message as AnyMessage, APACHE), { ...APACHE })
  for (const failFast of [19, 20])
    t.like(after({ type: 12, transactionExceptionCode: failFast }), { transactionExceptionCode: 2 })
  for (const none of [1, 18, 21, 23])
    t.like(after({ type: 12, transactionExceptionCode: none }), { transactionExceptionCode: 0 })
  t.like(after({ type: 12, transactionExceptionCode: 10 }), { transactionExceptionCode: 10 })
  t.like(after({ type: 16, globalStatus: GlobalStatus.RollbackRetryTimeout }), {
    globalStatus: GlobalStatus.RollbackRetrying
  })
  t.like(after({ type: 17, globalStatus: -1 }), { globalStatus: GlobalStatus.UnKnown })
})

test('bytes that are no message are an error about the body, and no other', (t) => {
  const body = writeProtobuf({ type: 11, xid: 'x', lockKey: 't:1' } as AnyMessage, APACHE)
  const start = body.indexOf('Proto', 4) + 5
  const bad = [
    hex(''),
    hex('00000000'),
    hex('7fffffff 6f'),
    hex('ffffffff 6f'),
    Buffer.concat([hex('00000003'), Buffer.from('abc')]),
    body.subarray(0, -1),
    // A nested message that ends behind its parent, and a group without end.
    Buffer.concat([body.subarray(0, start), hex('0a 04 0a 7f 08 0b')]),
    Buffer.concat([body.subarray(0, start), Buffer.alloc(5000, 0x0b)])
  ]
  for (const bytes of bad) t.throws(() => readProtobuf(bytes, { ...APACHE }), { instanceOf: UnreadableMessage })
  const bytes = fc.uint8Array({ maxLength: 60 })
  const garbage = fc.property(bytes, (more) => {
    try {
      readProtobuf(Buffer.concat([body.subarray(0, start), more]), { ...APACHE })
    } catch (error) {
      if (!m.isBadBody(error)) throw error
    }
  })
  fc.assert(garbage, runs(5000))
})

test('fields that nobody knows are passed over', (t) => {
  const body = writeProtobuf({ type: 59, messages: [], msgIds: [7, 300] } as AnyMessage, APACHE)
  const more = Buffer.concat([body, hex('f8 07 01  f9 07 0102030405060708  fa 07 02 abcd')])
  t.like(readProtobuf(more, { ...APACHE }), { type: 59, messages: [], msgIds: [7, 300] })
})
