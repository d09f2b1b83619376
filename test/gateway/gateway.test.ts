// The gateway before an upstream of the test's: parking, proposals, limits, back-pressure, idleness and the end.
import { connect } from 'node:net'
import test from 'ava'
import { Gateway } from '../../gateway/gateway.ts'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { errorMessage } from '../../tc-core/wire/errors.ts'
import { DEFAULT_LIMITS, type Limits } from '../../tc-core/wire/limits.ts'
import type { LinkRequest, Upstream } from '../../tc-core/wire/link.ts'
import type { LockHomes } from '../../tc-core/wire/lock-homes.ts'
import { writeBody } from '../../tc-core/wire/messages/index.ts'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import { frameOf, identity, RawClient } from '../client/raw.ts'
import { eventually, recordingLog } from '../host/harness.ts'

type T = { teardown(then: () => unknown): void }

class FakeUpstream implements Upstream {
  downstream = null
  tableHomes: LockHomes | null = null
  serving = true
  readonly requests: (LinkRequest & { body: string })[] = []
  /** What becomes of a request; by default a begin is answered with its proposal. */
  on: (request: LinkRequest) => void = (request) => request.answer(begun(request.proposed))

  request(request: LinkRequest): void {
    this.requests.push(Object.assign(request, { body: request.bytes.toString('hex', request.start, request.end) }))
    if (this.serving) this.on(request)
    else request.refuse('unavailable')
  }

  rmServes(): void {}
  rmDrops(): void {}
  clientGone(): void {}
  openFragments = (): number[] => [0]
  serves = () => this.serving
  exists = (fragment: number): boolean => fragment === 0
}

function bodyOf(message: { type: number; [field: string]: unknown }): Buffer {
  const w = new Writer()
  writeBody(w, message, { version: 1, shortMsg: false })
  return Buffer.from(w.written)
}

const begun = (xid: string) => bodyOf({ type: 2, resultCode: 1, xid })

async function start(t: T, limits: Partial<Limits> = {}, drain = 0) {
  const upstream = new FakeUpstream()
  const logger = recordingLog()
  /** What the gateway's clock is ahead by, ms, or where it stands still. */
  const ahead: { ms: number; still?: number } = { ms: 0 }
  const gateway = new Gateway({
    host: '127.0.0.1',
    runtime: { ...systemRuntime, now: () => ahead.still ?? systemRuntime.now() + ahead.ms },
    drain,
    port: 0,
    advertise: '10.1.1.1:8091',
    strategy: 'consistent-hash',
    nearRows: true,
    limits: { ...DEFAULT_LIMITS, ...limits },
    upstream,
    logger,
    undoLogSaveDays: 7,
    undoLogDeletePeriod: 1e9
  })
  const { port } = await gateway.listen()
  t.teardown(() => gateway.stop(0))
  const client = async (version = '2.0.0') => {
    const c = await RawClient.connect(port)
    t.teardown(() => c.destroy())
    await c.registerTM(version)
    return c
  }
  return { upstream, gateway, logger, port, client, ahead }
}

const begin = { type: 1, timeout: 60_000, transactionName: 'tx' }

test('a request whose fragment nobody serves is parked, whole, and sent when somebody does', async (t) => {
  const { upstream, gateway, client } = await start(t)
  const c = await client()
  upstream.serving = false
  for (const id of [11, 12, 13]) c.send({ ...begin, transactionName: `name-${id}` }, { id })
  await eventually(() => gateway.parked === 3)
  // The bytes that they came in are used again by others.
  for (let i = 0; i < 50; i++) await c.request({ type: 101, ...identity('2.0.0') }, { id: 1000 + i })
  const before = upstream.requests.length
  upstream.serving = true
  gateway.servingChanged(0)
  for (const id of [11, 12, 13]) t.is((await c.answer(id)).message!.resultCode, 1)
  t.is(gateway.parked, 0)
  const names = upstream.requests.slice(before).map((r) => Buffer.from(r.body, 'hex').toString().slice(-7))
  t.deepEqual(names, ['name-11', 'name-12', 'name-13'])
})

test('a parked request is answered with an error when its time is up, and the connection stays', async (t) => {
  const { upstream, client } = await start(t)
  const c = await client()
  upstream.serving = false
  const started = performance.now()
  const answer = await c.request(begin, { id: 5 })
  t.is(answer.resultCode, 0)
  t.is(answer.transactionExceptionCode, 18)
  t.regex(answer.msg, /no leader serves fragment 0/)
  const ms = performance.now() - started
  t.true(ms > 4900 && ms < 5200, `${ms} ms`)
  t.false(c.isClosed)
})

test('limit: parked requests; one more is refused at once', async (t) => {
  const { upstream, gateway, client } = await start(t, { maxParked: 2 })
  const c = await client()
  upstream.serving = false
  c.send(begin, { id: 5 })
  c.send(begin, { id: 6 })
  await eventually(() => gateway.parked === 2)
  const answer = await c.request(begin, { id: 7 })
  t.regex(answer.msg, /too many requests are waiting \(2\)/)
})

test('limit: requests that wait, over all connections; one more begin is refused at once, and what has begun goes on', async (t) => {
  const { upstream, client, logger } = await start(t, { maxWaiting: 2 })
  const [c, other] = [await client(), await client()]
  const held: LinkRequest[] = []
  upstream.on = (request) => void held.push(request)
  c.send(begin, { id: 5 })
  other.send(begin, { id: 6 })
  await eventually(() => held.length === 2)
  const refusal = await c.request(begin, { id: 7 })
  t.like(refusal, { type: 2, resultCode: 0, transactionExceptionCode: 18 })
  t.regex(refusal.msg, /too many requests are waiting \(2\)/)
  const merged = await c.request({ type: 59, messages: [begin], msgIds: [9] }, { id: 8 })
  t.regex((merged.messages as { msg: string }[])[0]!.msg, /too many requests are waiting/)
  c.send({ type: 7, xid: '10.1.1.1:8091:1', extraData: '' }, { id: 10 })
  await eventually(() => held.length === 3)
  t.true(logger.lines.some(({ text }) => text === 'too much waits: begins are refused'))
  // Answers make room, and so does a connection that goes with all that it waits for.
  held[1]!.answer(begun('x'))
  c.destroy()
  await eventually(() => {
    other.send(begin, { id: 11 })
    return held.length > 3
  })
})

test('a fragment that says that RMs do not keep up is not asked again at once: begins are refused, in its words', async (t) => {
  const { upstream, client, ahead } = await start(t)
  const c = await client()
  const msg = errorMessage('SEATA_RM_BEHIND')
  ahead.still = systemRuntime.now()
  upstream.on = (request) => request.answer(bodyOf({ type: 2, resultCode: 0, msg, transactionExceptionCode: 10 }))
  for (let id = 1; id <= 3; id++) t.like(await c.request(begin, { id }), { type: 2, resultCode: 0, msg })
  t.is(upstream.requests.length, 1)
  const merged = await c.request({ type: 59, messages: [begin], msgIds: [9] }, { id: 8 })
  t.is((merged.messages as { msg: string }[])[0]!.msg, msg)
  // What is no begin passes.
  c.send({ type: 7, xid: '10.1.1.1:8091:1', extraData: '' }, { id: 10 })
  await eventually(() => upstream.requests.length === 2)
  ahead.still += 9
  t.is((await c.request(begin, { id: 11 })).resultCode, 0)
  t.is(upstream.requests.length, 2)
  upstream.on = (request) => request.answer(begun(request.proposed))
  ahead.still++
  t.is((await c.request(begin, { id: 12 })).resultCode, 1)
})

test('requests parked for a connection that went are not sent', async (t) => {
  const { upstream, gateway, client } = await start(t)
  const c = await client()
  upstream.serving = false
  c.send(begin, { id: 5 })
  await eventually(() => gateway.parked === 1)
  c.destroy()
  await eventually(() => gateway.connections === 0)
  upstream.serving = true
  const before = upstream.requests.length
  await eventually(() => gateway.parked === 0)
  t.is(upstream.requests.length, before)
})

test('an xid that the fragment knows already is replaced by another proposal', async (t) => {
  const { upstream, client } = await start(t)
  const c = await client()
  let refusals = 3
  upstream.on = (request) => (refusals-- > 0 ? request.refuse('xid-taken') : request.answer(begun(request.proposed)))
  const answer = await c.request(begin, { id: 5 })
  const proposals = upstream.requests.map((r) => r.proposed)
  t.is(new Set(upstream.requests).size, 1)
  t.is(answer.xid, proposals.at(-1))
  t.regex(answer.xid, /^10\.1\.1\.1:8091:\d+$/)
})

test('a request that is lost with its leader is answered with an error; a commit says that its outcome is open', async (t) => {
  const { upstream, client } = await start(t)
  const c = await client()
  upstream.on = (request) => request.refuse('lost')
  t.is((await c.request(begin, { id: 5 })).resultCode, 0)
  t.like(await c.request({ type: 7, xid: 'x', extraData: '' }, { id: 6 }), { resultCode: 0, globalStatus: 15 })
  t.like(await c.request({ type: 9, xid: 'x', extraData: '' }, { id: 7 }), { resultCode: 0, globalStatus: 0 })
})

test('limit: connections; one more is closed, those that are there stay', async (t) => {
  const { port, client, logger, gateway } = await start(t, { maxClients: 2 })
  const a = await client()
  await client()
  const third = connect(port, '127.0.0.1')
  await new Promise((resolve) => third.on('close', resolve))
  t.is((await a.request(begin, { id: 5 })).resultCode, 1)
  t.true(logger.lines.some((line) => line.text.includes('there are 2 connections and that is the limit')))
  a.destroy()
  await eventually(() => gateway.connections === 1)
  t.is((await (await client()).request(begin, { id: 5 })).resultCode, 1)
})

test('limit: requests in flight; the connection is not read until some are answered, others are', async (t) => {
  const { upstream, client } = await start(t, { maxInFlight: 10 })
  const c = await client()
  const other = await client()
  const held: LinkRequest[] = []
  upstream.on = (request) => void held.push(request)
  for (let i = 0; i < 30; i++) {
    c.send(begin, { id: 100 + i })
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await eventually(() => held.length >= 10)
  await new Promise((resolve) => setTimeout(resolve, 50))
  t.true(held.length < 30, `${held.length} were taken`)
  const before = held.length
  other.send(begin, { id: 5 })
  await eventually(() => held.length === before + 1)
  for (let answered = 0; answered < 31; answered++) {
    await eventually(() => held.length > answered)
    held[answered]!.answer(begun('x'))
  }
  for (let i = 0; i < 30; i++) t.is((await c.answer(100 + i)).message!.resultCode, 1)
})

test('a client that sends and never reads is held back alone', async (t) => {
  const { upstream, client, gateway } = await start(t)
  const greedy = await client()
  const other = await client()
  greedy.socket.pause()
  upstream.on = (request) => request.answer(begun('x'.repeat(2000)))
  const chunk = Buffer.concat(Array.from({ length: 200 }, (_, i) => frameOf(begin, { id: i + 10 })))
  for (let i = 0; i < 2000 && greedy.socket.writableLength < 4 * 1024 * 1024; i++) {
    greedy.socket.write(chunk)
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.true(greedy.socket.writableLength > 1024 * 1024, 'the gateway stopped reading it')
  const taken = upstream.requests.length
  for (let i = 0; i < 20; i++) t.is((await other.request(begin, { id: 1_000_000 + i })).resultCode, 1)
  t.is(upstream.requests.length, taken + 20)
  t.is(gateway.connections, 2)
  greedy.socket.resume()
  await eventually(() => greedy.received.length > 1000)
})

test('a connection without a byte for 15 s is closed, one that pings is not', async (t) => {
  const { client, logger, ahead } = await start(t)
  const silent = await client()
  const alive = await client()
  ahead.ms = 14_000
  alive.sendHex('dada0100000010001003010000000005')
  await alive.answer(5)
  ahead.ms = 15_200
  await silent.closed
  t.false(alive.isClosed)
  t.true(logger.lines.some((line) => line.text.includes('no byte for 15000 ms')))
})

test('one log line for many connections that cannot be framed', async (t) => {
  const { port, logger } = await start(t)
  for (let i = 0; i < 20; i++) {
    const c = await RawClient.connect(port)
    c.sendHex('00112233')
    await c.closed
  }
  t.true(logger.lines.filter((line) => line.text.includes('cannot frame')).length <= 2)
})

test('the end: begins are refused, what is in flight is answered, then connections are closed', async (t) => {
  const { upstream, gateway, client } = await start(t)
  const c = await client()
  const held: LinkRequest[] = []
  upstream.on = (request) => void held.push(request)
  c.send({ type: 7, xid: 'x', extraData: '' }, { id: 5 })
  await eventually(() => held.length === 1)
  const stopped = gateway.stop(5000)
  t.regex((await c.request(begin, { id: 6 })).msg, /shutting down/)
  held[0]!.answer(begun('x'))
  t.is((await c.answer(5)).message!.resultCode, 1)
  await stopped
  await c.closed
})

test('the end of one gateway of several: clients are served on, and the last answers leave with the end of the connection', async (t) => {
  const { upstream, gateway, client } = await start(t, {}, 300)
  const [quiet, busy] = [await client(), await client()]
  const held: LinkRequest[] = []
  upstream.on = (request) => void held.push(request)
  busy.send(begin, { id: 5 })
  await eventually(() => held.length === 1)
  const stopped = gateway.stop(5000)
  await quiet.closed
  busy.send(begin, { id: 6 })
  await eventually(() => held.length === 2, 'a begin that still comes is taken')
  await new Promise((resolve) => setTimeout(resolve, 350))
  held[1]!.answer(begun('y'))
  // Who has its answer might ask again: it gets it when nobody waits any more.
  held[0]!.answer(begun('x'))
  for (const id of [5, 6]) t.is((await busy.answer(id)).message!.resultCode, 1)
  await stopped
  await busy.closed
  t.is(upstream.requests.length, 2)
})

test('begins that come together go to one fragment, and over time every fragment gets its share', async (t) => {
  const { upstream, gateway, client } = await start(t)
  upstream.openFragments = () => [0, 1, 2, 3]
  upstream.exists = (fragment) => fragment < 4
  gateway.fragmentsChanged()
  const c = await client()
  const seen = new Map<number, number>()
  // By chance one may wait for its turn for long: there are some 24 flocks in 60 rounds.
  const isFair = (rounds: number) => [0, 1, 2, 3].every((fragment) => (seen.get(fragment) ?? 0) > rounds * 200 * 0.08)
  for (let round = 0; round < 60 || (round < 600 && !isFair(round)); round++) {
    upstream.requests.length = 0
    const answers = []
    for (let i = 0; i < 200; i++) answers.push(c.request(begin, { id: round * 1000 + i + 1 }))
    await Promise.all(answers)
    const fragments = upstream.requests.map(({ fragment }) => fragment)
    const changes = fragments.filter((fragment, i) => i > 0 && fragment !== fragments[i - 1]).length
    // 200 begins in one burst: no more than one change in 64, or one in 10 ms.
    t.true(changes <= 20, `${changes} changes`)
    for (const fragment of fragments) seen.set(fragment, (seen.get(fragment) ?? 0) + 1)
  }
  t.true(isFair(60), `${[...seen]}`)
})
