// Errors and their answers: texts to the letter, Java's wrappers, a failed result for whatever was asked. And the brake for log lines.
import test from 'ava'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { exceptionOrdinal } from '../../tc-core/wire/codes.ts'
import {
  type AnswerCode,
  ERRORS,
  type ErrorCode,
  errorMessage,
  errorText,
  SeataError
} from '../../tc-core/wire/errors.ts'
import { failedResult } from '../../tc-core/wire/failed-result.ts'
import type { Dialect } from '../../tc-core/wire/fields.ts'
import { RateLimited } from '../../tc-core/wire/log.ts'
import {
  GlobalStatusResult,
  messages,
  readBody,
  tableOf,
  UnregisterRM,
  writeBody
} from '../../tc-core/wire/messages/index.ts'

const codes = Object.keys(ERRORS) as ErrorCode[]
const answers = codes.filter((code) => 'exception' in ERRORS[code]) as AnswerCode[]
const events = codes.filter((code) => 'effect' in ERRORS[code])

/** Every request that has a result, and the result that can say that it failed. */
const RESULT_OF: Readonly<Record<number, number>> = {
  ...{ 1: 2, 3: 4, 5: 6, 7: 8, 9: 10, 11: 12, 13: 14, 15: 16, 17: 18, 21: 22, 101: 102, 103: 104 }
}
const dialects: Dialect[] = [0, 1, 2].flatMap((version) =>
  [false, true].map((shortMsg) => ({ version, shortMsg }) as Dialect)
)
const V2 = 2_000_000

test('every error either is answered or says what happens instead', (t) => {
  t.is(answers.length + events.length, codes.length)
  t.true(answers.length > 20)
  t.true(events.length > 5)
  for (const code of codes) t.regex(code, /^SEATA_[A-Z_]+$/)
})

test('details are filled in by order, and what is missing is empty', (t) => {
  const text = errorText('SEATA_GLOBAL_NOT_EXIST', 'h:1:2')
  t.is(text, 'Could not found global transaction xid = h:1:2, may be has finished.')
  t.is(errorText('SEATA_GLOBAL_NOT_EXIST'), 'Could not found global transaction xid = , may be has finished.')
  t.is(errorText('SEATA_BRANCH_NOT_EXIST', 'x', 7n), 'Could not found branch session xid = x branchId = 7')
  t.is(errorText('SEATA_SHUTTING_DOWN', 'unused'), 'Fail to store global session, the server is shutting down')
  t.is(errorText('SEATA_IDLE', 15_000), 'no byte for 15000 ms')
})

test('a detail is taken as it is, whatever it looks like', (t) => {
  t.is(errorText('SEATA_XID_INVALID', '%s'), 'xid [%s] is not valid')
  t.is(errorText('SEATA_BRANCH_NOT_EXIST', '%s', '$&'), 'Could not found branch session xid = %s branchId = $&')
  t.is(errorText('SEATA_XID_INVALID', null), 'xid [] is not valid')
})

test("an answer's text stands in Java's wrapper", (t) => {
  const [xid, branch] = ['h:1:2', 3n]
  t.is(
    errorMessage('SEATA_LOCK_CONFLICT', xid, branch, 't:1', 'h:1:9', 4n),
    'TransactionException[Global lock acquire failed xid = h:1:2 branchId = 3, Global lock on [t:1] is holding by xid h:1:9 branchId 4]'
  )
  t.is(
    errorMessage('SEATA_GLOBAL_NOT_ACTIVE', xid, 'Rollbacking'),
    'TransactionException[Could not register branch into global session xid = h:1:2 status = Rollbacking, cause by globalSession not active]'
  )
  t.is(
    errorMessage('SEATA_SEND_COMMIT_FAILED', xid, branch),
    'TransactionException[org.apache.seata.core.exception.BranchTransactionException: Send branch commit failed, xid = h:1:2 branchId = 3]'
  )
  t.is(errorMessage('SEATA_BRANCH_TYPE_UNKNOWN', 9), 'RuntimeException[unsupported type:9]')
  for (const code of answers) {
    const { wrapper } = ERRORS[code]
    t.is(errorMessage(code), `${wrapper}[${errorText(code)}]`)
    t.true(wrapper === 'TransactionException' || wrapper === 'RuntimeException')
  }
})

test('a SeataError has its code, its text and its cause', (t) => {
  const cause = new Error('disk')
  const error = new SeataError('SEATA_STORE_OPEN_FAILED', ['/data', 'locked'], cause)
  t.is(error.code, 'SEATA_STORE_OPEN_FAILED')
  t.is(error.message, 'cannot open the store /data: locked')
  t.is(error.cause, cause)
  t.false('cause' in new SeataError('SEATA_IDLE', [1]))
})

test('every request gets its own result when it fails', (t) => {
  for (const [request, result] of Object.entries(RESULT_OF)) {
    const failed = failedResult(Number(request), V2, 'SEATA_BRANCH_NOT_EXIST', ['x', 1n]) as Record<string, any>
    t.is(failed.type, result, tableOf(Number(request)).name)
    t.is(failed.resultCode, 0)
    t.is(failed.msg, 'TransactionException[Could not found branch session xid = x branchId = 1]')
    t.is(failed.transactionExceptionCode, 9)
    t.is(failed.identified, false)
  }
})

test('what is no request, or has no result that can fail, gets a failed GlobalStatusResult', (t) => {
  const others = [-2, -1, 0, 19, 20, 99, 0xdada, 0xffff, UnregisterRM.code, ...messages.tables.map(({ code }) => code)]
  for (const type of others.filter((code) => !(code in RESULT_OF))) {
    t.is(failedResult(type, V2, 'SEATA_NOT_A_REQUEST', [type]).type, GlobalStatusResult.code, `${type}`)
  }
})

test('a failed commit says Finished and every other UnKnown, unless the status is given', (t) => {
  const status = (type: number, given?: number, version = V2) =>
    (failedResult(type, version, 'SEATA_UNAVAILABLE', [1], given) as { globalStatus?: number }).globalStatus
  t.is(status(7), 15)
  for (const type of [1, 9, 15, 17, 99]) t.is(status(type), 0)
  t.is(status(7, 3), 3)
  t.is(status(9, 11), 11)
  t.is(status(15, 0), 0)
  t.is(status(7, 20, 2_004_000), 20)
  t.is(status(7, 20, V2), 5, 'as far as the client knows it')
})

test("the exception code is told in the client's number", (t) => {
  const number = (version: number) =>
    (failedResult(11, version, 'SEATA_LOCK_CONFLICT_FAIL_FAST', []) as { transactionExceptionCode?: number })
      .transactionExceptionCode
  t.deepEqual([0, 1_004_002, 1_005_000, 1_008_000, V2].map(number), [2, 2, 19, 19, 20])
})

test('every answer to every request is encoded in every form and read back', (t) => {
  for (const request of [-1, 0, 99, ...messages.tables.map(({ code }) => code)]) {
    for (const version of [0, 1_005_000, V2]) {
      for (const code of answers) {
        for (const d of dialects) {
          const details = ['ä'.repeat(60), 2, 3, 4, 5]
          const failed = failedResult(request, version, code, details)
          const label = `${request} ${code} ${JSON.stringify(d)}`
          const w = new Writer(4096)
          writeBody(w, failed, d)
          const r = new Reader(w.written)
          const read = readBody(r, d) as Record<string, any>
          t.is(r.left, 0, label)
          t.is(read.type, failed.type, label)
          if ('identified' in read) t.is(read.identified, false, label)
          const says = 'transactionExceptionCode' in read || d.version === 2
          if (!says) continue
          const short = d.shortMsg && [4, 6, 14, 22].includes(read.type)
          t.is(read.resultCode, 0, label)
          if (short) t.true(errorMessage(code, ...details).startsWith(read.msg), label)
          else t.is(read.msg, errorMessage(code, ...details), label)
          if ('transactionExceptionCode' in read) {
            t.is(read.transactionExceptionCode, exceptionOrdinal(ERRORS[code].exception, version), label)
          }
        }
      }
    }
  }
})

test('one line passes in its time and tells how many it held back', (t) => {
  const brake = new RateLimited(1000)
  const lines: [number, number][] = []
  for (const now of [0, 1, 999, 1000, 1001, 5000, 5999, 6000]) brake.pass(now, (held) => lines.push([now, held]))
  t.deepEqual(lines, [
    [0, 0],
    [1000, 2],
    [5000, 1],
    [6000, 1]
  ])
})

test('the first line passes whatever the clock says, and a second is the usual time', (t) => {
  for (const start of [0, 5, 1e12]) {
    const brake = new RateLimited()
    const lines: number[] = []
    for (const after of [0, 999, 1000]) brake.pass(start + after, (held) => lines.push(held))
    t.deepEqual(lines, [0, 1])
  }
})
