// Which member of an etcd cluster is asked: the one that leads, if it answers soon.
import { status } from '@grpc/grpc-js'
import test from 'ava'
import { eventually } from '../host/harness.ts'
import { cluster, open, type StandIn } from './etcd-server.ts'

test('of the members that answer the one that leads is asked, also when it is not the first to answer', async (t) => {
  const { data, members, url } = await cluster(t, 3)
  const [, , leader] = members
  data.leader = leader!
  let answer = () => {}
  const answered = new Promise<void>((resolve) => (answer = resolve))
  data.fate = async (call) => {
    if (call.server === leader) await answered
    else if (call.method === 'Status') setImmediate(answer)
    return null
  }
  const storage = await open(t, url)
  t.true(await storage.lane('a').setIfAbsent('k', Buffer.from('v')))
  t.deepEqual(
    data.calls.map(({ server }) => server === leader),
    [true]
  )
})

test('a leader that does not answer soon is not waited for', async (t) => {
  const { data, members, url } = await cluster(t, 2)
  const [other, leader] = members
  data.leader = leader!
  data.fate = (call) => (call.server === leader ? 'silent' : null)
  const storage = await open(t, url)
  t.true(await storage.lane('a').setIfAbsent('k', Buffer.from('v')))
  t.true(data.calls.every(({ server }) => server === other))
})

const GONE: Readonly<Record<string, (leader: StandIn, other: StandIn) => void>> = {
  'is not there any more': (leader) => leader.stop(),
  'says itself that it does not lead': (leader, other) => {
    leader.believes = other
  }
}

for (const [what, ends] of Object.entries(GONE)) {
  test(`nothing is sent to members that pass it on to a leader which ${what}`, async (t) => {
    const { data, members, url } = await cluster(t, 3)
    const [first, second, third] = members
    data.leader = first!
    const lane = (await open(t, url)).lane('a')
    t.true(await lane.setIfAbsent('k', Buffer.from('v')))
    ends(first!, second!)
    data.fate = ({ server, method }) => (server === first && method !== 'Status' ? { code: status.UNAVAILABLE } : null)
    data.calls.length = 0
    await t.throwsAsync(lane.setIfAbsent('l', Buffer.from('v')))
    await t.throwsAsync(lane.setIfAbsent('m', Buffer.from('v')), { message: /its leader is gone/ })
    t.true(data.calls.every(({ server }) => server === first))
    data.leader = third!
    first!.believes = third!
    // A search that found nobody is not made again at once.
    await eventually(() => lane.setIfAbsent('n', Buffer.from('v')).catch(() => false))
    t.is(data.calls.at(-1)!.server, third!)
  })
}

test('a leader that is gone for us alone is believed in again after a while', async (t) => {
  const { data, members, url } = await cluster(t, 2)
  const [first, second] = members
  data.leader = first!
  const lane = (await open(t, url)).lane('a')
  t.true(await lane.setIfAbsent('k', Buffer.from('v')))
  first!.stop()
  const from = performance.now()
  await eventually(() => lane.setIfAbsent('l', Buffer.from('v')).catch(() => false))
  t.is(data.calls.at(-1)!.server, second!)
  t.true(performance.now() - from > 4_000)
})

test('a member that tells who leads only to those who have a token is asked once more with it', async (t) => {
  const { data, members, url } = await cluster(t, 3, 'u:p@')
  data.leader = members[2]!
  data.fate = ({ method, token }) =>
    method === 'Status' && !token ? { code: status.INVALID_ARGUMENT, text: 'etcdserver: user name is empty' } : null
  const storage = await open(t, url)
  t.true(await storage.lane('a').setIfAbsent('k', Buffer.from('v')))
  t.is(data.calls.at(-1)!.server, members[2]!)
})
