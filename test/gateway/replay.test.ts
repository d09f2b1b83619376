// Every captured conversation of a real client with the Java server, again with ours: the same answers, or a difference that is known,
// has a reason, and stands in docs/clients.md.
import test from 'ava'
import { startApp } from '../e2e/servers.ts'
import { captures } from '../golden/golden.ts'
import { type Difference, Replay } from '../golden/replay.ts'

interface Accepted {
  readonly why: string
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

/** What stays the same of the text of a lock conflict: ids of refused branches are nobody's. */
function conflict(msg: unknown): string {
  return typeof msg === 'string' ? msg.replace(/branchId = \d+/, 'branchId').replace(/, Global lock on .*\]/, ']') : ''
}

const ACCEPTED: readonly Accepted[] = [
  { why: 'how a transaction ended is remembered', ...pair('globalStatus', FINISHED, ...ENDED) },
  { why: 'a timeout is noticed when it is due, and not by a pass', ...pair('globalStatus', BEGIN, TIMEOUT_ROLLBACKED) },
  { why: 'a timed-out rollback ends at once', ...pair('globalStatus', TIMEOUT_ROLLBACKING, TIMEOUT_ROLLBACKED) },
  { why: 'a commit ends at once', ...pair('globalStatus', ASYNC_COMMITTING, COMMITTED) },
  {
    why: 'the text of a lock conflict names row and holder',
    holds: (d) => d.what === '12 msg' && conflict(d.java).startsWith(LOCKED) && conflict(d.java) === conflict(d.ours)
  },
  { why: 'bodies in lz4 are unpacked only', in: /compressor-lz4/, ...pair('compressor', 5, 0) },
  { why: 'bodies in bzip2 are unpacked only', in: /compressor-bzip2/, ...pair('compressor', 4, 0) },
  { why: 'requests to RMs are never compressed', in: /server-zstd/, ...pair('compressor', 7, 0) },
  {
    why: 'the code of fail-fast is the one that the client knows',
    in: /java-1\.[68]\.\d\/failfast/,
    ...pair('transactionExceptionCode', 20, 19)
  },
  { why: 'there are no BatchResults', in: /server-batch-response/, ...pair('form', 'BatchResult', 'MergeResult') },
  {
    why: 'an envelope with a GlobalStatus is answered as a whole',
    in: /batch-tm-on|merged/,
    ...pair('form', 'alone', 'MergeResult')
  },
  {
    // The captured RM could not read them, and said nothing; a test that waits less asks it more often.
    why: 'requests to an RM come in the serializer in which it registered',
    in: /serialization-protobuf/,
    holds: (d) => (d.what === 'codec' && d.java === 1) || /^request .* was not expected$/.test(d.what)
  },
  {
    why: 'a report without application data leaves what there is',
    in: /at-report-success/,
    ...pair('applicationData', '', '{"autoCommit":false}')
  },
  {
    why: 'answers come in the frame version of the request',
    in: /register-v2|version-changes/,
    ...pair('version', 1, 2)
  },
  {
    why: 'the text for an empty xid is not one of a Java exception',
    in: /status-bad-xid/,
    ...pair(
      'msg',
      'RuntimeException[Cannot invoke "Object.hashCode()" because "key" is null]',
      'RuntimeException[xid [] is not valid]'
    )
  },
  { why: 'a name that is too long is refused at begin', in: /begin-long-name/, holds: (d) => d.n === 4 },
  {
    why: 'what the Java server drops is answered',
    in: /empty-body|short-body|unknown-|merged-|unregister-rm|split-two|v0-ping-then-v1|stale-lengths-then-frames/,
    holds: (d) => d.java === undefined && d.ours !== undefined
  },
  {
    why: 'who has not registered gets an error, and the connection stays',
    in: /unregistered/,
    holds: (d) => (d.java === true && d.ours === false) || (d.java === undefined && d.ours !== undefined)
  },
  {
    why: 'bytes that are no frame close the connection',
    in: /bad-magic|garbage|http|raft-(metadata|watch)|too-long|zero-lengths|stale-lengths/,
    holds: (d) => d.what === 'the connection is closed' && d.java === false
  },
  {
    why: 'the captured server was a follower, or of a cluster that knew the transaction',
    in: /raft-(follower|leader)/,
    holds: () => true
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
    ACCEPTED.filter((a) => !used.has(a)).map(({ why }) => why),
    []
  )
})
