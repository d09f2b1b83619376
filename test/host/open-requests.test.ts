// How long a request waits for a log that stands still.
import test from 'ava'
import { type HostRequest, OpenRequests } from '../../tc-core/host/open-requests.ts'
import type { LinkRequest } from '../../tc-core/wire/link.ts'

const NOTHING = Number.POSITIVE_INFINITY

function asked(open: OpenRequests, since: number, waited: number): HostRequest {
  return open.add({ waited } as LinkRequest, { type: 1 }, since)
}

test('a request waits for the log as long as its client has not waited elsewhere, and for a moment at least', (t) => {
  const open = new OpenRequests()
  const [fresh, again, late] = [asked(open, 1_000, 0), asked(open, 1_000, 4_000), asked(open, 1_000, 65_535)]
  t.is(open.impatientAt, 1_050)
  t.deepEqual(open.impatient(1_049, 1_000), [])
  t.deepEqual(open.impatient(1_050, 1_000), [late])
  t.true(open.delete(late))
  t.is(open.impatientAt, 2_000)
  t.deepEqual(open.impatient(1_999, 900), [])
  t.deepEqual(open.impatient(2_000, 900), [again])
  t.true(open.delete(again))
  t.false(open.delete(again))
  t.is(open.impatientAt, 6_000)
  t.deepEqual(open.impatient(6_000, 900), [fresh])
})

test('who waits for RMs waits on while the log moves, and its patience begins when that stands still', (t) => {
  const open = new OpenRequests()
  const slow = asked(open, 1_000, 1_000)
  t.deepEqual(open.impatient(60_000, NOTHING), [])
  t.is(open.impatientAt, 64_000, 'it may stand still from now on')
  t.deepEqual(open.impatient(64_000, 63_990), [])
  t.is(open.impatientAt, 67_990)
  t.deepEqual(open.impatient(67_990, 63_990), [slow])
})

test('nobody is looked for while nobody is there, or all are answered', (t) => {
  const open = new OpenRequests()
  t.is(open.impatientAt, NOTHING)
  const request = asked(open, 1_000, 0)
  open.delete(request)
  t.deepEqual(open.impatient(6_000, 1_000), [])
  t.is(open.impatientAt, NOTHING)
})
