// The rules of row locks across fragments, shown to hold and shown to be needed: random walks of the real core with every rule kept find
// nothing, and with any one taken out they find a breach.
import test from 'ava'
import { RULES, type Rule } from '../../tc-core/core/rules.ts'
import { Snapshot, stateHash } from '../../tc-core/core/snapshot.ts'
import { Breach } from './judge.ts'
import { fromChunks } from './leaders.ts'
import { holds, lose, named, open, scripted } from './script.ts'
import { World, type WorldOptions } from './world-of-fragments.ts'

const STEPS = 500
const WALKS_WITH_ALL = 2000
const WALKS_WITHOUT_ONE = 1000

function firstBreach(walks: number, options: (seed: number) => WorldOptions): string | null {
  for (let seed = 1; seed <= walks; seed++) {
    const breach = new World(seed, options(seed)).run(STEPS)
    if (breach) return `seed ${seed}: ${breach.message}`
  }
  return null
}

test('M26, G2: with every rule kept, random walks find no breach, not even when gateways take what deposed leaders still say', (t) => {
  t.is(
    firstBreach(WALKS_WITH_ALL, (seed) => ({ careless: seed % 2 === 0 })),
    null
  )
})

/** Schedules that random walks hardly meet. */
const SCRIPTS: Partial<Record<Rule, (without?: Rule) => void>> = {
  'linear-answers': questionToDeposedLeader,
  'never-guess': lateAcknowledgement
}

for (const [rule, text] of Object.entries(RULES) as [Rule, string][]) {
  test(`without the rule ${rule} a breach is found: ${text}`, (t) => {
    const script = SCRIPTS[rule]
    if (script) {
      t.notThrows(() => script())
      t.throws(() => script(rule), { instanceOf: Breach })
    } else t.truthy(firstBreach(WALKS_WITHOUT_ONE, () => ({ without: rule })))
  })
}

test('without the rule never-guess walks find a breach too: new leaders remove what nobody told them of', (t) => {
  t.truthy(firstBreach(WALKS_WITHOUT_ONE, () => ({ without: 'never-guess' })))
})

/** A home with a new leader asks about a lock, and the question reaches a leader of the owner that does not know the branch. */
function questionToDeposedLeader(without?: Rule): void {
  const w = scripted({ without })
  const old = w.leader(0)
  w.takeOver(0)
  const x = open(w, 0)
  const branchId = holds(w, x, ['1'])
  w.takeOver(1)
  old.input({ kind: 'between', from: 1, term: 2, message: { type: 6, xid: x.xid, branchId } })
  old.land()
  w.settle()
  tryRow(w)
}

/** An acknowledgement is on its way; the request comes again, to a newer leader, which cannot reach the home; then the first one arrives. */
function lateAcknowledgement(without?: Rule): void {
  const w = scripted({ without, careless: true })
  const x = open(w, 0)
  const register = x.register(['1'])
  w.settle((packet) => packet.kind !== 'answer')
  const acknowledged = w.net.find((packet) => packet.kind === 'answer')!
  lose(w, (packet) => packet === acknowledged)
  w.takeOver(0)
  w.clients.askAgain(register.ask)
  w.pass((packet) => packet.kind === 'request')
  for (let ms = 0; ms < 5000; ms += 500) {
    lose(w, named('lockRows'))
    w.elapse(500)
  }
  w.settle((packet) => packet.kind !== 'answer')
  w.deliver(acknowledged)
  w.settle()
  tryRow(w)
}

function tryRow(w: World): void {
  open(w, 2).register(['1'])
  w.settle()
}

test('walks do something: branches are acknowledged and refused, leaders change, messages are about', (t) => {
  let acknowledged = 0
  let refused = 0
  let terms = 0
  for (let seed = 1; seed <= 100; seed++) {
    const w = new World(seed)
    t.is(w.run(STEPS), null)
    acknowledged += w.judge.acknowledged
    refused += w.clients.refused
    terms += w.logs.reduce((sum, log) => sum + log.term, 0)
  }
  t.true(acknowledged > 200, `${acknowledged}`)
  t.true(refused > 100, `${refused}`)
  t.true(terms > 1000, `${terms}`)
})

test('G3: walks: a snapshot taken piece by piece while rows are locked and freed across fragments is the state of its moment', (t) => {
  for (let seed = 1; seed <= 200; seed++) {
    const w = new World(seed)
    for (let n = 0; n < 200; n++) w.step()
    const leader = w.leader(seed % 3)
    const before = stateHash(leader.core.state)
    const snapshot = new Snapshot(leader.core.state, 64)
    const chunks: Buffer[] = []
    for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) {
      chunks.push(chunk)
      for (let n = 0; n < 15; n++) w.step()
    }
    t.is(stateHash(fromChunks(seed % 3, chunks)), before, `seed ${seed}`)
  }
})
