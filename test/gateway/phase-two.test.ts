// Which RM serves a branch, and which call an answer belongs to.
import test from 'ava'
import { PhaseTwo } from '../../gateway/phase-two.ts'
import type { ClientSession } from '../../gateway/session.ts'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import type { Header } from '../../tc-core/wire/frame.ts'
import type { BranchCall, CallOutcome } from '../../tc-core/wire/link.ts'
import { readBody, writeBody } from '../../tc-core/wire/messages/index.ts'
import { parseVersion } from '../../tc-core/wire/version.ts'

const V1 = { version: 1, shortMsg: false } as const

interface FakeSession {
  readonly name: string
  readonly sent: { header: Header; message: any }[]
  closed: boolean
  stuck: boolean
  readonly as: ClientSession
}

function session(application: string, ip: string, port: number, version = '2.0.0', frame: 0 | 1 = 1): FakeSession {
  const sent: FakeSession['sent'] = []
  const fake = {
    name: `${application}:${ip}:${port}`,
    sent,
    closed: false,
    stuck: false,
    ip,
    client: {
      applicationId: application,
      transactionServiceGroup: 'g',
      clientId: `${application}:${ip}:${port}`,
      version: parseVersion(version)
    },
    resources: new Set<string>(),
    calls: new Set<number>(),
    dialect: { version: frame, shortMsg: false },
    codec: 1,
    send: (header: Header, body: Buffer) =>
      void sent.push({ header, message: readBody(new Reader(Buffer.from(body)), V1) })
  }
  return Object.assign(fake, { as: fake as unknown as ClientSession })
}

function call(clientId: string, more: Partial<BranchCall> = {}): BranchCall {
  return {
    id: 1,
    kind: 'commit',
    xid: 'h:1:1',
    branchId: 5n,
    branchType: 1,
    resourceId: 'r',
    clientId,
    applicationData: 'data',
    anyApplication: false,
    timeout: 1000,
    ...more
  }
}

function result(branchStatus: number): Buffer {
  const w = new Writer()
  writeBody(w, { type: 4, resultCode: 1, xid: 'h:1:1', branchId: 5n, branchStatus } as never, V1)
  return Buffer.from(w.written)
}

test('the search for a connection: the very one, the same host, the same application, and for AT any application', (t) => {
  const phaseTwo = new PhaseTwo(() => 0)
  const exact = session('app', '10.0.0.1', 1)
  const sameHost = session('app', '10.0.0.1', 2)
  const sameApplication = session('app', '10.0.0.2', 3)
  const other = session('other', '10.0.0.1', 4)
  const unrelated = session('app', '10.0.0.1', 5)
  for (const s of [exact, sameHost, sameApplication, other]) phaseTwo.add(s.as, ['r'])
  phaseTwo.add(unrelated.as, ['another resource'])
  const outcomes: CallOutcome[] = []
  const served = (anyApplication: boolean) => {
    const all = [exact, sameHost, sameApplication, other, unrelated]
    const before = all.map((s) => s.sent.length)
    phaseTwo.call(call('app:10.0.0.1:1', { anyApplication }), (outcome) => void outcomes.push(outcome))
    return all.find((s, i) => s.sent.length > before[i]!)?.name ?? outcomes.at(-1)
  }
  t.is(served(false), exact.name)
  phaseTwo.gone(exact.as)
  t.is(served(false), sameHost.name)
  sameHost.stuck = true
  t.is(served(false), sameApplication.name)
  phaseTwo.drop(sameApplication.as, ['r'])
  t.is(served(false), 'not-connected')
  t.is(served(true), other.name)
  other.closed = true
  t.is(served(true), 'not-connected')
})

test('connections of one application take turns', (t) => {
  const phaseTwo = new PhaseTwo(() => 0)
  const sessions = [1, 2, 3].map((port) => session('app', '10.0.0.9', port))
  for (const s of sessions) phaseTwo.add(s.as, ['r'])
  for (let i = 0; i < 9; i++) phaseTwo.call(call('app:10.0.0.1:77'), () => {})
  t.deepEqual(
    sessions.map((s) => s.sent.length),
    [3, 3, 3]
  )
})

test('an answer ends its call once, over whichever connection it comes; only the branch status counts', (t) => {
  const phaseTwo = new PhaseTwo(() => 0)
  const rm = session('app', '10.0.0.1', 1)
  phaseTwo.add(rm.as, ['r'])
  const outcomes: CallOutcome[] = []
  phaseTwo.call(call('app:10.0.0.1:1'), (outcome) => void outcomes.push(outcome))
  const { header, message } = rm.sent[0]!
  t.like(message, { type: 3, xid: 'h:1:1', branchId: 5n, resourceId: 'r', applicationData: 'data' })
  const bytes = result(5)
  phaseTwo.result(header.id, bytes, 0, bytes.length, V1)
  phaseTwo.result(header.id, bytes, 0, bytes.length, V1)
  phaseTwo.result(4711, bytes, 0, bytes.length, V1)
  t.deepEqual(outcomes, [5])
  t.is(phaseTwo.size, 0)
})

test('an answer that cannot be read, a lost one, and a connection that goes end the call without an answer', (t) => {
  const phaseTwo = new PhaseTwo(() => 0)
  const rm = session('app', '10.0.0.1', 1)
  phaseTwo.add(rm.as, ['r'])
  const outcomes: CallOutcome[] = []
  for (let i = 0; i < 4; i++) phaseTwo.call(call('app:10.0.0.1:1'), (outcome) => void outcomes.push(outcome))
  const ids = rm.sent.map((s) => s.header.id)
  t.is(new Set(ids).size, 4)
  const short = result(5).subarray(0, 9)
  phaseTwo.result(ids[0]!, short, 0, short.length, V1)
  phaseTwo.lost(ids[1]!)
  phaseTwo.gone(rm.as)
  t.deepEqual(outcomes, ['no-answer', 'no-answer', 'no-answer', 'no-answer'])
  t.is(rm.as.calls.size, 0)
})

test('calls that nobody waits for any more are forgotten', (t) => {
  let now = 0
  const phaseTwo = new PhaseTwo(() => now)
  const rm = session('app', '10.0.0.1', 1)
  phaseTwo.add(rm.as, ['r'])
  phaseTwo.call(call('app:10.0.0.1:1', { timeout: 100 }), () => t.fail('nobody waits'))
  now = 99
  phaseTwo.sweep()
  t.is(phaseTwo.size, 1)
  now = 100
  phaseTwo.sweep()
  t.is(phaseTwo.size, 0)
  t.is(rm.as.calls.size, 0)
})

test('undo logs: one RM of each resource is told, none that is too old to understand', (t) => {
  const phaseTwo = new PhaseTwo(() => 0)
  const old = session('app', '10.0.0.1', 1, '0.6.1', 0)
  const a = session('app', '10.0.0.1', 2)
  const b = session('app', '10.0.0.1', 3)
  phaseTwo.add(old.as, ['db1', 'db2'])
  phaseTwo.add(a.as, ['db1'])
  phaseTwo.add(b.as, ['db1'])
  phaseTwo.deleteUndoLogs(7)
  t.is(old.sent.length, 0)
  t.is(a.sent.length + b.sent.length, 1)
  t.like(a.sent[0], { message: { type: 111, resourceId: 'db1', saveDays: 7, branchType: 0 } })
  t.is(a.sent[0]!.header.messageType, 2)
})
