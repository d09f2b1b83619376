// The etcd engine against stand-ins on this machine: whom it asks, when it gives up, what it says again and what never.
import { createServer, connect as dial, type Socket } from 'node:net'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { ServerCredentials, status } from '@grpc/grpc-js'
import test, { type ExecutionContext } from 'ava'
import { CHECKS } from '../../tc-core/storage/conformance.ts'
import { openEtcd } from '../../tc-core/storage/etcd.ts'
import { readEtcdUrl } from '../../tc-core/storage/etcd-address.ts'
import { openStorage } from '../../tc-core/storage/open.ts'
import { StorageError } from '../../tc-core/storage/port.ts'
import { type Call, cluster, type Fate, open, StandIn, StandInData } from './etcd-server.ts'
import { selfSigned } from './self-signed.ts'

/** Fails calls of whichever member got the first one; others pass. */
function firstAskedIs(data: StandInData, fate: Fate): void {
  let bad: StandIn | null = null
  data.fate = (call) => {
    if (call.method === 'Status') return null
    bad ??= call.server
    return call.server === bad ? fate : null
  }
}

/** Holds calls until they are let go. */
function holding(data: StandInData, held: (call: Call) => boolean = () => true) {
  const waiting: (() => void)[] = []
  data.fate = (call) =>
    call.method === 'Status' || !held(call) ? null : new Promise((resolve) => waiting.push(() => resolve(null)))
  return {
    letGo: () => waiting.splice(0).forEach((go) => void go()),
    /** Lets everything pass from now on. */
    end() {
      data.fate = () => null
      this.letGo()
    }
  }
}

/** Resolves when it is so; the test's own time limit ends a wait in vain. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2))
}

/** Resolves when so many calls have reached the members. */
const reached = (data: StandInData, count: number) => until(() => data.calls.length >= count)

/** A door that counts who stands in it: to a port behind it, or to nobody who ever answers. */
async function door(t: ExecutionContext, port?: number) {
  const inside = new Set<Socket>()
  let opened = 0
  const server = createServer((socket) => {
    opened++
    inside.add(socket)
    socket.on('close', () => inside.delete(socket)).on('error', () => {})
    if (port === undefined) socket.resume()
    else socket.pipe(dial(port, '127.0.0.1').on('error', () => {})).pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    for (const socket of inside) socket.destroy()
    server.close()
  })
  const { port: own } = server.address() as { port: number }
  return { address: `127.0.0.1:${own}`, inside, opened: () => opened }
}

const bytes = (text: string) => Buffer.from(text)
const failure = { instanceOf: StorageError }

for (const check of CHECKS) {
  test.serial(`the conformance suite on stand-ins: ${check.name}`, async (t) => {
    const { url } = await cluster(t, 1)
    await t.notThrowsAsync(
      check.run(
        () => open(t, url),
        (name) => name
      )
    )
  })
}

for (const fate of [{ code: status.UNAVAILABLE }, 'silent'] as const) {
  const what = fate === 'silent' ? 'is silent' : 'says UNAVAILABLE'
  test.serial(`a member that ${what} is left: a read is asked again elsewhere, within its time`, async (t) => {
    const { data, url } = await cluster(t, 2)
    data.values.set('k', bytes('v'))
    const lane = (await open(t, url)).lane('0')
    firstAskedIs(data, fate)
    const began = performance.now()
    t.deepEqual(await lane.get('k'), bytes('v'))
    t.deepEqual(await lane.getMany(['k', 'l']), [bytes('v'), null])
    t.true(performance.now() - began < 2000)
    const [first, second, third] = data.calls.map(({ server }) => server)
    t.not(first, second)
    t.is(second, third)
  })

  test.serial(`a member that ${what} is left: a write is not sent again, the next one goes elsewhere`, async (t) => {
    const { data, url } = await cluster(t, 2)
    const lane = (await open(t, url)).lane('0')
    firstAskedIs(data, fate)
    const began = performance.now()
    await t.throwsAsync(lane.setIfAbsent('k', bytes('v')), failure)
    t.true(performance.now() - began < 1500)
    t.is(data.calls.length, 1)
    t.true(await lane.setIfAbsent('k', bytes('v')))
    t.not(data.calls[0]!.server, data.calls[1]!.server)
  })
}

test.serial('what is on the way when a member is left still gets its answer', async (t) => {
  const { data, url } = await cluster(t, 2)
  const storage = await open(t, url)
  const gate = holding(data, ({ keys }) => keys[0] === 'slow')
  const slow = storage.lane('0').setIfAbsent('slow', bytes('v'))
  await reached(data, 1)
  const { fate } = data
  data.fate = (call) => (call.keys[0] === 'bad' ? { code: status.UNAVAILABLE } : fate(call))
  await t.throwsAsync(storage.lane('1').set('bad', bytes('v')), failure)
  gate.end()
  t.true(await slow)
})

test.serial('a write whose answer is lost is done and rejects; it is not sent a second time', async (t) => {
  const { data, url } = await cluster(t, 2)
  const lane = (await open(t, url)).lane('0')
  firstAskedIs(data, 'lost')
  await t.throwsAsync(lane.setIfAbsent('k', bytes('mine')), { ...failure, message: /the answer is lost/ })
  t.is(data.calls.length, 1)
  t.false(await lane.setIfAbsent('k', bytes('mine')))
  t.deepEqual(await lane.get('k'), bytes('mine'))
})

test.serial('members that refuse the connection are passed over before anything is sent', async (t) => {
  const { data, url } = await cluster(t, 1)
  const lane = (await open(t, url.replace('//', '//127.0.0.1:1,127.0.0.1:2,'))).lane('0')
  t.true(await lane.setIfAbsent('k', bytes('v')))
  t.is(data.calls.length, 1)
})

test.serial('when nobody answers, every call ends in time, and says so', async (t) => {
  const { data, url } = await cluster(t, 3)
  const lane = (await open(t, url)).lane('0')
  data.fate = () => 'silent'
  const began = performance.now()
  const calls = [lane.get('a'), lane.set('b', bytes('b')), lane.setIfAbsent('c', bytes('c')), lane.get('d')]
  for (const call of calls) await t.throwsAsync(call, { ...failure, message: /^etcd .*(no answer|in time|no time)/ })
  t.true(performance.now() - began < 2500)
})

test.serial('on one lane a write waits for all before it and holds up all behind it; other lanes go on', async (t) => {
  const { data, url } = await cluster(t, 1)
  const storage = await open(t, url)
  const [lane, other] = [storage.lane('0'), storage.lane('1')]
  const gate = holding(data, ({ keys }) => keys[0] !== 'other')
  const sent = () => data.calls.map(({ keys }) => keys[0])
  const all = [lane.get('r1'), lane.get('r2'), lane.set('w1', bytes('1')), lane.set('w2', bytes('2')), lane.get('r3')]
  await reached(data, 2)
  await other.set('other', bytes('o'))
  t.deepEqual(sent().slice(0, 2).sort(), ['r1', 'r2'])
  t.is(sent()[2], 'other')
  for (const [count, key] of [
    [4, 'w1'],
    [5, 'w2'],
    [6, 'r3']
  ] as const) {
    gate.letGo()
    await reached(data, count)
    await other.set('other', bytes('o'))
    data.calls.pop()
    t.is(sent().length, count)
    t.is(sent().at(-1), key)
  }
  gate.letGo()
  await Promise.all(all)
})

test.serial('a value that no etcd takes is refused at once, with the limit in words', async (t) => {
  const { data, url } = await cluster(t, 1)
  const lane = (await open(t, url)).lane('0')
  const message = /1572864 bytes is too large: etcd takes requests of at most 1.5 MiB/
  for (const call of [lane.set('k', Buffer.alloc(1572864)), lane.setIfAbsent('k', Buffer.alloc(1572864))]) {
    await t.throwsAsync(call, { ...failure, message })
  }
  t.is(data.calls.length, 0)
  t.true(await lane.setIfAbsent('k', Buffer.alloc(1572864 - 1024)))
})

/** A write that is held on the way, and behind it one write on each of so many lanes. */
async function heldUp(t: ExecutionContext, lanes: number, value = bytes('v')) {
  const { data, url } = await cluster(t, 1)
  const storage = await open(t, url)
  const gate = holding(data, ({ keys }) => keys[0] === 'first')
  const first = storage.lane('first').setIfAbsent('first', value)
  await reached(data, 1)
  const writes = Array.from({ length: lanes }, (_, i) => storage.lane(`${i}`).setIfAbsent(`k${i}`, value))
  return { data, storage, gate, first, writes }
}

test.serial('what lanes write at the same time goes as one transaction, each with an outcome of its own', async (t) => {
  const { data, gate, first, writes } = await heldUp(t, 8)
  data.values.set('k3', bytes('of another'))
  t.is(data.calls.length, 1)
  gate.end()
  t.true(await first)
  t.deepEqual(
    await Promise.all(writes),
    writes.map((_, i) => i !== 3)
  )
  t.is(data.calls.length, 2)
  t.deepEqual(data.values.get('k3'), bytes('of another'))
  t.deepEqual(data.values.get('k7'), bytes('v'))
})

test.serial('one key that two lanes write goes in two transactions, and only the first has it', async (t) => {
  const { data, storage, gate, writes } = await heldUp(t, 2)
  const second = storage.lane('x').setIfAbsent('k0', bytes('late'))
  gate.end()
  t.deepEqual(await Promise.all([...writes, second]), [true, true, false])
  t.deepEqual(
    data.calls.map(({ keys }) => keys.length),
    [1, 2, 1]
  )
})

test.serial('a group holds no more writes and bytes than etcd takes', async (t) => {
  const many = await heldUp(t, 100)
  many.gate.end()
  t.true((await Promise.all(many.writes)).every((held) => held))
  t.deepEqual(
    many.data.calls.map(({ keys }) => keys.length),
    [1, 64, 36]
  )
  const large = await heldUp(t, 4, Buffer.alloc(700_000, 1))
  large.gate.end()
  t.true((await Promise.all(large.writes)).every((held) => held))
  t.deepEqual(
    large.data.calls.map(({ keys }) => keys.length),
    [1, 2, 2]
  )
})

test.serial('a group whose answer is lost fails for all of it, and is not sent again', async (t) => {
  const { data, gate, first, writes } = await heldUp(t, 3)
  const { fate } = data
  data.fate = (call) => (call.keys[0] === 'k0' ? 'lost' : fate(call))
  gate.letGo()
  t.true(await first)
  for (const write of writes) await t.throwsAsync(write, { ...failure, message: /the answer is lost/ })
  t.is(data.calls.length, 2)
})

test.serial('a group that etcd refuses goes again write by write: only who is to blame fails', async (t) => {
  const { data, gate, first, writes } = await heldUp(t, 3)
  const { fate } = data
  const refused = { code: status.INVALID_ARGUMENT, text: 'etcdserver: request is too large' }
  data.fate = (call) => (call.keys.includes('k1') ? refused : fate(call))
  gate.letGo()
  t.true(await first)
  t.true(await writes[0])
  await t.throwsAsync(writes[1], { ...failure, message: /--max-request-bytes/ })
  t.true(await writes[2])
})

test.serial('calls that wait are bounded: one above the limit is refused, the others are done', async (t) => {
  const { data, url } = await cluster(t, 1)
  const storage = await open(t, url)
  const gate = holding(data)
  const calls = Array.from({ length: 1024 }, (_, i) => storage.lane(`${i % 8}`).get('k'))
  await t.throwsAsync(storage.lane('x').get('k'), { ...failure, message: /1024 calls wait/ })
  gate.end()
  await t.notThrowsAsync(Promise.all(calls))
  await t.notThrowsAsync(storage.lane('x').get('k'))
})

test.serial('reads of many and deletes of many are cut into parts that etcd takes', async (t) => {
  const { data, url } = await cluster(t, 1)
  const lane = (await open(t, url)).lane('0')
  const keys = Array.from({ length: 300 }, (_, i) => `k${i}`)
  for (const key of keys) data.values.set(key, bytes(key))
  t.deepEqual(await lane.getMany(keys), keys.map(bytes))
  await lane.delete(keys)
  t.is(data.values.size, 0)
  t.true(data.calls.every((call) => call.keys.length <= 128))
})

test.serial('an answer that is no message, and errors of etcd, are StorageErrors in words', async (t) => {
  const { data, url } = await cluster(t, 1)
  const lane = (await open(t, url)).lane('0')
  const say = (code: number, text: string) => (data.fate = (call) => (call.method === 'Status' ? null : { code, text }))
  for (const [code, text, words] of [
    [status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded', /its database is full: compact/],
    [status.INVALID_ARGUMENT, 'etcdserver: request is too large', /--max-request-bytes/],
    [status.INVALID_ARGUMENT, 'etcdserver: user name is empty', /wants a user and a password/],
    [status.PERMISSION_DENIED, 'etcdserver: permission denied', /it needs a role/],
    [status.OUT_OF_RANGE, 'something else', /127.0.0.1:\d+: something else/]
  ] as const) {
    say(code, text)
    await t.throwsAsync(lane.get('k'), { ...failure, message: words })
  }
  data.fate = (call) => (call.method === 'Status' ? null : 'garbage')
  await t.throwsAsync(lane.get('k'), failure)
})

test.serial(
  'user and password: a token goes with every call, a refused one is renewed once, and no secret is in any word',
  async (t) => {
    const { data, url } = await cluster(t, 2, 'us%40r:p%2Fw:d@')
    const storage = await open(t, url)
    const lane = storage.lane('0')
    t.true(await lane.setIfAbsent('k', bytes('v')))
    t.is(data.calls.at(-1)!.token, 'us@r/p/w:d')
    t.false(/us|p%2F|d@/.test(storage.url))
    let refusals = 1
    data.fate = ({ method }) =>
      method === 'Txn' && refusals-- > 0 ? { code: status.UNAUTHENTICATED, text: 'invalid auth token' } : null
    t.true(await lane.setIfAbsent('l', bytes('v')))
    t.is(data.calls.filter(({ method }) => method === 'Authenticate').length, 2)
    refusals = 9
    await t.throwsAsync(lane.setIfAbsent('m', bytes('v')), { ...failure, message: /invalid auth token/ })
    data.fate = ({ method }) =>
      method === 'Authenticate' ? { code: status.INVALID_ARGUMENT, text: 'invalid user ID or password' } : null
    const error = await t.throwsAsync(openEtcd(url), { code: 'SEATA_STORE_OPEN_FAILED', message: /refuses this user/ })
    t.false(/p%2F|p\/w/.test(error!.message))
  }
)

test.serial('a URL is read, and a wrong one is refused without its secrets', async (t) => {
  t.like(readEtcdUrl('etcds://h,[::1]:1,10.0.0.1:2379'), { members: ['h:2379', '[::1]:1', '10.0.0.1:2379'], tls: true })
  t.deepEqual(readEtcdUrl('etcd://u:p@h:1').login, { name: 'u', password: 'p' })
  for (const url of ['etcd://', 'etcd:h:1', 'etcd://s3cret@h:1', 'etcd://u:s3cret@h:x', 'ectd://u:s3cret@h:1']) {
    const error = await t.throwsAsync(openStorage(url), { code: 'SEATA_STORE_OPEN_FAILED' }, url)
    t.false(error!.message.includes('s3cret'), url)
  }
})

test.serial('closing waits for what is on the way, and nothing is taken afterwards', async (t) => {
  const { data, url } = await cluster(t, 1)
  const storage = await openEtcd(url)
  const gate = holding(data)
  const call = storage.lane('0').setIfAbsent('k', bytes('v'))
  const closed = storage.close()
  await t.throwsAsync(storage.lane('1').get('k'), { ...failure, message: /closed/ })
  await reached(data, 1)
  gate.end()
  await closed
  t.true(await call)
  await storage.close()
})

test.serial('one connection is kept: those who were asked and not chosen are let go, and all at the end', async (t) => {
  const { members } = await cluster(t, 1)
  const [silent, good] = [await door(t), await door(t, members[0]!.port)]
  const storage = await openEtcd(`etcd://${silent.address},${good.address}`)
  await until(() => silent.opened() > 0 && silent.inside.size === 0)
  t.is(good.inside.size, 1)
  t.true(await storage.lane('0').setIfAbsent('k', bytes('v')))
  await storage.close()
  await until(() => good.inside.size === 0)
})

test.serial('etcds is TLS: who is not vouched for is refused, and who is, is trusted', async (t) => {
  const { key, cert } = selfSigned()
  const pair = { private_key: Buffer.from(key), cert_chain: Buffer.from(cert) }
  const member = await StandIn.start(t, new StandInData(), ServerCredentials.createSsl(null, [pair]))
  const url = `etcds://localhost:${member.port}`
  await t.throwsAsync(openEtcd(url), { code: 'SEATA_STORE_OPEN_FAILED', message: /self-signed certificate/ })
  const roots = getCACertificates('default')
  setDefaultCACertificates([...roots, cert])
  t.teardown(() => setDefaultCACertificates(roots))
  t.true(await (await open(t, url)).lane('0').setIfAbsent('k', bytes('v')))
})

test.serial('a store that does not answer is not opened', async (t) => {
  const began = performance.now()
  const refused = { code: 'SEATA_STORE_OPEN_FAILED', message: /ECONNREFUSED/ }
  await t.throwsAsync(openStorage('etcd://127.0.0.1:1'), refused)
  t.true(performance.now() - began < 8000)
})
