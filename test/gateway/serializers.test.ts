// Serializers at the Seata port: protobuf in both of its packages, with phase two; and those that only Java has, each refused by its name.
import { once } from 'node:events'
import { connect } from 'node:net'
import test from 'ava'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { BranchStatus, BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { decompress } from '../../tc-core/wire/compress.ts'
import { FrameReader, MAX_FRAME_BYTES, writeFrame } from '../../tc-core/wire/frame.ts'
import type { AnyMessage } from '../../tc-core/wire/message.ts'
import { readBody } from '../../tc-core/wire/messages/index.ts'
import { PACKAGES, readProtobuf, writeProtobuf } from '../../tc-core/wire/messages/protobuf.ts'
import { startApp } from '../e2e/servers.ts'
import { javaCompressors } from '../golden/golden.ts'

interface Came {
  readonly messageType: number
  readonly codec: number
  readonly compressor: number
  readonly id: number
  readonly package: string
  readonly message: { readonly type: number; readonly [field: string]: any }
}

/** A client in bytes; what comes is read by the codec that its frame names. */
class Peer {
  readonly socket
  readonly #came: Came[] = []
  #wake = Promise.withResolvers<void>()

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    const reader = new FrameReader(
      ({ messageType, codec, compressor, id, bytes, bodyStart, bodyEnd }) => {
        const packed = Buffer.from(bytes.subarray(bodyStart, bodyEnd))
        const body = compressor === 0 ? packed : decompress(compressor, packed, MAX_FRAME_BYTES)
        const context = { package: '' }
        const protobuf = codec === 2
        const message = protobuf
          ? readProtobuf(body, context)
          : readBody(new Reader(body), { version: 1, shortMsg: false })
        this.#came.push({ messageType, codec, compressor, id, ...context, message })
        this.#wake.resolve()
        this.#wake = Promise.withResolvers()
      },
      () => {}
    )
    this.socket.on('data', (chunk: Buffer) => reader.push(chunk))
  }

  sendBody(body: Buffer, codec: number, id: number, messageType = 0, compressor = 0): void {
    const w = new Writer()
    writeFrame(w, { version: 1, messageType, codec, compressor: 0, id }, body)
    w.bytes[11] = compressor
    this.socket.write(w.written)
  }

  send(message: object, id: number, prefix: string, messageType = 0): void {
    this.sendBody(writeProtobuf(message as AnyMessage, { package: prefix }), 2, id, messageType)
  }

  async next(fits: (came: Came) => boolean): Promise<Came> {
    for (;;) {
      const found = this.#came.find(fits)
      if (found) return found
      await this.#wake.promise
    }
  }

  answer(id: number): Promise<Came> {
    return this.next((came) => came.id === id && came.messageType === 1)
  }
}

async function peer(t: Parameters<typeof startApp>[0]): Promise<Peer> {
  const { port } = await startApp(t)
  const peer = new Peer(port)
  await once(peer.socket, 'connect')
  t.teardown(() => peer.socket.destroy())
  return peer
}

const identity = { version: '2.0.0', applicationId: 'app', transactionServiceGroup: 'group', extraData: '' }

for (const prefix of PACKAGES) {
  test(`a client that speaks ${prefix} is answered and asked in it`, async (t) => {
    const p = await peer(t)
    p.send({ type: 103, ...identity, resourceIds: 'tcc' }, 1, prefix)
    t.like(await p.answer(1), { codec: 2, package: prefix, message: { type: 104, resultCode: 1, identified: true } })
    p.send({ type: 1, timeout: 60_000, transactionName: 'tx' }, 2, prefix)
    const { xid } = (await p.answer(2)).message
    const branch = { type: 11, xid, branchType: BranchType.TCC, resourceId: 'tcc', applicationData: '{}' }
    p.send({ type: 59, messages: [branch], msgIds: [3] }, 4, prefix, 2)
    const { messages } = (await p.answer(4)).message
    t.like(messages[0], { type: 12, resultCode: 1 })
    p.send({ type: 7, xid }, 5, prefix)
    const call = await p.next(({ message }) => message.type === 3)
    t.like(call, { codec: 2, package: prefix, message: { xid, resourceId: 'tcc', applicationData: '{}' } })
    t.is(call.message.branchId, messages[0].branchId)
    const { branchId } = call.message
    const done = { type: 4, resultCode: 1, xid, branchId, branchStatus: BranchStatus.PhaseTwo_Committed }
    p.send(done, call.id, prefix, 1)
    t.like(await p.answer(5), { codec: 2, message: { type: 8, globalStatus: GlobalStatus.Committed } })
  })
}

test('a body in protobuf that cannot be read gets a failed result in protobuf, and the connection lives on', async (t) => {
  const p = await peer(t)
  p.sendBody(Buffer.from('no name'), 2, 1)
  const { codec, message } = await p.answer(1)
  t.is(codec, 2)
  t.is(message.resultCode, 0)
  t.regex(message.msg, /cannot read the message/)
  p.send({ type: 101, ...identity }, 2, PACKAGES[1])
  t.like(await p.answer(2), { message: { identified: true } })
})

test('serializers of Java alone are refused by name, in the result of whatever registration it was', async (t) => {
  const p = await peer(t)
  const names = { 4: 'kryo', 8: 'fst', 22: 'hessian', 86: 'fury', 87: 'fory', 100: 'fastjson2' }
  for (const [codec, name] of Object.entries(names)) {
    p.sendBody(Buffer.from('an object of Java'), Number(codec), Number(codec))
    for (const type of [102, 104]) {
      const { codec: answered, message } = await p.next(
        (came) => came.id === Number(codec) && came.message.type === type
      )
      t.is(answered, 1)
      t.false(message.identified)
      // What Java shows of it.
      t.is(message.version, `RuntimeException[serializer ${name} is not supported, use seata or protobuf]`)
    }
  }
  p.send({ type: 101, ...identity }, 1, PACKAGES[1])
  t.like(await p.answer(1), { message: { identified: true } })
  p.sendBody(Buffer.from('an object of Java'), 22, 2)
  const { message } = await p.answer(2)
  t.is(message.resultCode, 0)
  t.is(message.msg, 'RuntimeException[serializer hessian is not supported, use seata or protobuf]')
})

test('unknown compressors are refused with the list of what is spoken; what is only unpacked is answered without compression', async (t) => {
  const p = await peer(t)
  p.sendBody(javaCompressors().get('raw')!, 1, 1, 0, 8)
  t.regex((await p.answer(1)).message.msg, /compressor 8 is not supported, use one of none, gzip, zip, 7z, bzip2, lz4/)
  p.sendBody(javaCompressors().get('7z')!, 1, 3, 0, 3)
  const { message, ...header } = await p.answer(3)
  t.is(header.compressor, 3)
  t.regex(message.msg, /register as TM or RM first/)
  for (const [name, compressor] of [
    ['bzip2', 4],
    ['lz4', 5]
  ] as const) {
    p.sendBody(javaCompressors().get(name)!, 1, compressor, 0, compressor)
    const { message, ...header } = await p.answer(compressor)
    t.is(header.compressor, 0)
    t.regex(message.msg, /register as TM or RM first/)
  }
})
