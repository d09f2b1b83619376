// What waits for the log, and what brings a record about.
import test from 'ava'
import { SessionEnded } from '../../tc-core/core/effects.ts'
import { Outputs, type Release } from '../../tc-core/core/outputs.ts'
import { Outbox, type Parcel } from '../../tc-core/host/outbox.ts'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { RowsFreed } from '../../tc-core/wire/home.ts'

const XID = '127.0.0.1:8091:1'

/** An outbox, and what left it without waiting. */
function box() {
  const left: string[] = []
  const leave = {
    reply: () => void left.push('reply'),
    call: () => void left.push('call'),
    send: () => void left.push('send')
  }
  const outbox = new Outbox({})
  const take = (
    now: number,
    { effect = false, reply, send }: { effect?: boolean; reply?: Release; send?: Release }
  ) => {
    const out = new Outputs()
    if (effect) out.effects.push({ type: SessionEnded.code, xid: XID, status: GlobalStatus.Committed })
    if (reply) out.replies.push({ request: {} as never, message: {} as never, release: reply })
    if (send) out.sends.push({ to: 1, message: { type: RowsFreed.code, xid: XID, branchIds: [1n] }, release: send })
    outbox.take(out, now, leave)
  }
  return { outbox, left, take }
}

const waiting = ({ replies, sends }: Parcel) => `${replies.length} replies, ${sends.length} sends`

test('effects that nobody waits for bring no record about, and go with the next one that somebody waits for', (t) => {
  const { outbox, left, take } = box()
  take(10, { effect: true })
  take(11, { effect: true, send: 'eventually' })
  t.false(outbox.hurried)
  t.is(outbox.idleSince, 10)
  take(12, { effect: true, reply: 'confirmed' })
  t.true(outbox.hurried)
  t.is(outbox.idleSince, Number.POSITIVE_INFINITY)
  t.is(waiting(outbox.next()!), '1 replies, 1 sends')
  t.false(outbox.hasEffects)
  t.false(outbox.hurried)
  t.deepEqual(left, [])
})

test('a read that finds effects at leisure has them written: their record is its proof', (t) => {
  const { outbox, take } = box()
  take(10, { effect: true })
  take(11, { reply: 'confirmed' })
  t.true(outbox.hurried)
  t.false(outbox.hasReads)
})

test('effects that come after a read take it with them, and hurry', (t) => {
  const { outbox, take } = box()
  take(10, { reply: 'confirmed' })
  t.true(outbox.hasReads)
  take(11, { effect: true })
  t.true(outbox.hurried)
  t.is(waiting(outbox.next()!), '1 replies, 0 sends')
})

test('a record with a question that is asked meanwhile is hurried: the answer will wait for it', (t) => {
  const { outbox, left, take } = box()
  take(10, { effect: true, send: 'now' })
  t.deepEqual(left, ['send'])
  t.true(outbox.hurried)
})

test('what waits for what was promised leaves with the newest record that anybody waits for', (t) => {
  const { outbox, left, take } = box()
  take(10, { effect: true, send: 'now' })
  take(11, { reply: 'logged' })
  const first = outbox.next()!
  t.is(waiting(first), '1 replies, 0 sends')
  // On its way.
  take(12, { effect: true })
  take(13, { reply: 'logged' })
  t.is(waiting(first), '2 replies, 0 sends')
  t.false(outbox.hurried)
  t.deepEqual(left, ['send'])
  // In the log: nothing that was promised waits for what is left.
  outbox.confirmed(first)
  take(14, { reply: 'logged' })
  t.deepEqual(left, ['send', 'reply'])
})
