// The redis engine against the stand-in: lanes beside each other, and the order within one, through redirects and refusals.
import test from 'ava'
import { StorageError } from '../../tc-core/storage/port.ts'
import { Channel, type Wire } from '../../tc-core/storage/redis-channel.ts'
import { NodeError } from '../../tc-core/storage/redis-connection.ts'
import { Leader } from '../../tc-core/storage/redis-leader.ts'
import { bytes, laneTo, open, PATIENT, start } from './redis-harness.ts'
import type { Seen } from './redis-stand-in.ts'

test('one command of a connection at a time: lanes do not wait for each other, and each has one connection', async (t) => {
  const cluster = await start(t)
  const storage = await open(t, `redis://${cluster.hosts}?connections=4`)
  let atWork = 0
  let all = () => {}
  const together = new Promise<null>((resolve) => (all = () => resolve(null)))
  cluster.fault = ({ name }) => {
    if (name !== 'SETNX') return null
    if (++atWork === 4) all()
    return together // nobody gets an answer before four are served at once
  }
  const lanes = Array.from({ length: 4 }, (_, i) => storage.lane(String(i)))
  t.deepEqual(await Promise.all(lanes.map((lane, i) => lane.setIfAbsent(`k${i}`, bytes('v')))), [
    true,
    true,
    true,
    true
  ])
  await Promise.all(Array.from({ length: 40 }, (_, i) => lanes[i % 4]!.set(`${i % 4}`, bytes('v'))))
  for (const i of [0, 1, 2, 3]) {
    const of = cluster.seen.filter(({ name, args }) => name === 'SET' && args[0]!.toString() === String(i))
    t.is(of.length, 10)
    t.is(new Set(of.map(({ connection }) => connection)).size, 1)
  }
})

test('a lane keeps its order through redirects', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster)
  const done: string[] = []
  cluster.fault = ({ node, name, args }) => {
    if (name !== 'SET' || node !== cluster.leader) return null
    if (done.length % 10 === 7) cluster.leader = (node + 1) % 3
    if (node !== cluster.leader) done.push('moved')
    else done.push(args[1]!.toString())
    return null
  }
  const order = Array.from({ length: 60 }, (_, i) => String(i))
  await Promise.all(order.map((value) => lane.set('k', bytes(value))))
  t.deepEqual(
    done.filter((value) => value !== 'moved'),
    order
  )
  t.true(done.includes('moved'))
})

test('what was refused and then overtaken on the wire is not done late, but reported', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster)
  cluster.fault = ({ name, args }: Seen) =>
    name === 'SET' && args[1]!.toString() === '1' ? { line: '-CLUSTERDOWN No raft leader' } : null
  const results = await Promise.allSettled(['0', '1', '2'].map((value) => lane.set('k', bytes(value))))
  t.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled']
  )
  t.true((results[1] as PromiseRejectedResult).reason instanceof StorageError)
  t.is((await lane.get('k'))?.toString(), '2')
  t.is(cluster.count('SET'), 3)
})

test('nothing is sent behind a refused call while others are on the wire', async (t) => {
  const sent: { args: readonly unknown[]; reject: (error: Error) => void }[] = []
  const wire: Wire = {
    node: 'only:1',
    up: true,
    drop: () => {},
    send: (args) => new Promise((_, reject) => sent.push({ args, reject }))
  }
  const channel = new Channel(new Leader(['only:1'], 'only:1', false), async () => wire, PATIENT)
  const call = (value: string) => void channel.call(false, ['SET', 'k', value]).catch(() => {})
  const turn = () => new Promise(setImmediate)
  for (const value of ['0', '1']) call(value)
  while (sent.length < 2) await turn()
  sent[0]!.reject(new NodeError('LOADING'))
  await turn()
  call('2')
  await turn()
  t.is(sent.length, 2)
  sent[1]!.reject(new NodeError('LOADING'))
  while (sent.length < 5) await turn()
  t.is(sent.map(({ args }) => args[2]).join(), '0,1,0,1,2')
})
