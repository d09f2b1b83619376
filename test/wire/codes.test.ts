// Seata's numbers for each client version, versions themselves, and XIDs.
import test from 'ava'
import fc from 'fast-check'
import * as codes from '../../tc-core/wire/codes.ts'
import { parseVersion } from '../../tc-core/wire/version.ts'
import {
  EPOCH_MS,
  fragmentOf,
  MAX_FRAGMENT,
  MAX_XID_BYTES,
  splitTransactionId,
  transactionId
} from '../../tc-core/wire/xid.ts'

type Names = readonly codes.ExceptionName[]
const names = (text: string) => text.trim().split(/\s+/) as Names

/** Known to every client, from ordinal 0 on. */
const COMMON = names(`
  Unknown BeginFailed LockKeyConflict IO BranchRollbackFailed_Retriable BranchRollbackFailed_Unretriable
  BranchRegisterFailed BranchReportFailed LockableCheckFailed BranchTransactionNotExist GlobalTransactionNotExist
  GlobalTransactionNotActive GlobalTransactionStatusInvalid FailedToSendBranchCommitRequest
  FailedToSendBranchRollbackRequest FailedToAddBranch FailedLockGlobalTransaction FailedWriteSession FailedStore
`)
/** What each client has from ordinal 19 on; a number behind the last is one that it cannot decode. */
const FAIL_FAST = names('LockKeyConflictFailFast')
const LATER = names('LockKeyConflictFailFast TransactionTimeout CommitHeuristic Broken')
const CLIENTS: readonly (readonly [string, Names])[] = [
  ...['', '0.6.1', '1.3.0', '1.4.2'].map((version) => [version, []] as const),
  ...['1.5.0', '1.5.2', '1.6.1'].map((version) => [version, FAIL_FAST] as const),
  ...['1.7.1', '1.8.0'].map((version) => [version, LATER] as const),
  ...['2.0.0', '2.1.0', '2.6.0', '2.7.0-SNAPSHOT', '3.0.0'].map(
    (version) => [version, ['NotRaftLeader', ...LATER] as Names] as const
  )
]
/** What stands in for a code that a client does not know. */
const INSTEAD: Readonly<Record<string, codes.ExceptionName>> = {
  LockKeyConflictFailFast: 'LockKeyConflict',
  NotRaftLeader: 'FailedStore',
  TransactionTimeout: 'Unknown',
  CommitHeuristic: 'Unknown',
  Broken: 'Unknown'
}
const ALL: Names = [...COMMON, ...(Object.keys(INSTEAD) as Names)]
/** 1.7 and 1.8 would know these; no error of the product has them. */
const NOT_TOLD = new Set<string>(['TransactionTimeout', 'CommitHeuristic', 'Broken'])

for (const [version, later] of CLIENTS) {
  test(`a client of version "${version}" reads every exception code as what it is, or as the nearest that it knows`, (t) => {
    const known = [...COMMON, ...later]
    for (const name of ALL) {
      const ordinal = codes.exceptionOrdinal(name, parseVersion(version))
      const read = known[ordinal]
      const knows = known.includes(name) && !(NOT_TOLD.has(name) && parseVersion(version) < 2_000_000)
      t.is(read, knows ? name : INSTEAD[name], `${name} is told as ${ordinal}`)
    }
  })
}

test('the number of LockKeyConflictFailFast is 2 up to 1.4, 19 from 1.5 to 1.8 and in seata-go, 20 from 2.0', (t) => {
  const of = (version: string) => codes.exceptionOrdinal('LockKeyConflictFailFast', parseVersion(version))
  t.deepEqual(['1.4.2', '1.5.0', '1.5.2', '1.8.9', '2.0.0'].map(of), [2, 19, 19, 19, 20])
  t.is(codes.exceptionOrdinal('NotRaftLeader', parseVersion('1.8.0')), 18)
  t.is(codes.exceptionOrdinal('NotRaftLeader', parseVersion('2.0.0')), 19)
})

test('a client gets no global status that it cannot decode, and the nearest instead', (t) => {
  const at = (version: string) => Array.from({ length: 21 }, (_, s) => codes.statusFor(s, parseVersion(version)))
  const upTo15 = Array.from({ length: 16 }, (_, s) => s)
  t.deepEqual(at('1.4.2'), [...upTo15, 3, 5, 15, 3, 5])
  t.deepEqual(at(''), at('1.4.2'))
  t.deepEqual(at('1.5.0'), [...upTo15, 16, 17, 15, 3, 5])
  t.deepEqual(at('2.3.9'), at('1.5.0'))
  t.deepEqual(at('2.4.0'), [...upTo15, 16, 17, 18, 19, 20])
  t.deepEqual(at('2.7.0'), at('2.4.0'))
})

test('every global status has its name, and a number without one is shown', (t) => {
  for (const [name, status] of Object.entries(codes.GlobalStatus)) t.is(codes.statusName(status), name)
  t.is(new Set(Object.values(codes.GlobalStatus)).size, 21)
  t.is(codes.statusName(11), 'Rollbacked')
  t.is(codes.statusName(21), 'Unknown(21)')
  t.is(codes.statusName(-1), 'Unknown(-1)')
})

test('a version is a number that compares, whatever stands behind it', (t) => {
  for (const [text, version] of Object.entries({
    '1.5.2': 1_005_002,
    '2.0.0': 2_000_000,
    '2.7.0-SNAPSHOT': 2_007_000,
    '0.7.1': 7_001,
    '1.4': 1_004_000,
    '2': 2_000_000,
    '2.0.0.1': 2_000_000,
    '1.10.0': 1_010_000,
    '1.999.999': 1_999_999,
    '': 0,
    ' ': 0,
    x: 0,
    'v2.0.0': 0,
    '-1.0.0': 0,
    '.5.0': 0,
    null: 0
  })) {
    t.is(parseVersion(text), version, `"${text}"`)
  }
})

test('versions compare as their parts do', (t) => {
  const part = fc.nat(999)
  const triple = fc.tuple(part, part, part)
  fc.assert(
    fc.property(triple, triple, (a, b) => {
      const [x, y] = [parseVersion(a.join('.')), parseVersion(`${b.join('.')}-SNAPSHOT`)]
      const i = a.findIndex((n, i) => n !== b[i])
      return Math.sign(x - y) === (i < 0 ? 0 : Math.sign(a[i]! - b[i]!))
    }),
    { seed: 1 }
  )
  t.pass()
})

test("a transaction id has the layout of Seata's own: worker, ms since 2020-05-02, sequence", (t) => {
  t.is(EPOCH_MS, Date.UTC(2020, 4, 2, 16))
  t.is(transactionId(290, EPOCH_MS + 61837361029, 1), 2612341069705662465n)
  t.is(fragmentOf('192.168.1.10:8091:2612341069705662465'), 290)
  t.is(transactionId(0, EPOCH_MS, 0), 0n)
  t.is(transactionId(0, EPOCH_MS, 4095), 4095n)
  t.is(transactionId(1, EPOCH_MS, 0), 2n ** 53n)
  t.is(transactionId(MAX_FRAGMENT, EPOCH_MS + 2 ** 41 - 1, 4095), 2n ** 63n - 1n)
})

test('an XID names the fragment that it was made for, whatever its host', (t) => {
  const host = fc.constantFrom('', 'h:1:', '10.0.0.1:8091:', '2001:db8::1:8091:', 'ö:1:', '99999999999999999999:')
  const ms = fc.integer({ min: EPOCH_MS, max: Date.UTC(2089, 0) })
  fc.assert(
    fc.property(fc.nat(MAX_FRAGMENT), ms, fc.nat(4095), host, (fragment, ms, sequence, host) => {
      const id = transactionId(fragment, ms, sequence)
      const xid = `${host}${id}`
      t.is(fragmentOf(xid), fragment, xid)
      const { high, low } = splitTransactionId(xid)!
      t.is(BigInt(high) * 1_000_000_000n + BigInt(low), id)
      t.true(low < 1e9)
    }),
    {
      seed: 2,
      numRuns: 2000,
      examples: [
        [MAX_FRAGMENT, EPOCH_MS, 0, ''],
        [1, EPOCH_MS, 0, '']
      ]
    }
  )
})

test('the longest host of an IPv4 address and port leaves room for any id in 64 bytes', (t) => {
  t.true(`255.255.255.255:65535:${2n ** 63n - 1n}`.length <= MAX_XID_BYTES)
})

test('what does not end in the digits of an id has no fragment', (t) => {
  for (const xid of [
    '',
    ':',
    'a:1:',
    'a:1:-1',
    'a:1:+1',
    'a:1:1 ',
    'a:1: 1',
    'a:1:1.5',
    'a:1:0x1',
    'a:1:1e3',
    'a:1:١'
  ]) {
    t.is(splitTransactionId(xid), null, xid)
    t.is(fragmentOf(xid), -1, xid)
  }
  t.is(splitTransactionId('a:1:12345678901234567890'), null, '20 digits')
  t.is(fragmentOf('a:1:12345678901234567890'), -1)
  t.is(fragmentOf('a:1:9223372036854775808'), -1, 'above int64')
  t.is(fragmentOf('a:1:9999999999999999999'), -1)
})

test('the digits of an id are split at 10^9', (t) => {
  t.deepEqual(splitTransactionId('a:1:0'), { high: 0, low: 0 })
  t.deepEqual(splitTransactionId('7'), { high: 0, low: 7 })
  t.deepEqual(splitTransactionId('a:1:999999999'), { high: 0, low: 999_999_999 })
  t.deepEqual(splitTransactionId('a:1:1000000000'), { high: 1, low: 0 })
  t.deepEqual(splitTransactionId('a:1:9223372036854775807'), { high: 9_223_372_036, low: 854_775_807 })
  t.deepEqual(splitTransactionId('a:1:0000000000000000001'), { high: 0, low: 1 })
})
