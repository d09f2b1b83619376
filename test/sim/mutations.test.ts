// The judges find bugs on purpose. Here those that show themselves within a few runs; `npm run sim -- --mutations` looks for all.
import test from 'ava'
import { find } from './find.ts'
import { Judges } from './judges.ts'
import { isMutation, MUTATIONS, type Mutation } from './mutations.ts'

const WITHIN = 60
const QUICK: readonly Mutation[] = [
  'reply-after-log',
  'same-index',
  'unlock-owner',
  'both-confirmed',
  'same-branch',
  'never-guess'
]

for (const mutation of QUICK) {
  test.serial(
    `without the rule ${mutation} a breach is found within ${WITHIN} runs: ${MUTATIONS[mutation]}`,
    async (t) => {
      t.truthy(await find(mutation, 1, WITHIN))
    }
  )
}

test('there are twelve bugs and more, and no other name is one', (t) => {
  t.true(Object.keys(MUTATIONS).length >= 12)
  t.false(isMutation('no-such-rule'))
})

test('judges: what a client hears has to be in a log', (t) => {
  const judges = new Judges(() => 0)
  t.throws(() => judges.begun('x:1:1'), { message: /in no log/ })
  t.throws(() => judges.registered('x:1:1', 1n, []), { message: /in no log/ })
  t.throws(() => judges.ended('x:1:1', 9), { message: /the log says null/ })
  t.throws(() => judges.called('commit', 'x:1:1', 1n, true), { message: /the log says nothing/ })
  t.throws(() => judges.status('x:1:1', 1, 0), { message: /was said to be 1/ })
})

test('judges: a row that nobody needs is free two seconds after the last fault', (t) => {
  const judges = new Judges(() => 0)
  t.notThrows(() => judges.conflict(['r^t:1'], 5_000))
  judges.calmSince = 3_000
  t.notThrows(() => judges.conflict(['r^t:1'], 4_999))
  t.throws(() => judges.conflict(['r^t:1'], 5_001), { message: /belong to nobody/ })
})
