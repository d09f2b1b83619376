// The cluster's key: a link comes up only between two ends that know the same, and nothing that is said on it tells the key.
import test from 'ava'
import { type LinkEnd, LinkServer } from '../../tc-core/host/link-server.ts'
import { DialledLink } from '../../tc-core/wire/link-dial.ts'
import { LinkRole } from '../../tc-core/wire/link-frames.ts'
import { LinkKey } from '../../tc-core/wire/link-key.ts'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import { eventually } from '../host/harness.ts'

type T = { teardown(then: () => unknown): void }

/** One end that listens with a key and one that dials with another. */
async function pair(t: T, listens: string, dials: string) {
  const warned: string[] = []
  const logger = {
    ...{ debug: () => {}, info: () => {}, error: () => {} },
    warn: (fields: object, text: string) => void warned.push(`${text}: ${(fields as { reason: string }).reason}`)
  }
  let taken = 0
  const end = (): LinkEnd => {
    taken++
    return { frame: () => {}, closed: () => {} }
  }
  const server = new LinkServer({
    ...{ cluster: 'test', name: 'n1', writer: 1n, key: listens, logger, runtime: systemRuntime },
    ...{ gateway: end, node: end, isMember: () => false }
  })
  const { port } = await server.listen('127.0.0.1', 0)
  let ups = 0
  const foreign: string[] = []
  const identity = { role: LinkRole.Gateway, cluster: 'test', name: 'g1', writer: 2n, key: dials }
  const link = new DialledLink(`127.0.0.1:${port}`, identity, systemRuntime, {
    up: () => void ups++,
    frame: () => {},
    down: () => {},
    refused: () => {},
    foreign: (reason) => void foreign.push(reason)
  })
  t.teardown(() => {
    link.close()
    server.close()
  })
  return { link, warned, foreign, ups: () => ups, taken: () => taken }
}

test('two that know the same key, and two that have none, come together', async (t) => {
  for (const key of ['a secret', '']) {
    const { link, ups, taken, foreign } = await pair(t, key, key)
    await eventually(() => link.isUp && taken() === 1)
    t.is(ups(), 1)
    t.deepEqual(foreign, [])
  }
})

for (const [listens, dials, reason] of [
  ['a secret', 'another', /it has another cluster key/],
  ['a secret', '', /it asks for a cluster key, and there is none here|it has no cluster key/],
  ['', 'a secret', /it has no cluster key|it asks for a cluster key, and there is none here/]
] as const) {
  test(`a link between "${listens}" and "${dials}" is closed, and both sides say why`, async (t) => {
    const { link, warned, foreign, ups, taken } = await pair(t, listens, dials)
    await eventually(() => foreign.length > 0 && warned.length > 2)
    t.regex(foreign[0]!, reason)
    t.true(
      warned.some((line) => reason.test(line)),
      warned.join()
    )
    t.true(warned.every((line) => line.startsWith('a link was closed before it was up: ')))
    t.false(link.isUp)
    t.is(ups(), 0)
    t.is(taken(), 0)
  })
}

test('what one side has sent, or sent on another link, proves nothing', (t) => {
  const meet = (a: LinkKey, b: LinkKey) => [a.meet(b.challenge), b.meet(a.challenge)]
  const [dialler, listener] = [new LinkKey('k', 'dialler'), new LinkKey('k', 'listener')]
  t.deepEqual(meet(dialler, listener), [null, null])
  t.true(listener.proves(dialler.proof))
  t.true(dialler.proves(listener.proof))
  t.false(listener.proves(listener.proof), 'its own proof sent back')
  t.false(listener.proves(Buffer.alloc(0)))
  const later = new LinkKey('k', 'listener')
  later.meet(dialler.challenge)
  t.false(later.proves(dialler.proof), 'a proof of another link')
  // Who passes challenges on to a second dialling end gets no proof for a listening one.
  const second = new LinkKey('k', 'dialler')
  second.meet(dialler.challenge)
  dialler.meet(second.challenge)
  t.false(dialler.proves(second.proof))
})
