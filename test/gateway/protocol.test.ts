// The Seata port over real sockets: what is answered, what is refused, and when a connection is closed.
import { gzipSync } from 'node:zlib'
import test from 'ava'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { frameOf, identity, RawClient, type RawOptions } from '../client/raw.ts'
import { startApp } from '../e2e/servers.ts'
import { captures } from '../golden/golden.ts'

type T = Parameters<typeof startApp>[0]

async function raw(t: T, options?: RawOptions): Promise<RawClient> {
  const { port } = await startApp(t)
  return rawTo(t, port, options)
}

async function rawTo(t: T, port: number, options?: RawOptions): Promise<RawClient> {
  const client = await RawClient.connect(port, options)
  t.teardown(() => client.destroy())
  return client
}

/** What a client sent in a captured conversation, as hex, in order. */
function sent(name: string): string[] {
  const capture = captures().find((c) => c.name === name)!
  return capture.frames.filter((f) => f.dir === 'c2s' && f.hex !== undefined).map((f) => f.hex!)
}

const begin = { type: 1, timeout: 60_000, transactionName: 'tx' }

test('PING is answered before any registration, and echoes id, serializer and compressor, even unknown ones', async (t) => {
  const c = await raw(t)
  c.sendHex('dada0100000010001003010000000005')
  t.like(await c.answer(5), { version: 1, messageType: 4, codec: 1, compressor: 0 })
  c.sendHex('dada010000001000100363630000004e')
  t.like(await c.answer(0x4e), { messageType: 4, codec: 99, compressor: 99 })
  c.sendHex('dada0200000010001003010000000006')
  t.like(await c.answer(6), { version: 2, messageType: 4 })
  c.sendHex('dada00e000000000000000000007')
  t.like(await c.answer(7), { version: 0, messageType: 4 })
})

test('registrations in v1 and v2, without version, without resources, twice, and as seata-go does on one connection', async (t) => {
  const { port } = await startApp(t)
  const c = await rawTo(t, port)
  t.like(await c.registerTM(), { type: 102, identified: true, version: '2.6.0' })
  t.like(await c.registerRM('a,b'), { type: 104, identified: true })
  t.like(await c.registerRM('c'), { type: 104, identified: true })
  const v2 = await rawTo(t, port)
  t.like(await v2.registerTM('2.7.0', { version: 2 }), { resultCode: 1, identified: true })
  const bare = await rawTo(t, port)
  t.like(await bare.registerRM('', ''), { identified: true })
  t.like(await bare.request({ type: 105, ...identity(''), resourceIds: 'a' }, { id: 9 }), {
    type: 106,
    identified: true
  })
  t.like(await bare.request({ type: 105, ...identity(''), resourceIds: '' }, { id: 10 }), {
    type: 106,
    identified: false
  })
})

test('requests of who never registered get an error, and the connection stays', async (t) => {
  const c = await raw(t)
  const answer = await c.request(begin, { id: 3 })
  t.like(answer, { type: 2, resultCode: 0 })
  t.regex(answer.msg, /register as TM or RM first/)
  const merged = await c.request({ type: 59, messages: [begin], msgIds: [4] }, { id: 5 })
  t.like(merged, { type: 16, resultCode: 0 })
  t.like(await c.registerTM(), { identified: true })
  t.is((await c.request(begin, { id: 6 })).resultCode, 1)
})

for (const [probe, text] of [
  ['unknown-codec', /serializer 99 is not supported/],
  ['unknown-compressor', /compressor 99 is not supported/],
  ['unknown-type', /message type 999 is not a request/],
  ['short-body', /cannot read the message/],
  ['empty-body', /there is no type code/],
  ['register-unknown-branch-type', /unsupported type:9/]
] as const) {
  test(`probe ${probe}: a clear error, and the next frame is answered`, async (t) => {
    const c = await raw(t)
    for (const hex of sent(`probes/${probe}`)) c.sendHex(hex)
    const answers = []
    for (let i = 0; i < 3; i++) answers.push((await c.next((r) => r.messageType === 1)).message!)
    const failed = answers.filter((a) => a.resultCode === 0 && !a.identified)
    t.is(failed.length, 1)
    t.regex(failed[0]!.msg, text)
    t.false(c.isClosed)
  })
}

test('probe trailing-bytes: bytes after the last field are ignored', async (t) => {
  const c = await raw(t)
  for (const hex of sent('probes/trailing-bytes')) c.sendHex(hex)
  t.is((await c.answer(9)).message!.resultCode, 1)
})

test('message types 1, 2 and 9 of a request are answered like 0: only the body decides', async (t) => {
  const c = await raw(t)
  await c.registerTM()
  for (const messageType of [1, 2, 9]) {
    t.is((await c.request(begin, { id: 10 + messageType, messageType })).resultCode, 1)
  }
})

test('every version byte but 0 is a v1 frame, and it may change between frames', async (t) => {
  const c = await raw(t)
  for (const hex of sent('probes/version-changes')) c.sendHex(hex)
  const versions = []
  for (let i = 0; i < 3; i++) versions.push((await c.next((r) => r.messageType === 1)).version)
  t.deepEqual(versions.sort(), [1, 1, 2])
})

for (const probe of ['bad-magic-later', 'zero-lengths', 'too-long', 'garbage-first']) {
  test(`probe ${probe}: what cannot be framed closes that connection`, async (t) => {
    const { port } = await startApp(t)
    const c = await rawTo(t, port)
    const other = await rawTo(t, port)
    await other.registerTM()
    for (const hex of sent(`probes/${probe}`).slice(0, 2)) c.sendHex(hex)
    await c.closed
    t.is((await other.request(begin, { id: 3 })).resultCode, 1)
  })
}

test('an http request on the Seata port closes the connection', async (t) => {
  const c = await raw(t)
  c.socket.write('GET /health HTTP/1.1\r\n\r\n')
  await c.closed
  t.pass()
})

test('the header that a failing RM leaves: the frames behind it are read, and the branch is tried again at once', async (t) => {
  const { port, client } = await startApp(t, { retryPeriod: 20 })
  const tm = await client()
  await tm.registerTM()
  const rm = await rawTo(t, port)
  await rm.registerRM('tcc', '2.6.0')
  const { xid } = await tm.begin()
  const branch = { type: 11, xid, branchType: BranchType.TCC, resourceId: 'tcc', lockKey: '', applicationData: '' }
  await rm.request(branch, { id: 3 })
  const committed = tm.commit(xid)
  const first = await rm.next((r) => r.message?.type === 3)
  // 16 bytes with a stale length of 71, then a PING that the length would swallow.
  const id = first.id.toString(16).padStart(8, '0')
  rm.sendHex(`dada0100000047001001010${'0'}${id}`)
  rm.sendHex('dada0100000010001003010000000005')
  t.like(await rm.answer(5), { messageType: 4 })
  t.is((await committed).globalStatus, GlobalStatus.CommitRetrying)
  const second = await rm.next((r) => r.message?.type === 3)
  const { branchId } = second.message!
  const status = BranchStatus.PhaseTwo_Committed
  rm.send({ type: 4, resultCode: 1, xid, branchId, branchStatus: status }, { id: second.id, messageType: 1 })
  await rm.next(() => true, 50).catch(() => {})
  t.is((await tm.status(xid)).globalStatus, GlobalStatus.Committed)
  t.false(rm.isClosed)
})

test('the same header with nothing behind it: the call fails within seconds, and the body may still come', async (t) => {
  const { port, client } = await startApp(t, { retryPeriod: 60_000 })
  const tm = await client()
  await tm.registerTM()
  const rm = await rawTo(t, port)
  await rm.registerRM('tcc', '2.6.0')
  const { xid } = await tm.begin()
  const branch = { type: 11, xid, branchType: BranchType.TCC, resourceId: 'tcc', lockKey: '', applicationData: '' }
  await rm.request(branch, { id: 3 })
  const started = performance.now()
  const committed = tm.commit(xid)
  const { id } = await rm.next((r) => r.message?.type === 3)
  rm.sendHex(`dada01000000470010010100${id.toString(16).padStart(8, '0')}`)
  const answer = await committed
  t.is(answer.resultCode, 0)
  t.is(answer.globalStatus, GlobalStatus.CommitRetrying)
  t.true(performance.now() - started < 5000)
})

for (const [version, form] of [
  ['1.4.2', 'together'],
  ['1.5.2', 'together'],
  ['2.2.0', 'together'],
  ['', 'together'],
  ['2.3.0', 'single'],
  ['2.6.0', 'single']
] as const) {
  test(`a MergedWarp of a client ${version || 'without version'} is answered ${form}`, async (t) => {
    const c = await raw(t)
    await c.registerTM(version)
    const query = { type: 21, xid: 'x', branchType: 0, resourceId: 'r', lockKey: 't:1', applicationData: '' }
    c.send({ type: 59, messages: [begin, query], msgIds: [11, 12] }, { id: 13, messageType: 2 })
    if (form === 'single') {
      t.is((await c.answer(11)).message!.type, 2)
      t.like((await c.answer(12)).message!, { type: 22, lockable: true })
    } else {
      const { messages } = (await c.answer(13)).message!
      t.deepEqual(
        messages.map((m: { type: number }) => m.type),
        [2, 22]
      )
    }
  })
}

test('envelopes with a GlobalStatus, without ids, with none inside, and with what does not belong there', async (t) => {
  const c = await raw(t)
  await c.registerTM('2.6.0')
  const types = async (id: number) => (await c.answer(id)).message!.messages.map((m: { type: number }) => m.type)
  c.send({ type: 59, messages: [{ type: 15, xid: 'x', extraData: '' }], msgIds: [11] }, { id: 13, messageType: 2 })
  t.deepEqual(await types(13), [16])
  c.send({ type: 59, messages: [begin, begin], msgIds: [] }, { id: 14, messageType: 2 })
  t.deepEqual(await types(14), [2, 2])
  c.send({ type: 59, messages: [], msgIds: [] }, { id: 15, messageType: 2 })
  t.deepEqual(await types(15), [])
  c.send({ type: 59, messages: [begin, { type: 14, resultCode: 1 }], msgIds: [16, 17] }, { id: 18, messageType: 2 })
  t.regex((await c.answer(18)).message!.msg, /cannot read the message: no message has type code 14/)
  c.sendHex('dada010000001c00100201000000001c003b00000006000103090000')
  t.is((await c.answer(28)).message!.resultCode, 0)
  t.is((await c.request(begin, { id: 29 })).resultCode, 1)
})

test("a whole v0 client: registration, merged begin, branch, commit, and the coordinator's request in v0", async (t) => {
  const c = await raw(t)
  const v0 = { version: 0 as const }
  await c.registerTM('0.6.1', v0)
  await c.registerRM('tcc', '0.6.1', v0)
  const { messages } = await c.request({ type: 59, messages: [begin], msgIds: [] }, { id: 3, messageType: 2, ...v0 })
  const { xid } = messages[0]
  const branch = { type: 11, xid, branchType: BranchType.TCC, resourceId: 'tcc', lockKey: '', applicationData: '{}' }
  const registered = await c.request(branch, { id: 4, ...v0 })
  c.send({ type: 7, xid, extraData: '' }, { id: 5, ...v0 })
  const call = await c.next((r) => r.message?.type === 3)
  t.like(call, { version: 0, messageType: 0 })
  t.is(call.message!.branchId, registered.branchId)
  c.send(
    { type: 4, resultCode: 1, xid, branchId: registered.branchId, branchStatus: 5 },
    { id: call.id, messageType: 1, ...v0 }
  )
  t.is((await c.answer(5)).message!.globalStatus, GlobalStatus.Committed)
})

test('a conversation byte by byte', async (t) => {
  const c = await raw(t)
  const bytes = Buffer.concat([
    frameOf({ type: 101, ...identity('2.0.0') }, { id: 1 }),
    Buffer.from('dada0100000010001003010000000002', 'hex'),
    frameOf(begin, { id: 3 }),
    frameOf({ type: 101, ...identity('0.6.1') }, { id: 4, version: 0 }),
    frameOf(begin, { id: 5, version: 0 })
  ])
  for (const byte of bytes) {
    c.socket.write(Buffer.from([byte]))
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (const id of [1, 2, 3, 4, 5]) t.truthy(await c.answer(id))
})

test('answers come in the compressor of the request', async (t) => {
  const c = await raw(t)
  await c.registerTM()
  for (const compressor of [1, 6, 7]) {
    c.send(begin, { id: 20 + compressor, compressor })
    const answer = await c.answer(20 + compressor)
    t.is(answer.compressor, compressor)
    t.is(answer.message!.resultCode, 1)
  }
})

test('a body that unpacks to more than a frame may hold, or not at all, gets an error', async (t) => {
  const c = await raw(t)
  await c.registerTM()
  const frame = (body: Buffer, id: number) => {
    const header = Buffer.from('dada0100000000001000010100000000', 'hex')
    header.writeInt32BE(16 + body.length, 3)
    header.writeInt32BE(id, 12)
    return Buffer.concat([header, body])
  }
  c.socket.write(frame(gzipSync(Buffer.alloc(50 * 1024 * 1024)), 30))
  t.is((await c.answer(30)).message!.resultCode, 0)
  c.socket.write(frame(Buffer.from('this is no gzip'), 31))
  t.regex((await c.answer(31)).message!.msg, /cannot read the message/)
})

test('seata-go: failures of report and lock query carry a one-byte length, and its own failures are understood', async (t) => {
  const { port, client } = await startApp(t, { retryPeriod: 20 })
  const go = await rawTo(t, port, { shortMsg: true })
  // seata-go alone registers its TM one-way.
  await go.registerTM('1.1.0', { messageType: 2 })
  await go.registerRM('tcc', '1.5.2')
  const report = {
    type: 13,
    xid: 'none',
    branchId: 1n,
    branchStatus: 2,
    resourceId: '',
    applicationData: '',
    branchType: 0
  }
  const refused = await go.request(report, { id: 5 })
  t.regex(refused.msg, /Could not found global transaction/)
  const tm = await client()
  await tm.registerTM()
  const { xid } = await tm.begin()
  await go.request({ type: 11, xid, branchType: 1, resourceId: 'tcc', lockKey: '', applicationData: '' }, { id: 6 })
  const committed = tm.commit(xid)
  const call = await go.next((r) => r.message?.type === 3)
  const { branchId } = call.message!
  const failed = {
    type: 4,
    resultCode: 0,
    msg: 'err',
    xid,
    branchId,
    branchStatus: BranchStatus.PhaseTwo_CommitFailed_Unretryable
  }
  go.send(failed, { id: call.id, messageType: 1 })
  t.is((await committed).globalStatus, GlobalStatus.CommitFailed)
})

test("the coordinator's own request ids keep clear of seata-go's: from 0x40000000 on", async (t) => {
  const { port, client } = await startApp(t)
  const tm = await client()
  await tm.registerTM()
  const rm = await rawTo(t, port)
  await rm.registerRM('tcc')
  const { xid } = await tm.begin()
  await rm.request({ type: 11, xid, branchType: 1, resourceId: 'tcc', lockKey: '', applicationData: '' }, { id: 6 })
  void tm.commit(xid).catch(() => {})
  t.true((await rm.next((r) => r.message?.type === 3)).id > 0x4000_0000)
})

test('branch requests come in the frame version in which the RM registered', async (t) => {
  const { port, client } = await startApp(t)
  const tm = await client()
  await tm.registerTM()
  const rm = await rawTo(t, port)
  await rm.registerRM('tcc', '2.7.0', { version: 2 })
  const { xid } = await tm.begin()
  await rm.request(
    { type: 11, xid, branchType: 1, resourceId: 'tcc', lockKey: '', applicationData: '' },
    { id: 6, version: 2 }
  )
  void tm.commit(xid).catch(() => {})
  t.is((await rm.next((r) => r.message?.type === 3)).version, 2)
})
