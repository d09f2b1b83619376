// The redis engine against the stand-in: the conformance suite on a cluster whose leader moves, and each trap of such stores.
import test from 'ava'
import { CHECKS } from '../../tc-core/storage/conformance.ts'
import { StorageError } from '../../tc-core/storage/port.ts'
import { judge } from '../../tc-core/storage/redis-replies.ts'
import { random } from '../core/random.ts'
import { bytes, laneTo, once, open, slot, start } from './redis-harness.ts'
import type { Fault } from './redis-stand-in.ts'

const REFUSALS: Record<string, (address: string) => string> = {
  'MOVED with a slot': (address) => `-MOVED 0 ${address}`,
  'MOVED without': (address) => `-MOVED ${address}`,
  'MOVED without a host': (address) => `-MOVED 0 :${address.split(':')[1]}`,
  TRY: (address) => `-TRY ${address}`,
  'TRY behind ERR': (address) => `-ERR TRY ${address}`,
  CLUSTERDOWN: () => '-CLUSTERDOWN No raft leader',
  'CLUSTERDOWN of uhaha': () => '-CLUSTERDOWN node is not the leader',
  NOCLUSTER: () => '-NOCLUSTER No Raft Cluster',
  LOADING: () => '-LOADING Redis is loading the dataset in memory',
  READONLY: () => "-READONLY You can't write against a read only replica.",
  'not leader': () => '-ERR not leader',
  'not cluster leader': () => '-not cluster leader, cannot carry out command',
  'not leader on the node': () => '-ERR_CLUSTER_CHANGED: partition ns-1 is not leader on the node'
}

for (const check of CHECKS) {
  test(`conformance, with a leader that moves: ${check.name}`, async (t) => {
    const cluster = await start(t)
    const forms = Object.values(REFUSALS)
    let taken = 0
    let moves = 0
    cluster.fault = ({ node, name }) => {
      if (node === cluster.leader && name !== 'PING' && name !== 'CLUSTER' && ++taken % 13 === 0) {
        cluster.leader = (node + 1) % 3
        moves++
      }
      return null
    }
    cluster.refusal = () => forms[moves % forms.length]!(cluster.name(cluster.leader!))
    await t.notThrowsAsync(
      check.run(
        () => open(t, `redis://${cluster.hosts}`),
        (name) => `{check}:${name}`
      )
    )
  })
}

for (const [form, refusal] of Object.entries(REFUSALS)) {
  test(`a write is taken to the leader, and is done once: ${form}`, async (t) => {
    const cluster = await start(t)
    cluster.leader = 2
    cluster.refusal = () => refusal(cluster.name(2))
    const lane = await laneTo(t, cluster)
    t.true(await lane.setIfAbsent('k', bytes('v')))
    t.is((await lane.get('k'))?.toString(), 'v')
    const asked = cluster.seen.filter(({ name }) => name === 'SETNX').map(({ node }) => node)
    t.deepEqual(asked, /MOVED|TRY/.test(form) ? [0, 2] : [0, 1, 2])
  })
}

test('CLUSTER SLOTS, where it is answered, tells who leads before anything is asked', async (t) => {
  const cluster = await start(t, { slots: true })
  cluster.leader = 2
  t.true(await (await laneTo(t, cluster)).setIfAbsent('k', bytes('v')))
  t.true(cluster.seen.filter(({ name }) => name === 'SETNX').every(({ node }) => node === 2))
})

test('several shards are refused at the start: a fragment would be sent to and fro', async (t) => {
  const cluster = await start(t)
  const range = (from: number, port: number) => `*3\r\n:${from}\r\n:${from + 1}\r\n*2\r\n$1\r\nh\r\n:${port}`
  once(cluster, 'CLUSTER', { line: `*2\r\n${range(0, 1)}\r\n${range(2, 2)}` })
  await t.throwsAsync(open(t, `redis://${cluster.hosts}`), { code: 'SEATA_STORE_OPEN_FAILED', message: /2 leaders/ })
})

test('what a refusal names: the node that was asked where it names no host, and no brackets', (t) => {
  const leader = (text: string) => {
    const verdict = judge(text, 'asked:1')
    return verdict.done === 'no' ? verdict.leader : undefined
  }
  t.is(leader('MOVED 7 :2'), 'asked:2')
  t.is(leader('MOVED 7 [::1]:2'), '::1:2')
  t.is(leader('TRY kv-2.example:2'), 'kv-2.example:2')
  t.is(leader('CLUSTERDOWN MOVED soon'), null)
  t.is(leader('TRYAGAIN Multiple keys request during rehashing of slot'), undefined)
  t.is(leader('OOM command not allowed'), undefined)
})

for (const said of [
  'TIMEOUT not committed yet',
  'CLUSTERDOWN leadership lost while committing log',
  'CLUSTERDOWN raft is already shutdown',
  'ERR something else'
]) {
  test(`a write that may have been done is not tried again, but reported: ${said}`, async (t) => {
    const cluster = await start(t)
    once(cluster, 'SETNX', { apply: true, line: `-${said}` })
    const lane = await laneTo(t, cluster)
    const error = await t.throwsAsync(lane.setIfAbsent('k', bytes('v')), { instanceOf: StorageError })
    t.is(error?.message, `${cluster.name(0)}: ${said}`)
    t.is(cluster.count('SETNX'), 1)
    t.deepEqual(await slot(lane, 'k', 'v'), { kind: 'written' })
  })
}

test('a connection that is closed after the write was done: unknown, and settled by whoever asks again', async (t) => {
  const cluster = await start(t)
  once(cluster, 'SETNX', { apply: true, line: null, close: true })
  const lane = await laneTo(t, cluster)
  await t.throwsAsync(lane.setIfAbsent('k', bytes('v')), { instanceOf: StorageError, message: /closed/i })
  t.is(cluster.count('SETNX'), 1)
  t.true(cluster.values.has('k'))
  t.deepEqual(await slot(lane, 'k', 'v'), { kind: 'written' })
  t.deepEqual(await slot(lane, 'k', 'w'), { kind: 'taken', bytes: bytes('v') })
})

test('MOVED after the write was done: "taken" is said of our own bytes, and the slot knows them', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster)
  const moved = () => {
    cluster.leader = 1
    once(cluster, 'SETNX', { apply: true, line: `-MOVED 0 ${cluster.name(1)}` })
  }
  moved()
  t.false(await lane.setIfAbsent('k', bytes('v')))
  cluster.leader = 0
  await lane.get('k')
  moved()
  t.deepEqual(await slot(lane, 'l', 'v'), { kind: 'written' })
})

test('reads are tried again until one is answered', async (t) => {
  const cluster = await start(t)
  const faults = [
    { line: '-TIMEOUT no quorum for read' },
    { line: '-whatever' },
    { line: null, close: true },
    { line: null }
  ]
  cluster.values.set('k', bytes('v'))
  const lane = await laneTo(t, cluster, { commandMs: 200 })
  cluster.fault = ({ name, node }) => (name === 'GET' && node === cluster.leader ? faults.shift() : null)
  t.is((await lane.get('k'))?.toString(), 'v')
  t.is(faults.length, 0)
})

test('an election: nobody leads, then another does; what waited is done', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster)
  t.true(await lane.setIfAbsent('a', bytes('v')))
  cluster.leader = null
  let refused = 0
  cluster.fault = () => {
    if (++refused === 12) cluster.leader = 1
    return null
  }
  t.true(await lane.setIfAbsent('b', bytes('v')))
  await cluster.down(1)
  cluster.leader = 2
  await t.throwsAsync(lane.setIfAbsent('c', bytes('v')), { instanceOf: StorageError })
  t.deepEqual(await slot(lane, 'c', 'v'), { kind: 'written' })
})

test('an old leader reads stale and believes in itself: reads are called linearizable only by the user or of one copy', async (t) => {
  const cluster = await start(t)
  const reader = await open(t, `redis://${cluster.hosts}`)
  cluster.nodes[0]!.stale = new Map()
  cluster.leader = 1
  const writer = (await open(t, `redis://${cluster.name(1)},${cluster.name(2)}`)).lane('0')
  t.true(await writer.setIfAbsent('k', bytes('v')))
  t.is(await reader.lane('0').get('k'), null) // confirmed, and not seen
  t.false(reader.linearizableReads)
  t.true((await open(t, `redis://${cluster.hosts}?reads=linearizable`)).linearizableReads)
  t.true((await open(t, `redis://${cluster.name(1)}`)).linearizableReads)
  t.false((await open(t, `redis://${cluster.name(1)}?reads=stale`)).linearizableReads)
  const answers = await start(t, { slots: true })
  t.false((await open(t, `redis://${answers.name(0)}`)).linearizableReads) // one node of a cluster
})

test('a deleted key that comes back is told as it is: it reads, and it is taken', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster)
  await lane.set('e:5', bytes('old'))
  const before = new Map(cluster.values)
  await lane.delete(['e:5'])
  t.is(await lane.get('e:5'), null)
  cluster.values = before // the next leader was given a snapshot and kept what was deleted
  cluster.leader = 1
  t.is((await lane.get('e:5'))?.toString(), 'old')
  t.deepEqual(await slot(lane, 'e:5', 'new'), { kind: 'taken', bytes: bytes('old') })
})

test('reads and deletions of many are split; a deletion that counts its arguments is believed nothing', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster)
  const keys = Array.from({ length: 20 }, (_, i) => `k${i}`)
  for (const key of keys) await lane.set(key, bytes(key))
  const values = await lane.getMany([...keys, 'absent'])
  t.deepEqual(
    values.map((value) => value?.toString()),
    [...keys, undefined]
  )
  t.deepEqual(
    cluster.seen.filter(({ name }) => name === 'MGET').map(({ args }) => args.length),
    [8, 8, 5]
  )
  const many = Array.from({ length: 300 }, (_, i) => `k${i}`)
  t.is(await lane.delete(many), undefined)
  t.is(cluster.values.size, 0)
  t.true(cluster.seen.every(({ args }) => args.length <= 128))
})

test('an answer of another kind is an error, not a value', async (t) => {
  const cluster = await start(t)
  const lane = await laneTo(t, cluster)
  for (const [name, line, call] of [
    ['SETNX', '+OK', () => lane.setIfAbsent('k', bytes('v'))],
    ['GET', ':5', () => lane.get('k')],
    ['MGET', '*1\r\n$1\r\nv', () => lane.getMany(['a', 'b'])],
    ['MGET', '*1\r\n-WRONGTYPE', () => lane.getMany(['a'])]
  ] as const) {
    once(cluster, name, { line })
    await t.throwsAsync(call(), { instanceOf: StorageError, message: /cannot be understood/ }, line)
  }
})

for (const seed of [1, 2, 3]) {
  test(`a walk through all faults at once: every index has one writer, who knows it, and everybody sees it; seed ${seed}`, async (t) => {
    const r = random(seed)
    const cluster = await start(t)
    const faults: (() => Fault | null)[] = [
      () => ({ apply: true, line: null, close: true }),
      () => ({ line: null, close: true }),
      () => ({ apply: true, line: `-MOVED 0 ${cluster.name((cluster.leader = r.below(3)))}` }),
      () => ({ apply: true, line: '-TIMEOUT not committed yet' }),
      () => ({ line: '-TIMEOUT not committed yet' }),
      () => (r.next() < 0.1 ? { apply: true, line: null } : null), // silence
      () => {
        cluster.leader = r.pick([null, 0, 1, 2])
        return null
      }
    ]
    cluster.fault = ({ node, name }) => {
      if (name === 'PING' || name === 'CLUSTER') return null
      if (cluster.leader === null && r.next() < 0.3) cluster.leader = r.below(3)
      return node === cluster.leader && r.next() < 0.15 ? r.pick(faults)() : null
    }
    const writers = await Promise.all(Array.from({ length: 4 }, () => laneTo(t, cluster, { commandMs: 100 })))
    const indexes = Array.from({ length: 40 }, (_, i) => `e:${i}`)
    const outcomes = await Promise.all(
      writers.map(async (lane, w) => {
        const of = new Map<string, string>()
        for (const key of [...indexes.slice(w * 10), ...indexes.slice(0, w * 10)]) {
          const outcome = await slot(lane, key, `written by ${w}`)
          of.set(key, outcome.kind === 'taken' ? outcome.bytes.toString() : `${outcome.kind} by ${w}`)
        }
        return of
      })
    )
    for (const key of indexes) {
      for (const of of outcomes) t.is(of.get(key), cluster.values.get(key)?.toString(), key)
    }
    t.true(new Set([...cluster.values.values()].map(String)).size > 1)
  })
}
