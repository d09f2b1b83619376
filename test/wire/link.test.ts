// A link: every frame goes through whole, however the bytes are cut, and what cannot be read or does not live is closed, once.
import { Duplex } from 'node:stream'
import test from 'ava'
import fc from 'fast-check'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { LinkConnection } from '../../tc-core/wire/link-connection.ts'
import * as f from '../../tc-core/wire/link-frames.ts'
import { type AnyMessage, writeFields } from '../../tc-core/wire/message.ts'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import { eventually } from '../host/harness.ts'

/** A stream by hand: the test pushes what comes, sees each write, and says when the other side reads. */
class Wire extends Duplex {
  /** Without the pings, which come when they come. */
  readonly writes: Buffer[] = []
  pings = 0
  reads = true

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    if (chunk[4] === f.Ping.code) this.pings++
    else this.writes.push(Buffer.from(chunk))
    if (this.reads) done()
  }
}

interface End {
  readonly wire: Wire
  readonly link: LinkConnection
  readonly frames: f.LinkFrame[]
  readonly closed: string[]
  now: number
}

function end(t: { teardown(then: () => void): void } | null, onFrame: (frame: f.LinkFrame) => void = () => {}): End {
  const wire = new Wire()
  const frames: f.LinkFrame[] = []
  const closed: string[] = []
  const self = { wire, frames, closed, now: 0 } as { -readonly [K in keyof End]: End[K] }
  self.link = new LinkConnection(
    wire,
    { ...systemRuntime, now: () => self.now },
    {
      frame: (frame) => {
        // Valid during the call: what is kept is copied.
        frames.push(structured(frame))
        onFrame(frame)
      },
      closed: (reason) => void closed.push(reason)
    }
  )
  t?.teardown(() => self.link.close('the test is over'))
  return self
}

function structured(frame: f.LinkFrame): f.LinkFrame {
  const copy = Object.entries(frame).map(([name, value]) => [name, Buffer.isBuffer(value) ? Buffer.from(value) : value])
  return Object.fromEntries(copy) as f.LinkFrame
}

function bytesOf(...list: readonly AnyMessage[]): Buffer {
  const w = new Writer()
  for (const frame of list) {
    const start = w.room(4)
    w.u8(frame.type)
    writeFields(f.linkFrames.find(frame.type)!, w, frame, f.LINK_DIALECT)
    w.setI32(start, w.pos - start - 4)
  }
  return Buffer.from(w.written)
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

const text = fc.string({ unit: 'grapheme', maxLength: 40 })
const integer = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })
const marks = fc.array(
  fc.record({ fragment: fc.nat(65535), mark: fc.nat(Number.MAX_SAFE_INTEGER) }, { noNullPrototype: true })
)
/** Values of a field, by what its initial value is and how far it goes. */
function valuesOf(name: string, initial: unknown): fc.Arbitrary<unknown> {
  if (typeof initial === 'string') return text
  if (typeof initial === 'boolean') return fc.boolean()
  if (typeof initial === 'bigint') return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  if (Buffer.isBuffer(initial)) return fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
  if (Array.isArray(initial)) return marks
  const narrow = ['protocol', 'role', 'version', 'codec', 'reason', 'kind', 'branchType']
  if (narrow.includes(name)) return fc.nat(255)
  if (['fragment', 'from', 'to', 'waited'].includes(name)) return fc.nat(65535)
  return ['term', 'index'].includes(name) ? fc.nat(Number.MAX_SAFE_INTEGER) : integer
}

const anyFrame = fc.oneof(
  ...f.linkFrames.tables
    .filter(({ code }) => code !== f.Ping.code)
    .map((t) =>
      fc
        .record(Object.fromEntries(t.entries.map(([name, { initial }]) => [name, valuesOf(name, initial)])), {
          noNullPrototype: true
        })
        .map((fields) => ({ type: t.code, ...fields }) as unknown as f.LinkFrame)
    )
)

test('every frame comes out as it went in, in pieces of any size', (t) => {
  const lists = fc.array(anyFrame, { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(lists, fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1 }), (list, cuts) => {
      const { wire, frames, link, closed } = end(null)
      const bytes = bytesOf(...list)
      for (let pos = 0, i = 0; pos < bytes.length; i++) {
        const size = cuts[i % cuts.length]!
        wire.emit('data', Buffer.from(bytes.subarray(pos, pos + size)))
        pos += size
      }
      t.deepEqual(closed, [])
      t.deepEqual(frames, list)
      link.close('done')
    }),
    { numRuns: 300 }
  )
})

test('all frames of one turn leave in one write, those of the next in another', async (t) => {
  const { wire, link } = end(t)
  const list = Array.from({ length: 50 }, (_, id) => ({ type: f.Refused.code, id, reason: 1 }))
  for (const frame of list) link.send(frame)
  t.is(wire.writes.length, 0)
  await turn()
  t.is(wire.writes.length, 1)
  t.true(wire.writes[0]!.equals(bytesOf(...list)))
  link.send(list[0]!)
  await turn()
  t.is(wire.writes.length, 2)
})

test('what waits in the stream is not written over by what is sent later', async (t) => {
  const { wire, link } = end(t)
  wire.reads = false
  const kept: Buffer[] = []
  wire._write = (chunk: Buffer) => void (chunk[4] !== f.Ping.code && kept.push(chunk))
  link.send({ type: f.View.code, json: 'a'.repeat(1000) })
  await turn()
  link.send({ type: f.View.code, json: 'b'.repeat(1000) })
  await turn()
  t.true(kept[0]!.equals(bytesOf({ type: f.View.code, json: 'a'.repeat(1000) } as AnyMessage)))
})

const rm = { type: f.RmGone.code, clientId: 'app:1.1.1.1:5' } as AnyMessage
const unreadable: [string, Buffer, RegExp][] = [
  ['a length of nothing', Buffer.from([0, 0, 0, 0]), /a frame of 0 bytes/],
  ['a frame that is too long', Buffer.from([0, 0x90, 0, 1]), /a frame of 9437185 bytes/],
  ['a kind that nobody knows', Buffer.from([0, 0, 0, 2, 250, 1]), /a frame of kind 250/],
  [
    'a frame that ends inside a field',
    Buffer.from([0, 0, 0, 3, f.Refused.code, 0, 1]),
    /a refused that cannot be read/
  ],
  ['a negative length', Buffer.from([0, 0, 0, 3, f.RmGone.code, 255, 255]), /a rmGone that cannot be read/]
]
for (const [what, bytes, reason] of unreadable) {
  test(`${what} closes the link, once, and nothing of it counts any more`, (t) => {
    const { wire, frames, closed, link } = end(t)
    wire.emit('data', Buffer.concat([bytesOf(rm), bytes, bytesOf(rm)]))
    wire.emit('data', bytesOf(rm))
    link.close('again')
    t.is(frames.length, 1)
    t.is(closed.length, 1)
    t.regex(closed[0]!, reason)
    t.true(wire.destroyed)
  })
}

test('the longest frame there may be is taken', (t) => {
  const { wire, frames, closed } = end(t)
  const record = Buffer.alloc(f.MAX_LINK_FRAME_BYTES - 3, 7)
  wire.emit('data', bytesOf({ type: f.Appended.code, fragment: 3, record } as AnyMessage))
  t.deepEqual(closed, [])
  t.true((frames[0] as { record: Buffer }).record.equals(record))
})

test('what a handler cannot make sense of closes the link and leaves the process alone', (t) => {
  const { wire, closed } = end(t, () => JSON.parse('{'))
  wire.emit('data', bytesOf({ type: f.View.code, json: '{' } as AnyMessage))
  t.is(closed.length, 1)
  t.regex(closed[0]!, /a view that cannot be read came: .*JSON/)
})

test('pings are not shown to the handler and need no answer', async (t) => {
  const { wire, frames } = end(t)
  wire.emit('data', bytesOf({ type: f.Ping.code, sequence: 77 } as AnyMessage))
  await turn()
  t.deepEqual(wire.writes, [])
  t.deepEqual(frames, [])
})

test('a link over which nothing comes is closed after three seconds; a ping is enough to keep it', async (t) => {
  const silent = end(t)
  const living = end(t)
  living.wire.emit(
    'data',
    bytesOf({ type: f.Hello.code, protocol: 1, role: 0, cluster: 'c', name: 'g', writer: 1n } as AnyMessage)
  )
  for (const now of [1000, 2000, 2900]) silent.now = living.now = now
  living.wire.emit('data', bytesOf({ type: f.Ping.code, sequence: 1 } as AnyMessage))
  silent.now = living.now = 3001
  await eventually(() => silent.closed.length > 0)
  t.deepEqual(silent.closed, ['nothing came for 3000 ms'])
  t.false(living.link.closed)
  t.is(living.link.silence, 101)
  await eventually(() => living.wire.pings > 0)
})

test('a link over which nobody says hello is closed, whatever else comes', async (t) => {
  const stranger = end(t)
  stranger.now = 2900
  stranger.wire.emit('data', bytesOf({ type: f.Ping.code, sequence: 1 } as AnyMessage))
  await turn()
  t.deepEqual(stranger.closed, [])
  stranger.now = 3001
  await eventually(() => stranger.closed.length > 0)
  t.deepEqual(stranger.closed, ['no hello came within 3000 ms'])
})

test('limit: bytes that the other side does not read', async (t) => {
  const { wire, link, closed } = end(t)
  wire.reads = false
  const record = Buffer.alloc(8 * 1024 * 1024)
  for (let i = 0; i < 16; i++) {
    t.deepEqual(closed, [])
    link.send({ type: f.Appended.code, fragment: 0, record })
    await turn()
  }
  t.deepEqual(closed, ['the other side does not read'])
  link.send({ type: f.Appended.code, fragment: 0, record })
  await turn()
  t.is(closed.length, 1)
})

test('a large frame in small pieces is put together once, not copied with every piece', (t) => {
  const { wire, frames } = end(t)
  const bytes = bytesOf({ type: f.Appended.code, fragment: 0, record: Buffer.alloc(8 * 1024 * 1024) } as AnyMessage)
  const real = Buffer.concat
  let copied = 0
  Buffer.concat = (list, length) => {
    const joined = real(list, length)
    copied += joined.length
    return joined
  }
  try {
    for (let pos = 0; pos < bytes.length; pos += 1400) wire.emit('data', bytes.subarray(pos, pos + 1400))
  } finally {
    Buffer.concat = real
  }
  t.is(frames.length, 1)
  t.true(copied <= 2 * bytes.length, `${copied} bytes were copied for ${bytes.length}`)
})

test('the end of the stream and its errors close the link, once', (t) => {
  const ended = end(t)
  ended.wire.emit('close')
  ended.wire.emit('error', new Error('late'))
  t.deepEqual(ended.closed, ['the other side closed the link'])
  const broken = end(t)
  broken.wire.emit('error', new Error('ECONNRESET'))
  broken.wire.emit('close')
  t.deepEqual(broken.closed, ['ECONNRESET'])
})
