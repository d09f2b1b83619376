// The load program's own honesty: an open loop counts what a stalled server makes others wait, conflicts are retried, rows are as said.
import test from 'ava'
import { exceptionOrdinal, GlobalStatus } from '../../tc-core/wire/codes.ts'
import type { AnyMessage } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { V2_0_0 } from '../../tc-core/wire/version.ts'
import { eventually } from '../host/harness.ts'
import { Callers, type CallersOptions } from './callers.ts'
import type { Channel, Outgoing } from './channel.ts'
import { Rows, WORKLOADS } from './workloads.ts'

/** A channel whose server is this function; null: no answer now. */
function channelOf(answer: (message: Outgoing, reply: (message: AnyMessage) => void) => void): Channel {
  const channel = {
    onMessage: (_message: AnyMessage, _id: number) => {},
    send(message: Outgoing, _type: number, id: number) {
      queueMicrotask(() => answer(message, (reply) => channel.onMessage(reply, id)))
    },
    merge(message: Outgoing, id: number) {
      channel.send(message, 0, id)
    }
  }
  return channel as unknown as Channel
}

const begun = { type: m.GlobalBeginResult.code, resultCode: 1, xid: 'x:1:1' } as AnyMessage
const committed = { type: m.GlobalCommitResult.code, resultCode: 1, globalStatus: GlobalStatus.Committed } as AnyMessage
const defaults = { workload: WORKLOADS.empty!, callers: 1, merge: false, rate: null, shed: false }

function load(more: Partial<CallersOptions>, answer: Parameters<typeof channelOf>[0]): Callers {
  const channel = channelOf(answer)
  const callers = new Callers({ ...defaults, ...more }, [channel], [channel])
  callers.measure()
  callers.start()
  return callers
}

test('in an open loop, what was due while the server stalled counts from when it was due', async (t) => {
  let stalled = true
  const callers = load({ rate: 200 }, (message, reply) => {
    if (message.type === m.GlobalCommit.code) return reply(committed)
    if (!stalled) return reply(begun)
    stalled = false
    setTimeout(() => reply(begun), 300)
  })
  await eventually(() => callers.finished >= 55)
  callers.stop()
  t.true(callers.latency.max >= 300_000, `${callers.latency.max}`)
  // 60 were due in those 300 ms: half of them waited for more than 100 ms, though only one was on its way.
  t.true(callers.latency.percentile(50) > 50_000, `${callers.latency.percentile(50)}`)
  t.deepEqual([...callers.errors], [])
})

test('an open loop that sheds counts refusals and what it could not send', async (t) => {
  const refusal = { type: m.GlobalBeginResult.code, resultCode: 0, msg: 'too many' } as unknown as AnyMessage
  const callers = load({ rate: 1000, shed: true }, (_message, reply) => void setTimeout(() => reply(refusal), 10))
  await eventually(() => callers.refusals.count >= 3 && callers.skipped > 10)
  callers.stop()
  t.is(callers.finished, 0)
  t.deepEqual([...callers.errors], [])
})

test('a register that meets a lock is asked again with the same rows', async (t) => {
  const asked: unknown[] = []
  const conflict = exceptionOrdinal('LockKeyConflict', V2_0_0)
  const refusal = { type: m.BranchRegisterResult.code, resultCode: 0, msg: 'held', transactionExceptionCode: conflict }
  const callers = load({ workload: WORKLOADS.hot! }, (message, reply) => {
    if (message.type === m.GlobalBegin.code) return reply(begun)
    if (message.type === m.GlobalCommit.code) return reply(committed)
    asked.push(message.lockKey)
    const branchId = BigInt(asked.length)
    reply((asked.length < 3 ? refusal : { type: m.BranchRegisterResult.code, resultCode: 1, branchId }) as AnyMessage)
    if (asked.length >= 3) callers.stop()
  })
  await eventually(() => callers.finished === 1)
  t.is(callers.conflicts, 2)
  t.deepEqual(asked, [asked[0], asked[0], asked[0]])
  t.is(callers.owed, 1)
})

test('rows of its own never come twice, hot rows are of those that there are, and the same in every run', (t) => {
  const own = new Rows(WORKLOADS.at4!)
  const keys = [own.next(), own.next(), own.next()].flatMap((key) => key.slice(2).split(','))
  t.is(new Set(keys).size, 12)
  const hot = () => {
    const rows = new Rows(WORKLOADS.hot!)
    return Array.from({ length: 500 }, () => rows.next())
  }
  t.deepEqual(hot(), hot())
  const drawn = hot().flatMap((key) => key.slice(2).split(',').map(Number))
  t.deepEqual([Math.min(...drawn), Math.max(...drawn)], [0, WORKLOADS.hot!.hot - 1])
})
