// The leader dies at one point after the other of a transaction: what was acknowledged is there, and what was not goes on.
import test from 'ava'
import { BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import type { Message } from './client.ts'
import { Steady } from './steady.ts'

const POINTS = 24
/** Between two of them; a transaction takes some 10 ms. */
const STEP_MS = 0.4

test('M13: the leader is killed at 24 points of begin, register and commit: each is carried out, once', async (t) => {
  const killedIn = { begin: 0, register: 0, commit: 0, after: 0 }
  for (let point = 0; point < POINTS; point++) {
    const steady = new Steady(point + 1, 1)
    await steady.until(() => steady.leaders[0] !== undefined)
    await steady.pass(1_000)
    let stage: keyof typeof killedIn = 'begin'
    let done = false
    const transaction = async () => {
      const begun = (await steady.ask({ type: 1, timeout: 60_000, transactionName: 'points' }))!
      t.is(begun.resultCode, 1)
      const { xid } = begun
      stage = 'register'
      const branch = { branchType: BranchType.TCC, resourceId: 'tcc', lockKey: '', applicationData: '' }
      const { resultCode, branchId } = (await steady.ask({ type: 11, xid, ...branch }))!
      t.is(resultCode, 1)
      stage = 'commit'
      const ended = (await steady.ask({ type: 7, xid, extraData: '' }))!
      t.is(ended.globalStatus, GlobalStatus.Committed)
      stage = 'after'
      // That the RM has carried it out may be lost with the leader: it is told again then.
      const status = async () => (await steady.ask({ type: 15, xid, extraData: '' }))!.globalStatus as number
      for (let now = await status(); now !== GlobalStatus.Committed; now = await status())
        t.is(now, GlobalStatus.Committing)
      const of = (message: Message) => message.xid === xid
      t.true(steady.calls.length > 0 && steady.calls.every(of))
      t.true(
        steady.calls.every((call) => call.type === 3 && call.branchId === branchId),
        'one branch, and only commits'
      )
      done = true
    }
    steady.time.after(point * STEP_MS, () => {
      killedIn[stage]++
      steady.cluster.leaderOf(0).kill(false)
    })
    const running = transaction().catch((error) => t.fail(String(error)))
    await steady.until(() => done)
    await running
  }
  t.log(JSON.stringify(killedIn))
  for (const stage of ['begin', 'register', 'commit'] as const) t.true(killedIn[stage] >= 4, stage)
})
