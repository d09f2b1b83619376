// How long a request waits for a log that stands still.
import test from 'ava'
import { OpenRequests } from '../../tc-core/host/open-requests.ts'
import type { LinkRequest } from '../../tc-core/wire/link.ts'

const NOTHING = Number.POSITIVE_INFINITY

function asked(open: OpenRequests, since: number, waited: number): LinkRequest {
  const link = { waited } as LinkRequest
  open.add(link, { type: 1 }, since)
  return link
}

const impatient = (open: OpenRequests, now: number, waitingSince: number) =>
  open.impatient(now, waitingSince).map(({ link }) => link)

test('a request waits for the log as long as its client has not waited elsewhere, and for a moment at least', (t) => {
  const open = new OpenRequests()
  const [fresh, again, late] = [asked(open, 1_000, 0), asked(open, 1_000, 4_000), asked(open, 1_000, 65_535)]
  t.is(open.impatientAt, 1_050)
  t.deepEqual(impatient(open, 1_049, 1_000), [])
  t.deepEqual(impatient(open, 1_050, 1_000), [late])
  t.true(open.delete(late))
  t.is(open.impatientAt, 2_000)
  t.deepEqual(impatient(open, 1_999, 900), [])
  t.deepEqual(impatient(open, 2_000, 900), [again])
  t.true(open.delete(again))
  t.false(open.delete(again))
  t.is(open.impatientAt, 6_000)
  t.deepEqual(impatient(open, 6_000, 900), [fresh])
})

test('who waits for RMs waits on while the log moves, and its patience begins when that stands still', (t) => {
  const open = new OpenRequests()
  const slow = asked(open, 1_000, 1_000)
  t.deepEqual(impatient(open, 60_000, NOTHING), [])
  t.is(open.impatientAt, 64_000, 'it may stand still from now on')
  t.deepEqual(impatient(open, 64_000, 63_990), [])
  t.is(open.impatientAt, 67_990)
  t.deepEqual(impatient(open, 67_990, 63_990), [slow])
})

test('nobody is looked for while nobody is there, or all are answered', (t) => {
  const open = new OpenRequests()
  t.is(open.impatientAt, NOTHING)
  const link = asked(open, 1_000, 0)
  open.delete(link)
  t.deepEqual(impatient(open, 6_000, 1_000), [])
  t.is(open.impatientAt, NOTHING)
})
