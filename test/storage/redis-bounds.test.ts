// The redis engine against the stand-in: its deadlines, limits and end, what it sends and shows of secrets, and addresses.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { openStorage } from '../../tc-core/storage/open.ts'
import { StorageError } from '../../tc-core/storage/port.ts'
import { openRedis } from '../../tc-core/storage/redis.ts'
import { REDIS_TUNING } from '../../tc-core/storage/redis-tuning.ts'
import { bytes, laneTo, open, PATIENT, slot, start } from './redis-harness.ts'
import type { StandIn } from './redis-stand-in.ts'
import { selfSigned } from './self-signed.ts'

test('silence: the connection is dropped, and an answer that comes later is nobody else’s', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster, { commandMs: 100 })
  cluster.values.set('late', bytes('late'))
  let answer = (_: null) => {}
  cluster.fault = ({ name }) => (name === 'SET' ? new Promise((resolve) => (answer = resolve)) : null)
  const error = await t.throwsAsync(lane.set('k', bytes('v')), { instanceOf: StorageError })
  t.is(error?.message, `${cluster.name(0)}: no answer within 100 ms`)
  const before = lane.get('late')
  answer(null)
  t.is((await before)?.toString(), 'late')
  t.is(await lane.get('absent'), null)
  const connections = cluster.seen.filter(({ name, node }) => /ET$/.test(name) && node === 0)
  t.true(new Set(connections.map(({ connection }) => connection)).size > 1)
})

test.serial('an operation ends in time, and says what it met', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster, { operationMs: 400 })
  cluster.leader = null
  const error = await t.throwsAsync(lane.setIfAbsent('k', bytes('v')), { instanceOf: StorageError })
  t.regex(error!.message, /^not done within 400 ms; 127\.0\.0\.1:\d+: CLUSTERDOWN No raft leader$/)
  await t.throwsAsync(lane.get('k'), { instanceOf: StorageError, message: /No raft leader/ })
  await cluster.stop()
  await t.throwsAsync(lane.delete(['k']), { instanceOf: StorageError })
  await t.throwsAsync(lane.get('k'), { instanceOf: StorageError, message: /ECONNREFUSED/ })
  for (const i of [0, 1, 2]) await cluster.up(i)
  cluster.leader = 1
  t.deepEqual(await slot(lane, 'k', 'v'), { kind: 'written' })
})

test('what waits is bounded, in calls and in bytes', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster, { maxWaiting: 20, maxWaitingBytes: 10_000 })
  let go = () => {}
  const gate = new Promise<null>((resolve) => (go = () => resolve(null)))
  cluster.fault = () => gate
  const waiting = Array.from({ length: 20 }, (_, i) => lane.set(`k${i}`, bytes('v')))
  await t.throwsAsync(lane.set('k20', bytes('v')), { instanceOf: StorageError, message: /20 requests wait.*limit/ })
  go()
  await Promise.all(waiting)
  const large = lane.set('large', Buffer.alloc(50_000))
  await t.throwsAsync(lane.get('k1'), { instanceOf: StorageError, message: /bytes wait.*limit/ })
  await large
  t.is((await lane.get('large'))?.length, 50_000)
  t.is(cluster.count('SET'), 21)
})

test.serial('what was taken for the only copy is not left for another node', async (t) => {
  const cluster = await start(t)
  cluster.leader = 1
  const lane = (await open(t, `redis://${cluster.name(0)}`, { operationMs: 400 })).lane('0')
  await t.throwsAsync(lane.get('k'), { instanceOf: StorageError, message: /MOVED.*name all nodes/ })
  t.true(cluster.seen.every(({ node }) => node === 0))
  const told = (await open(t, `redis://${cluster.name(0)}?reads=stale`)).lane('0')
  t.is(await told.get('k'), null)
})

test('no command but the few that all such stores have, and RESP 2', async (t) => {
  const cluster = await start(t, { password: 'p' })
  const lane = (await open(t, `redis://:p@${cluster.hosts}`)).lane('0')
  await lane.setIfAbsent('k', bytes('v'))
  await lane.set('k', bytes('v'))
  await lane.getMany(['k'])
  await lane.get('k')
  await lane.delete(['k'])
  t.deepEqual([...new Set(cluster.seen.map(({ name }) => name))].sort(), [
    'AUTH',
    'CLUSTER',
    'DEL',
    'GET',
    'MGET',
    'PING',
    'SET',
    'SETNX'
  ])
})

test('credentials: a password alone, or with a user; in no message and no address', async (t) => {
  const alone = await start(t, { password: 's3:cr@t' })
  const both = await start(t, { username: 'seata', password: 's3:cr@t' })
  const secret = encodeURIComponent('s3:cr@t')
  const words = (cluster: StandIn) => cluster.seen.find(({ name }) => name === 'AUTH')!.args.map(String)
  const storage = await open(t, `redis://:${secret}@${alone.hosts}`)
  t.true(await storage.lane('0').setIfAbsent('k', bytes('v')))
  t.deepEqual(words(alone), ['s3:cr@t'])
  t.is(storage.url, `redis://${alone.hosts}`)
  await open(t, `redis://seata:${secret}@${both.hosts}`)
  t.deepEqual(words(both), ['seata', 's3:cr@t'])
  const code = 'SEATA_STORE_OPEN_FAILED'
  const wrong = await t.throwsAsync(openStorage(`redis://:wr0ng@${alone.hosts}`), { code, message: /WRONGPASS/ })
  t.notRegex(wrong!.message, /wr0ng/)
  t.is(alone.seen.filter(({ name, args }) => name === 'AUTH' && args[0]!.toString() === 'wr0ng').length, 1)
  await t.throwsAsync(openStorage(`redis://${alone.hosts}`), { code, message: /NOAUTH/ })
})

test('TLS: with the right authority, and not without', async (t) => {
  const tls = selfSigned()
  const directory = mkdtempSync(join(tmpdir(), 'seata-redis-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const ca = join(directory, 'ca.pem')
  writeFileSync(ca, tls.cert)
  const cluster = await start(t, { tls })
  cluster.leader = 1
  const lane = (await open(t, `rediss://${cluster.hosts}?ca=${ca}`)).lane('0')
  t.true(await lane.setIfAbsent('k', bytes('v')))
  const strangers = open(t, `rediss://${cluster.hosts}`, { openMs: 1 })
  await t.throwsAsync(strangers, { code: 'SEATA_STORE_OPEN_FAILED', message: /self-signed/ })
})

test('a store opens when one node of it answers, and says of each what it said when none does', async (t) => {
  const cluster = await start(t)
  await cluster.down(0)
  cluster.leader = 2
  t.true(await (await laneTo(t, cluster)).setIfAbsent('k', bytes('v')))
  await cluster.stop()
  const code = 'SEATA_STORE_OPEN_FAILED'
  const error = await t.throwsAsync(open(t, `redis://${cluster.hosts}`, { openMs: 1 }), { code })
  for (const i of [0, 1, 2]) t.true(error!.message.includes(`${cluster.name(i)}: connect ECONNREFUSED`))
  const silent = await start(t, { password: 'p' })
  silent.fault = () => ({ line: null })
  const mute = open(t, `redis://:p@${silent.hosts}`, { openMs: 1, connectMs: 50 })
  await t.throwsAsync(mute, { code, message: /no connection within 50 ms/ })
})

test.serial('close waits for what is on its way, takes nothing more, and leaves no connection behind', async (t) => {
  const cluster = await start(t)
  const storage = await openRedis(`redis://${cluster.hosts}`, PATIENT)
  const lane = storage.lane('0')
  const last = lane.set('k', bytes('v'))
  await storage.close()
  await t.notThrowsAsync(last)
  await t.throwsAsync(lane.get('k'), { instanceOf: StorageError, message: /closed/ })
  const sockets = cluster.nodes.flatMap((node) => [...node.sockets])
  await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
  const mute = await openRedis(`redis://${cluster.hosts}`, { ...REDIS_TUNING, operationMs: 100 })
  cluster.fault = () => ({ line: null })
  const unheard = t.throwsAsync(mute.lane('0').set('k', bytes('v')), { instanceOf: StorageError })
  await mute.close()
  await unheard
})

test('an address that is wrong is refused with what is wrong, and without its secrets', async (t) => {
  for (const [url, why] of [
    ['redis:', /the form is/],
    ['redis://', /the form is/],
    ['redis://h:1/0', /the form is/],
    ['redis://h:99999', /not HOST:PORT/],
    ['redis://h:1,,i:2', /not HOST:PORT/],
    ['redis://s3cret@h:1', /a password is written/],
    ['redis://u:s3cret%zz@h:1', /percent-encoded/],
    ['redis://u:s3cret@h:x', /not HOST:PORT/],
    ['redis://h:1?read=stale', /none of the options/],
    ['redis://h:1?reads=fast', /linearizable or stale/],
    ['redis://h:1?connections=0', /from 1 to 64/],
    ['redis://h:1?ca=/x', /rediss/],
    ['rediss://h:1?ca=/nowhere/ca.pem', /ENOENT/]
  ] as const) {
    const error = await t.throwsAsync(openStorage(url), { code: 'SEATA_STORE_OPEN_FAILED', message: why }, url)
    t.notRegex(error!.message, /s3cret/)
  }
})
