// Which member of an etcd cluster is asked: the one that leads, if it answers soon.
import test from 'ava'
import { cluster, open } from './etcd-server.ts'

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
