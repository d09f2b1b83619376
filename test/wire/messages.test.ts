// Messages: what real peers write reads as the right fields, and is written back byte for byte, in each form of the protocol.
import test from 'ava'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { decompress } from '../../tc-core/wire/compress.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { FrameReader, writeFrame } from '../../tc-core/wire/frame.ts'
import { readHeadMap } from '../../tc-core/wire/head-map.ts'
import type { AnyMessage, Table } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { BRANCH_ID, examples, failedCommit, message, XID } from './examples.ts'
import { hex } from './frames.ts'

const v1: Dialect = { version: 1, shortMsg: false }
const v2: Dialect = { version: 2, shortMsg: false }
const go: Dialect = { version: 1, shortMsg: true }

/** A body that must be used up to its last byte. */
function read(body: Buffer, d: Dialect): AnyMessage {
  const r = new Reader(body)
  const message = m.readBody(r, d)
  if (r.left > 0) throw new Error(`${r.left} bytes are left`)
  return message
}

function write(message: AnyMessage, d: Dialect, w = new Writer()): string {
  m.writeBody(w, message, d)
  return w.written.toString('hex')
}

for (const { name, bytes, message, ...expected } of examples) {
  const what = message === null ? 'heartbeat' : m.tableOf(message.type).name
  test(`${name}: ${what} in version ${expected.version} reads as its fields and is written back`, (t) => {
    const dialect: Dialect = { version: expected.version, shortMsg: false }
    let frames = 0
    new FrameReader(
      (f) => {
        frames++
        const { version, messageType, compressor, id, codec } = f
        t.deepEqual({ version, messageType, compressor, id }, expected)
        t.is(codec, 1)
        let body = Buffer.from(f.bytes.subarray(f.bodyStart, f.bodyEnd))
        if (compressor !== 0) body = decompress(compressor, body, 1000) as typeof body
        if (f.v0Type >= 0) body = Buffer.concat([Buffer.from([f.v0Type >> 8, f.v0Type]), body])
        if (message === null) t.is(body.length, 0)
        else t.deepEqual(read(body, dialect), message)
        const w = new Writer()
        if (message !== null) t.is(write(message, dialect), body.toString('hex'))
        if (message !== null) t.is(write(message, dialect, new Writer(1)), body.toString('hex'), 'the writer grows')
        writeFrame(w, f, body)
        // Java's gzip tells another operating system than ours: the same body, other bytes.
        if (compressor === 0) t.is(w.written.toString('hex'), bytes.toString('hex'))
      },
      () => t.fail()
    ).push(bytes)
    t.is(frames, 1)
  })
}

test('E32: the head map of a PING has empty and null strings', (t) => {
  const bytes = hex('dada01 00000025 0025 03 01 00 00000006 000131000132 0000000178 0001610000 000162ffff')
  const map = new Map([...Object.entries({ 1: '2', '': 'x', a: '' }), ['b', null] as const])
  t.deepEqual(readHeadMap(bytes, 16, 0x25), map)
})

test('messages that no example shows: GlobalRollback, GlobalReportResult', (t) => {
  const xid = `0025${Buffer.from(XID).toString('hex')}`
  const rollback = message(m.GlobalRollback, { xid: XID, extraData: 'e' })
  const reported = message(m.GlobalReportResult, {
    ...{ resultCode: 1, msg: '', transactionExceptionCode: 0 },
    globalStatus: 13
  })
  t.deepEqual(read(hex(`0009 ${xid} 000165`), v1), rollback)
  t.is(write(rollback, v1), `0009${xid}000165`)
  t.deepEqual(read(hex('0012 01 00 0d'), v1), reported)
  t.is(write(reported, v1), '001201000d')
})

test('GlobalReport without a status reads as -1', (t) => {
  t.deepEqual(read(hex('0011 0000 0000 ff'), v1), message(m.GlobalReport, { xid: '', extraData: '', globalStatus: -1 }))
  t.is(write(message(m.GlobalReport, { xid: '', extraData: '', globalStatus: -1 }), v1), '001100000000ff')
})

const COMMIT = `0025${Buffer.from(XID).toString('hex')} 2440e65cb3f85002 06`

test('E38: seata-go puts one byte of length before msg, and E38j reads in the other form only', (t) => {
  const e38 = hex(`0004 00 03657272 00 ${COMMIT}`)
  const e38j = hex(`0004 00 0003657272 00 ${COMMIT}`)
  t.is(e38.length, e38j.length - 1)
  t.deepEqual(read(e38, go), failedCommit)
  t.deepEqual(read(e38j, v1), failedCommit)
  t.is(write(failedCommit, go), e38.toString('hex'))
  t.is(write(failedCommit, v1), e38j.toString('hex'))
  t.throws(() => read(e38, v1))
  t.throws(() => read(e38j, go))
})

/** Every result of a transaction request, and the bytes of its other fields. */
const results: readonly [Table, object, string][] = [
  [m.GlobalBeginResult, { xid: 'x', extraData: 'e' }, '000178000165'],
  [m.GlobalCommitResult, { globalStatus: 9 }, '09'],
  [m.GlobalRollbackResult, { globalStatus: 11 }, '0b'],
  [m.GlobalStatusResult, { globalStatus: 1 }, '01'],
  [m.GlobalReportResult, { globalStatus: 0xff }, 'ff'],
  [m.BranchRegisterResult, { branchId: BRANCH_ID }, '2440e65cb3f85002'],
  [m.BranchReportResult, {}, ''],
  [m.GlobalLockQueryResult, { lockable: false }, '0000'],
  [m.BranchCommitResult, { xid: 'x', branchId: 1n, branchStatus: 5 }, '000178000000000000000105'],
  [m.BranchRollbackResult, { xid: 'x', branchId: -1n, branchStatus: 8 }, '000178ffffffffffffffff08']
]
const SHORT = new Set<Table>([
  ...[m.BranchCommitResult, m.BranchRollbackResult, m.BranchReportResult, m.GlobalLockQueryResult]
])

for (const [table, fields, rest] of results) {
  const form = SHORT.has(table) ? 'from and to seata-go with one byte of length' : 'in the same form for everybody'
  test(`${table.name} has a msg when it failed and none when not, ${form}`, (t) => {
    const type = table.code.toString(16).padStart(4, '0')
    for (const d of [v1, v2, go, { version: 0, shortMsg: false }] as const) {
      const length = d.shortMsg && SHORT.has(table) ? '' : '00'
      for (const [result, said, bytes] of [
        ['01', { resultCode: 1, msg: '', transactionExceptionCode: 0 }, `${type}0100${rest}`],
        ['00', { resultCode: 0, msg: 'nö', transactionExceptionCode: 18 }, `${type}00${length}036ec3b612${rest}`],
        ['no msg', { resultCode: 0, msg: '', transactionExceptionCode: 10 }, `${type}00${length}000a${rest}`]
      ] as const) {
        const expected = { type: table.code, ...said, ...fields }
        t.deepEqual(read(hex(bytes), d), expected, `${result} ${JSON.stringify(d)}`)
        t.is(write(expected, d), bytes, `${result} ${JSON.stringify(d)}`)
      }
    }
  })
}

test('a msg is not on the wire of a success, whatever it says', (t) => {
  const said = {
    type: m.GlobalStatusResult.code,
    resultCode: 1,
    msg: 'lost',
    transactionExceptionCode: 0,
    globalStatus: 2
  }
  t.is(write(said as AnyMessage, v1), '0010010002')
})

for (const table of [m.RegisterTMResult, m.RegisterRMResult]) {
  test(`${table.name} tells why in v2 and cannot in v0 and v1`, (t) => {
    const type = table.code.toString(16).padStart(4, '0')
    const good = message(table, { resultCode: 1, msg: '', identified: true, version: '2.6.0' })
    const bad = message(table, { resultCode: 0, msg: 'no', identified: false, version: '2.6.0' })
    const version = '0005322e362e30'
    t.is(write(good, v2), `${type}0101${version}`)
    t.is(write(bad, v2), `${type}0000026e6f00${version}`)
    t.deepEqual(read(hex(`${type}0101${version}`), v2), good)
    t.deepEqual(read(hex(`${type}0000026e6f00${version}`), v2), bad)
    for (const d of [v1, go, { version: 0, shortMsg: false }] as const) {
      t.is(write(good, d), `${type}01${version}`)
      t.is(write(bad, d), `${type}00${version}`)
      t.deepEqual(read(hex(`${type}01${version}`), d), good)
      t.deepEqual(read(hex(`${type}00${version}`), d), { ...bad, resultCode: 1, msg: '' } as AnyMessage)
    }
  })
}

test('UnregisterRMResult has no reason in any version', (t) => {
  const result = message(m.UnregisterRMResult, { identified: false, version: '2.6.0' })
  for (const d of [v1, v2, go, { version: 0, shortMsg: false }] as const) {
    t.is(write(result, d), '006a000005322e362e30')
    t.deepEqual(read(hex('006a000005322e362e30'), d), result)
  }
})

test('a flag is true for 1 only', (t) => {
  for (const [bytes, lockable] of [
    ['0000', false],
    ['0001', true],
    ['0100', false],
    ['0101', false],
    ['ffff', false]
  ] as const) {
    const result = { resultCode: 1, msg: '', transactionExceptionCode: 0, lockable }
    t.deepEqual(read(hex(`0016 01 00 ${bytes}`), v1), message(m.GlobalLockQueryResult, result), bytes)
  }
  const registered = (byte: string) => read(hex(`0066 ${byte} 0000`), v1) as AnyMessage & { identified: boolean }
  t.deepEqual(
    ['00', '01', '02', 'ff'].map((byte) => registered(byte).identified),
    [false, true, false, false]
  )
})

test('fields that are not given are written as their initial value', (t) => {
  t.is(write({ type: m.GlobalBegin.code }, v1), '0001000000000000')
  t.is(write({ type: m.BranchReport.code }, v1), `000d${'00'.repeat(2 + 8 + 1 + 2 + 4 + 1)}`)
  t.is(write({ type: m.RegisterTMResult.code }, v2), '006601000000')
  t.is(write({ type: m.MergedWarp.code }, v1), '003b000000020000')
})

test('the length of a one-byte msg is written also when the writer has to grow for the text', (t) => {
  const w = new Writer(8)
  w.bytes.fill(0xee)
  t.is(write(failedCommit, go, w), write(failedCommit, go))
})

test('a result without a resultCode is written so that it can be read', (t) => {
  const r = read(Buffer.from(write({ type: m.GlobalStatusResult.code }, v1), 'hex'), v1)
  t.is(r.type, m.GlobalStatusResult.code)
})

test('bytes behind the last field of a body are left alone', (t) => {
  const r = new Reader(hex('000e 01 00 abcd'))
  t.deepEqual(m.readBody(r, v1).type, m.BranchReportResult.code)
  t.is(r.left, 2)
})

test('a body of no known type is an error that names the type', (t) => {
  for (const type of ['0000', '0017', '0078', 'ffff', 'dada']) {
    const error = t.throws(() => read(hex(`${type} 0000`), v1), { instanceOf: m.UnknownType })
    t.is(error.code, Number.parseInt(type, 16))
    t.true(m.isBadBody(error))
  }
  t.throws(() => write({ type: 999 }, v1), { instanceOf: m.UnknownType })
})
