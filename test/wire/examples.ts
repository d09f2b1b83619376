// Worked examples of the protocol: one frame each, byte by byte as the real Java coders write and read it, and what it says.
import type { AnyMessage, MessageOf, Table } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'

export interface Example {
  readonly name: string
  readonly version: 0 | 1 | 2
  readonly messageType: number
  readonly compressor: number
  readonly id: number
  readonly bytes: Buffer
  /** Null for a heartbeat. */
  readonly message: AnyMessage | null
}

export const XID = '192.168.1.10:8091:2612341069705662465'
export const BRANCH_ID = 2612341069705662466n

const X = `0025${Buffer.from(XID).toString('hex')}`
const BRANCH = '2440e65cb3f85002'
const DB = '6a6462633a6d7973716c3a2f2f64623a333330362f61'
const APP = '0003617070001064656661756c745f74785f67726f7570'
const AUTH = '0008616b3d6e756c6c0a'

// Name, version, message type, id, bytes. v1 and v2: dada, version, full length, head length, type, codec, compressor, id, body.
const FRAMES = `
E1   1 3 5   dada01 00000010 0010 03 01 00 00000005
E1b  2 3 5   dada02 00000010 0010 03 01 00 00000005
E2   1 4 5   dada01 00000010 0010 04 01 00 00000005
E3   1 0 1   dada01 0000003a 0010 00 01 00 00000001 0065 0005322e302e30 ${APP} ${AUTH}
E3b  2 0 1   dada02 0000003a 0010 00 01 00 00000001 0065 0005322e302e30 ${APP} ${AUTH}
E4   1 1 1   dada01 0000001a 0010 01 01 00 00000001 0066 01 0005322e352e30
E5   2 1 1   dada02 0000001b 0010 01 01 00 00000001 0066 01 01 0005322e352e30
E6   1 0 2   dada01 00000053 0010 00 01 00 00000002 0067 0005312e352e32 ${APP} 0000 0000001d ${DB}2c746363526573
E7   2 1 2   dada02 0000002e 0010 01 01 00 00000002 0068 00 0011524d20636865636b41757468206661696c 00 0005322e372e30
E7b  1 1 2   dada01 0000001a 0010 01 01 00 00000002 0068 00 0005322e372e30
E8   1 0 3   dada01 00000024 0010 00 01 00 00000003 0001 0000ea60 000c6372656174652d6f72646572
E9   1 1 3   dada01 0000003d 0010 01 01 00 00000003 0002 01 00 ${X} 0000
E10  1 1 3   dada01 0000001c 0010 01 01 00 00000003 0002 00 00026e6f 01 0000 0000
E11  1 0 4   dada01 00000065 0010 00 01 00 00000004 000b ${X} 00 0016${DB} 0000000b745f6f726465723a312c32 00000000
E12  1 1 4   dada01 0000001c 0010 01 01 00 00000004 000c 01 00 ${BRANCH}
E13  1 1 4   dada01 00000022 0010 01 01 00 00000004 000c 00 00046c6f636b 02 0000000000000000
E14  1 0 5   dada01 00000049 0010 00 01 00 00000005 000d ${X} ${BRANCH} 03 0000 00000000 00
E15  1 1 5   dada01 00000014 0010 01 01 00 00000005 000e 01 00
E16  1 0 6   dada01 0000003b 0010 00 01 00 00000006 0007 ${X} 0000
E17  1 1 6   dada01 00000015 0010 01 01 00 00000006 0008 01 00 09
E18  1 1 7   dada01 0000002e 0010 01 01 00 00000007 000a 00 00175472616e73616374696f6e457863657074696f6e5b785d 0a 0f
E19  1 0 8   dada01 0000003c 0010 00 01 00 00000008 0011 ${X} 0000 09
E20  1 0 9   dada01 00000049 0010 00 01 00 00000009 0015 ${X} 00 00027231 00000003743a31 00000000
E21  1 1 9   dada01 00000016 0010 01 01 00 00000009 0016 01 00 0001
E22  1 0 100 dada01 0000005e 0010 00 01 00 00000064 0003 ${X} ${BRANCH} 00 0016${DB} 00000000
E23  1 1 100 dada01 00000044 0010 01 01 00 00000064 0004 01 00 ${X} ${BRANCH} 05
E24  1 0 101 dada01 00000067 0010 00 01 00 00000065 0005 ${X} ${BRANCH} 01 0006746363526573 \
 000000197b22616374696f6e436f6e74657874223a7b2261223a317d7d
E25  1 1 101 dada01 00000044 0010 01 01 00 00000065 0006 01 00 ${X} ${BRANCH} 08
E26  1 2 102 dada01 00000019 0010 02 01 00 00000066 006f 00 00027231 0007
E27  1 2 13  dada01 00000084 0010 02 01 00 0000000d 003b 0000006e 0002 000f ${X} 0000 \
 0015 ${X} 00 00027231 00000003743a31 00000000 0000000b 0000000c
E28  1 1 13  dada01 00000023 0010 01 01 00 0000000d 003c 0000000d 0002 0010 010001 0016 01000001
E29  1 1 13  dada01 0000002b 0010 01 01 00 0000000d 0079 00000015 0002 0016 01000001 0010 010001 0000000c 0000000b
E30a 1 1 11  dada01 00000015 0010 01 01 00 0000000b 0010 01 00 01
E30b 1 1 12  dada01 00000016 0010 01 01 00 0000000c 0016 01 00 0001
E31  2 2 20  dada02 00000038 0010 02 01 00 00000014 0069 0005322e372e30 ${APP} 0000 000000027231
E31b 2 1 20  dada02 0000001a 0010 01 01 00 00000014 006a 01 0005322e372e30
E33a 0 3 7   dada 00e0 0000 0000000000000007
E33b 0 4 7   dada 0020 0000 0000000000000007
E34  0 0 1   dada 0090 0065 0000000000000001 0005322e302e30 ${APP} ${AUTH}
E34b 0 1 1   dada 0010 0066 0000000000000001 01 0005322e352e30
E35  1 0 14  dada01 0000004c 0010 00 01 01 0000000e 1f8b08000000000000ff05c1c11100200803b06ee0147e398a50c1fd0733c1c2e6\
84516d34fa6b1fbe10e3245d73bda44815f001650263412b000000
E38j 1 1 100 dada01 00000049 0010 01 01 00 00000064 0004 00 0003657272 00 ${X} ${BRANCH} 06
`

/** A message of a table, its fields checked by the compiler. */
export function message<T extends Table>(table: T, fields: Omit<MessageOf<T>, 'type'>): AnyMessage {
  return { type: table.code, ...fields }
}

const ok = { resultCode: 1, msg: '', transactionExceptionCode: 0 }
const identity = { applicationId: 'app', transactionServiceGroup: 'default_tx_group', extraData: '' }
const tm = message(m.RegisterTM, { ...identity, version: '2.0.0', extraData: 'ak=null\n' })
const tmResult = message(m.RegisterTMResult, { resultCode: 1, msg: '', identified: true, version: '2.5.0' })
const refused = { identified: false, version: '2.7.0' }
const end = { xid: XID, extraData: '' }
const failed = { resultCode: 0, msg: 'TransactionException[x]', transactionExceptionCode: 10 }
const branch = { xid: XID, branchId: BRANCH_ID }
const db = { branchType: 0, resourceId: 'jdbc:mysql://db:3306/a', applicationData: '' }
const lock = { xid: XID, branchType: 0, resourceId: 'r1', lockKey: 't:1', applicationData: '' }
const tcc = { branchType: 1, resourceId: 'tccRes', applicationData: '{"actionContext":{"a":1}}' }

const status = message(m.GlobalStatus, end)
const statusResult = message(m.GlobalStatusResult, { ...ok, globalStatus: 1 })
const query = message(m.GlobalLockQuery, lock)
const lockable = message(m.GlobalLockQueryResult, { ...ok, lockable: true })

/** Failed BranchCommit of E38 (msg after one byte of length) and E38j (after two). */
export const failedCommit = message(m.BranchCommitResult, {
  ...{ resultCode: 0, msg: 'err', transactionExceptionCode: 0 },
  ...{ ...branch, branchStatus: 6 }
})

const SAID: Readonly<Record<string, AnyMessage>> = {
  E3: tm,
  E3b: tm,
  E4: tmResult,
  E5: tmResult,
  E6: message(m.RegisterRM, { ...identity, version: '1.5.2', resourceIds: 'jdbc:mysql://db:3306/a,tccRes' }),
  E7: message(m.RegisterRMResult, { resultCode: 0, msg: 'RM checkAuth fail', ...refused }),
  E7b: message(m.RegisterRMResult, { resultCode: 1, msg: '', ...refused }),
  E8: message(m.GlobalBegin, { timeout: 60000, transactionName: 'create-order' }),
  E9: message(m.GlobalBeginResult, { ...ok, xid: XID, extraData: '' }),
  E10: message(m.GlobalBeginResult, { ...failed, msg: 'no', transactionExceptionCode: 1, xid: '', extraData: '' }),
  E11: message(m.BranchRegister, { xid: XID, ...db, lockKey: 't_order:1,2' }),
  E12: message(m.BranchRegisterResult, { ...ok, branchId: BRANCH_ID }),
  E13: message(m.BranchRegisterResult, { ...failed, msg: 'lock', transactionExceptionCode: 2, branchId: 0n }),
  E14: message(m.BranchReport, { ...branch, branchStatus: 3, resourceId: '', applicationData: '', branchType: 0 }),
  E15: message(m.BranchReportResult, ok),
  E16: message(m.GlobalCommit, end),
  E17: message(m.GlobalCommitResult, { ...ok, globalStatus: 9 }),
  E18: message(m.GlobalRollbackResult, { ...failed, globalStatus: 15 }),
  E19: message(m.GlobalReport, { ...end, globalStatus: 9 }),
  E20: query,
  E21: lockable,
  E22: message(m.BranchCommit, { ...branch, ...db }),
  E23: message(m.BranchCommitResult, { ...ok, ...branch, branchStatus: 5 }),
  E24: message(m.BranchRollback, { ...branch, ...tcc }),
  E25: message(m.BranchRollbackResult, { ...ok, ...branch, branchStatus: 8 }),
  E26: message(m.UndoLogDelete, { branchType: 0, resourceId: 'r1', saveDays: 7 }),
  E27: message(m.MergedWarp, { messages: [status, query], msgIds: [11, 12] }),
  E28: message(m.MergeResult, { messages: [statusResult, lockable] }),
  E29: message(m.BatchResult, { messages: [lockable, statusResult], msgIds: [12, 11] }),
  E30a: statusResult,
  E30b: lockable,
  E31: message(m.UnregisterRM, { ...identity, version: '2.7.0', resourceIds: 'r1' }),
  E31b: message(m.UnregisterRMResult, { identified: true, version: '2.7.0' }),
  E34: tm,
  E34b: tmResult,
  E35: status,
  E38j: failedCommit
}

export const examples: readonly Example[] = FRAMES.trim()
  .split('\n')
  .map((line) => {
    const [name, version, messageType, id, ...hex] = line.split(/ +/)
    const bytes = Buffer.from(hex.join(''), 'hex')
    return {
      name: name!,
      version: Number(version) as 0 | 1 | 2,
      messageType: Number(messageType),
      compressor: name === 'E35' ? 1 : 0,
      id: Number(id),
      bytes,
      message: SAID[name!] ?? null
    }
  })

export function exampleOf(name: string): Example {
  const found = examples.find((example) => example.name === name)
  if (!found) throw new Error(`there is no example ${name}`)
  return found
}
