// Every captured conversation of a real client with the Java server, again with ours: the same answers, or a difference that is known,
// has a reason, and stands in docs/clients.md.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { startApp } from '../e2e/servers.ts'
import { captures } from '../golden/golden.ts'
import { type Difference, Replay } from '../golden/replay.ts'

interface Accepted {
  /** The situation, as the last table of docs/clients.md has it, where both ways stand. Null: the capture differs, not the servers. */
  readonly row: string | null
  /** Where it may be met; everywhere without it. */
  readonly in?: RegExp
  holds(d: Difference): boolean
}

const pair = (field: string, java: unknown, ...ours: unknown[]) => ({
  holds: (d: Difference) => d.what.endsWith(field) && d.java === java && ours.includes(d.ours)
})
const [BEGIN, TIMEOUT_ROLLBACKING, ASYNC_COMMITTING, COMMITTED, ROLLBACKED, TIMEOUT_ROLLBACKED, FINISHED] = [
  1, 6, 8, 9, 11, 13, 15
]
const ENDED = [COMMITTED, ROLLBACKED, TIMEOUT_ROLLBACKED]
const LOCKED = 'TransactionException[Global lock acquire failed xid = '

/** The fields of an answer of one that does not lead, and what Java has there. */
const NOT_LEADER: readonly [string, unknown][] = [
  ['transactionExceptionCode', 19],
  ['resultCode', 0],
  ['msg', 'TransactionException[ The current TC is not a leader node, interrupt processing !]'],
  ['xid', '']
]

/** What stays the same of the text of a lock conflict: ids of refused branches are nobody's. */
function conflict(msg: unknown): string {
  return typeof msg === 'string' ? msg.replace(/branchId = \d+/, 'branchId').replace(/, Global lock on .*\]/, ']') : ''
}

const ACCEPTED: readonly Accepted[] = [
  { row: 'commit, rollback or status of a transaction that has ended', ...pair('globalStatus', FINISHED, ...ENDED) },
  { row: 'a timeout', ...pair('globalStatus', BEGIN, TIMEOUT_ROLLBACKED) },
  {
    row: 'the status soon after a commit or a timeout',
    ...pair('globalStatus', TIMEOUT_ROLLBACKING, TIMEOUT_ROLLBACKED)
  },
  { row: 'the status soon after a commit or a timeout', ...pair('globalStatus', ASYNC_COMMITTING, COMMITTED) },
  {
    row: 'the text of a lock conflict',
    holds: (d) => d.what === '12 msg' && conflict(d.java).startsWith(LOCKED) && conflict(d.java) === conflict(d.ours)
  },
  { row: 'answers in bzip2 and lz4', in: /compressor-lz4/, ...pair('compressor', 5, 0) },
  { row: 'answers in bzip2 and lz4', in: /compressor-bzip2/, ...pair('compressor', 4, 0) },
  { row: 'requests to an RM of a server with `transport.compressor`', in: /server-zstd/, ...pair('compressor', 7, 0) },
  {
    row: 'lock conflict while the holder rolls back (fail fast), clients 1.5 to 1.8',
    in: /java-1\.[68]\.\d\/failfast/,
    ...pair('transactionExceptionCode', 20, 19)
  },
  {
    row: '`transport.enableTcServerBatchSendResponse`',
    in: /server-batch-response/,
    ...pair('form', 'BatchResult', 'MergeResult')
  },
  {
    row: 'an envelope with a GlobalStatus, clients from 2.3 on',
    in: /batch-tm-on|merged/,
    ...pair('form', 'alone', 'MergeResult')
  },
  {
    // The captured RM could not read them, and said nothing; a test that waits less asks it more often.
    row: 'requests to an RM that registered in protobuf',
    in: /serialization-protobuf/,
    holds: (d) => (d.what === 'codec' && d.java === 1) || /^request .* was not expected$/.test(d.what)
  },
  {
    row: 'a BranchReport without application data',
    in: /at-report-success/,
    ...pair('applicationData', '', '{"autoCommit":false}')
  },
  {
    row: 'frames that say v2',
    in: /register-v2|version-changes/,
    ...pair('version', 1, 2)
  },
  {
    row: 'an xid that is none',
    in: /status-bad-xid/,
    ...pair(
      'msg',
      'RuntimeException[Cannot invoke "Object.hashCode()" because "key" is null]',
      'RuntimeException[xid [] is not valid]'
    )
  },
  { row: 'a transaction name that is too long', in: /begin-long-name/, holds: (d) => d.n === 4 },
  {
    row: 'unreadable bodies, unknown types, serializers and compressors',
    in: /empty-body|short-body|unknown-|merged-|unregister-rm|split-two|v0-ping-then-v1|stale-lengths-then-frames/,
    holds: (d) => d.java === undefined && d.ours !== undefined
  },
  {
    row: 'requests before registration',
    in: /unregistered/,
    holds: (d) => (d.java === true && d.ours === false) || (d.java === undefined && d.ours !== undefined)
  },
  {
    row: 'bytes that are no frame',
    in: /bad-magic|garbage|http|raft-(metadata|watch)|too-long|zero-lengths|stale-lengths/,
    holds: (d) => d.what === 'the connection is closed' && d.java === false
  },
  {
    row: 'a server that does not lead (`NotRaftLeader`)',
    in: /raft-follower/,
    holds: (d) => NOT_LEADER.some(([field, java]) => d.what.endsWith(field) && d.java === java)
  },
  {
    // Of the capture: its transactions were begun at another server of the Raft group.
    row: null,
    in: /raft-(leader|follower)/,
    holds: (d) =>
      d.what.endsWith('globalStatus') && [BEGIN, COMMITTED].includes(d.java as number) && d.ours === FINISHED
  }
]
const used = new Set<Accepted>()

const text = (value: unknown) => JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? String(v) : v))

for (const capture of captures()) {
  test(`${capture.name}: ours answers as the Java server did`, async (t) => {
    t.timeout(100_000)
    // An RM that stays silent is not waited for as long as Java does, or this test would take twice its time.
    const { port } = await startApp(t, { rpcTcRequestTimeout: 4_000 })
    const replay = new Replay(capture, port)
    const differences = await replay.run()
    t.true(replay.compared > 0 || capture.client === 'probes', 'nothing was compared')
    for (const d of differences) {
      const accepted = ACCEPTED.find((a) => (a.in?.test(capture.name) ?? true) && a.holds(d))
      if (accepted) used.add(accepted)
      else t.fail(`n=${d.n} ${d.what}\n  java ${text(d.java)}\n  ours ${text(d.ours)}`)
    }
  })
}

test.after.always('every difference that is accepted is met', (t) => {
  t.deepEqual(
    ACCEPTED.filter((a) => !used.has(a)).map(({ row }) => row),
    []
  )
})

test('every difference that is accepted stands in docs/clients.md', (t) => {
  const lines = readFileSync(join(import.meta.dirname, '../../docs/clients.md'), 'utf8').split('\n')
  for (const { row } of ACCEPTED) {
    if (row === null) continue
    t.true(
      lines.some((line) => line.startsWith(`| ${row} |`)),
      row
    )
  }
})
