// The Seata port by itself: what all clients together may hold, and who has to go when it is more.
import { connect, type Socket } from 'node:net'
import test from 'ava'
import { Listener } from '../../gateway/listener.ts'
import type { ClientSession } from '../../gateway/session.ts'
import { Codec, MessageType } from '../../tc-core/wire/codes.ts'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import { frameOf } from '../client/raw.ts'
import { eventually, recordingLog } from '../host/harness.ts'

type T = { teardown(then: () => unknown): void }

const MIB = 1024 * 1024
const request = frameOf({ type: 1, timeout: 60_000, transactionName: 'tx' }, { id: 1 })

async function start(t: T, limits: { maxHeld?: number; maxUnread?: number }) {
  const logger = recordingLog()
  const frames: ClientSession[] = []
  const listener = new Listener({
    maxClients: 100,
    maxInFlight: 100,
    maxHeld: limits.maxHeld ?? MIB,
    maxUnread: limits.maxUnread ?? MIB,
    traffic: { bytesIn: 0, bytesOut: 0, framesIn: 0 },
    logger,
    runtime: systemRuntime,
    frame: (session) => void frames.push(session),
    lost() {},
    closed() {}
  })
  const { port } = await listener.listen('127.0.0.1', 0)
  t.teardown(() => listener.close(0))
  /** A connection and the gateway's side of it. */
  const client = async (): Promise<{ socket: Socket; session: ClientSession }> => {
    const socket = connect(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    const known = new Set(listener.sessions)
    await eventually(() => listener.sessions.size === known.size + 1)
    return { socket, session: [...listener.sessions].find((session) => !known.has(session))! }
  }
  return { listener, logger, client, frames }
}

/** The beginning of a frame of 8 MiB, `bytes` of it. */
function unfinished(bytes: number): Buffer {
  const frame = Buffer.alloc(bytes)
  request.copy(frame, 0, 0, 16)
  frame.writeUInt32BE(8 * MIB, 3)
  return frame
}

test('limit: unfinished requests of all clients; who holds most is closed, the others stay', async (t) => {
  const { listener, logger, client, frames } = await start(t, { maxHeld: 2 * MIB })
  const small = await client()
  small.socket.write(request.subarray(0, 20))
  const some = await client()
  some.socket.write(unfinished(MIB))
  await eventually(() => some.session.held === MIB && small.session.held === 20)
  const most = await client()
  most.socket.write(unfinished(1.5 * MIB))
  await eventually(() => listener.sessions.size === 2)
  t.true(most.session.closed)
  t.false(some.session.closed || small.session.closed)
  t.true(logger.lines.some(({ level, text }) => level === 'warn' && text.includes('bytes of unfinished requests')))
  small.socket.write(request.subarray(20))
  await eventually(() => frames.length === 1)
  t.is(frames[0], small.session)
})

test('limit: answers that clients do not read, of all together; who is owed most is closed, the others stay', async (t) => {
  const { listener, logger, client } = await start(t, { maxUnread: 24 * MIB })
  const [reads, some, most] = [await client(), await client(), await client()]
  reads.socket.resume()
  const header = { version: 1, messageType: MessageType.Response, codec: Codec.Seata, compressor: 0, id: 1 } as const
  const send = ({ session }: typeof some, bytes: number) => session.send(header, Buffer.alloc(bytes))
  // Of each the kernel takes up to 10 MB: they are not the process's.
  send(some, 20 * MIB)
  await eventually(() => some.session.unread > 0)
  send(most, 50 * MIB)
  for (let i = 0; i < 40; i++) {
    send(reads, MIB)
    await eventually(() => reads.session.unread === 0)
  }
  await eventually(() => listener.sessions.size === 2)
  t.true(most.session.closed)
  t.false(some.session.closed || reads.session.closed)
  t.true(
    logger.lines.some(({ level, text }) => level === 'warn' && text.includes('bytes of answers that are not read'))
  )
})
