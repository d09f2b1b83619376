// A random walk of one fragment: every kind of request, answer, failure and passing of time, chosen by a seed.
import { BranchType } from '../../tc-core/wire/codes.ts'
import { Harness, type HarnessOptions } from './harness.ts'
import { type Random, random } from './random.ts'

export class Walk {
  readonly h: Harness
  readonly r: Random
  readonly xids: string[] = []

  constructor(seed: number, options?: HarnessOptions) {
    this.h = new Harness(options)
    this.r = random(seed)
  }

  step(): void {
    const { h, r } = this
    const xid = this.xids.length > 0 && r.next() < 0.95 ? r.pick(this.xids) : '127.0.0.1:8091:12345678901'
    const kind = r.below(12)
    if (kind <= 2) this.xids.push(h.begin(1 + r.below(20_000), r.next() < 0.1 ? '$Saga_x' : 'tx'))
    else if (kind <= 4) {
      const rows = Array.from({ length: 1 + r.below(3) }, () => r.below(40))
      const branchType = r.pick([BranchType.AT, BranchType.AT, BranchType.TCC, BranchType.XA, BranchType.SAGA])
      h.register(xid, branchType, { resourceId: `r${r.below(3)}`, lockKey: `t:${rows.join(',')}` })
    } else if (kind === 5) h.commit(xid)
    else if (kind === 6) h.rollback(xid)
    else if (kind === 7) {
      const branches = h.state.sessions.get(xid)?.branches ?? []
      if (branches.length > 0) h.report(xid, r.pick(branches).branchId, r.below(14), r.next() < 0.5 ? 'data' : '')
    } else if (kind === 8) h.globalReport(xid, r.below(18))
    else if (kind === 9) h.pass(r.below(3000))
    else if (h.calls.length > 0) {
      h.calls.unshift(...h.calls.splice(r.below(h.calls.length), 1))
      if (r.next() < 0.15) h.fail(r.pick(['not-connected', 'no-answer'] as const))
      else h.answer(r.next() < 0.7 ? (h.calls[0]!.kind === 'commit' ? 5 : 8) : r.below(14))
    }
    if (this.xids.length > 200) this.xids.splice(0, 50)
  }
}
