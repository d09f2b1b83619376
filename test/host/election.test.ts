// Who claims the lead and when: a table of what a node may know, and that among the living somebody always does in the end.
import test from 'ava'
import fc from 'fast-check'
import { type ElectionView, shouldLead } from '../../tc-core/host/election.ts'

/** What one node knows of another. Cut off: it is alive, and has no store. */
type Known = 'alive' | 'cut off' | 'silent' | 'gone' | 'unheard'

interface Case {
  readonly me?: string
  readonly placement?: readonly string[]
  readonly led?: boolean
  readonly lastLeader?: string
  /** Ms for which nobody has led. */
  readonly since?: number
  readonly promised?: number
  readonly others?: Readonly<Record<string, Known>>
}

function decide(c: Case): boolean {
  const now = 1_000_000
  const of = (name: string): Known => c.others?.[name] ?? 'gone'
  const view: ElectionView = {
    now,
    me: c.me ?? 'a',
    placement: c.placement ?? ['a', 'b', 'c'],
    led: c.led ?? false,
    lastLeader: c.lastLeader ?? 'c',
    leaderlessSince: now - (c.since ?? 0),
    promisedUntil: now + (c.promised ?? 0),
    alive: (name) => of(name) === 'alive' || of(name) === 'cut off',
    ready: (name) => of(name) === 'alive',
    known: (name) => of(name) !== 'unheard',
    gone: (name) => of(name) === 'gone'
  }
  return shouldLead(view)
}

const living = { a: 'alive', b: 'alive', c: 'gone' } as const

const table: readonly [string, Case, boolean][] = [
  ['the first in order claims at once when the leader is gone', { others: living }, true],
  ['the second waits a step while the first lives', { me: 'b', others: living, since: 149 }, false],
  ['the second claims after a step, for the first does not', { me: 'b', others: living, since: 150 }, true],
  ['the second claims at once when the first is gone', { me: 'b', others: { a: 'gone' } }, true],
  ['the second claims at once when the first led and is gone', { me: 'b', lastLeader: 'a' }, true],
  ['one before it that has no store is not waited for', { me: 'b', lastLeader: 'a', others: { a: 'cut off' } }, true],
  ['the third waits two steps', { me: 'c', lastLeader: 'x', others: living, since: 299 }, false],
  ['the third claims after two steps', { me: 'c', lastLeader: 'x', others: living, since: 300 }, true],
  ['nobody claims while somebody leads', { others: living, led: true, since: 60_000 }, false],
  [
    'a leader that is silent is left alone until it is known to be gone',
    { others: { c: 'silent' }, since: 9e5 },
    false
  ],
  ['a leader that was never heard is left alone until it is known to be gone', { others: { c: 'unheard' } }, false],
  ['a leader that lives and says that it leads no more is followed at once', { others: { c: 'alive' } }, true],
  ['who led last claims again', { lastLeader: 'a', others: living }, true],
  ['one before it that was never heard is waited for', { me: 'b', others: { a: 'unheard' }, since: 299 }, false],
  ['but not for ever', { me: 'b', others: { a: 'unheard' }, since: 300 }, true],
  ['one behind it that was never heard is not waited for', { others: { b: 'unheard' } }, true],
  ['unless it may lead: no lead record was read', { lastLeader: '', others: { b: 'unheard' }, since: 299 }, false],
  ['and then not for ever either', { lastLeader: '', others: { b: 'unheard' }, since: 300 }, true],
  ['at its birth a cluster of one is led at once', { lastLeader: '', placement: ['a'] }, true],
  ['what is promised to another is left alone', { others: living, promised: 1, since: 60_000 }, false],
  ['a promise ends', { others: living, promised: 0 }, true],
  ['what is not placed here is never claimed', { me: 'd', others: living, since: 60_000 }, false],
  ['nothing is placed anywhere: nobody claims', { placement: [], since: 60_000 }, false]
]

for (const [title, view, claims] of table) test(title, (t) => t.is(decide(view), claims))

const names = ['a', 'b', 'c', 'd', 'e']
/** Steps of all before it, and the time for the unheard: the longest that anybody has to wait. */
const BOUND_MS = 150 * (names.length - 1) + 300

test('whatever the living know of each other, one of them claims within a bound when the last leader is gone', (t) => {
  const some = fc.record({
    placement: fc.shuffledSubarray(names, { minLength: 1 }),
    lastLeader: fc.constantFrom('', 'x', ...names),
    alive: fc.subarray(names, { minLength: 1 }),
    knowledge: fc.array(fc.constantFrom<Known>('alive', 'cut off', 'silent', 'gone', 'unheard'), {
      minLength: 25,
      maxLength: 25
    })
  })
  fc.assert(
    fc.property(some, ({ placement, lastLeader, alive, knowledge }) => {
      const electors = placement.filter((name) => alive.includes(name))
      fc.pre(electors.length > 0)
      const claiming = electors.filter((me) => {
        const others = Object.fromEntries(
          names.map((name, i) => [name, knowledge[names.indexOf(me) * names.length + i]!])
        )
        // The one thing that is known for certain: who led last is gone, or is the elector itself, or lives and does not lead.
        if (!alive.includes(lastLeader)) others[lastLeader] = 'gone'
        else if (lastLeader !== me) others[lastLeader] = 'alive'
        return decide({ me, placement, lastLeader, since: BOUND_MS, others })
      })
      return claiming.length > 0
    }),
    { numRuns: 2000 }
  )
  t.pass()
})

test('when all know the same, exactly one claims at once, and the next not before a step', (t) => {
  fc.assert(
    fc.property(fc.shuffledSubarray(names, { minLength: 1 }), fc.subarray(names), (placement, alive) => {
      const others = Object.fromEntries(names.map((name) => [name, alive.includes(name) ? 'alive' : 'gone'] as const))
      const electors = placement.filter((name) => alive.includes(name))
      const claiming = (since: number) =>
        electors.filter((me) => decide({ me, placement, lastLeader: 'x', since, others }))
      return (
        claiming(0).join() === electors.slice(0, 1).join() &&
        claiming(149).length <= 1 &&
        claiming(150).length === Math.min(2, electors.length)
      )
    })
  )
  t.pass()
})
