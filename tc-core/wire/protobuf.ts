// Seata's serializer "protobuf" (codec 2): a body is the length and the full name of its message, then the message in protobuf.
// The tables are in messages/protobuf.ts; here is how they become bytes. A message's fields, nested in protobuf, are flat in ours.
import protobuf from 'protobufjs/minimal.js'
import { type AnyMessage, UnreadableMessage } from './message.ts'

const { Reader, Writer } = protobuf
type PbReader = protobuf.Reader
type PbWriter = protobuf.Writer

/** The values of a message by name; what a peer sends sets them, whatever the depth. */
export type Values = Record<string, unknown>
/** What the messages of one body need: the package of their names, which changed with Seata 2.1. */
export interface Context {
  package: string
}

/** One protobuf field: its wire type, and how it is read into the values of a message and written from them. */
export interface Node {
  readonly wire: 0 | 2
  read(r: PbReader, values: Values, context: Context): void
  /** Writes tag and value; what is proto3's default is left out, as Java does. */
  write(w: PbWriter, tag: number, values: Values, context: Context): void
}

/** Fields by their number. */
export type Shape = Readonly<Record<number, Node>>

function scalar<T>(
  wire: 0 | 2,
  name: string,
  absent: T,
  read: (r: PbReader) => T,
  write: (w: PbWriter, value: T) => void
): Node {
  return {
    wire,
    read(r, values) {
      values[name] = read(r)
    },
    write(w, tag, values) {
      const value = (values[name] ?? absent) as T
      if (value !== absent) write(w.uint32(tag), value)
    }
  }
}

export const text = (name: string) =>
  scalar(
    2,
    name,
    '',
    (r) => r.string(),
    (w, v) => w.string(v)
  )
export const int32 = (name: string) =>
  scalar(
    0,
    name,
    0,
    (r) => r.int32(),
    (w, v) => w.int32(v)
  )
export const bool = (name: string) =>
  scalar(
    0,
    name,
    false,
    (r) => r.bool(),
    (w, v) => w.bool(v)
  )
export const int64 = (name: string) =>
  scalar(
    0,
    name,
    0n,
    (r) => {
      const { high, low } = r.int64() as { high: number; low: number }
      return (BigInt(high) << 32n) | BigInt(low >>> 0)
    },
    (w, v) => {
      const [low, high] = [Number(BigInt.asIntN(32, v)), Number(BigInt.asIntN(32, v >> 32n))]
      w.int64({ low, high, unsigned: false } as protobuf.Long)
    }
  )
/** A number that is another one in protobuf; both ways total. */
export const enumeration = (name: string, ofProtobuf: (n: number) => number, toProtobuf: (n: number) => number) =>
  scalar(
    0,
    name,
    0,
    (r) => ofProtobuf(r.int32()),
    (w, v) => w.int32(toProtobuf(v))
  )
/** A message's own type code: written, and not needed when it is read, for the name says it. */
export const typeCode: Node = {
  wire: 0,
  read: (r) => void r.int32(),
  write: (w, tag, values) => void w.uint32(tag).int32(values.type as number)
}

export function nest(shape: Shape): Node {
  const write = writerOf(shape)
  return {
    wire: 2,
    read: (r, values, context) => readShape(shape, r, r.uint32(), values, context),
    write(w, tag, values, context) {
      write(w.uint32(tag).fork(), values, context)
      w.ldelim()
    }
  }
}

/** Message ids, packed. */
export function ids(name: string): Node {
  return {
    wire: 2,
    read(r, values) {
      const length = r.uint32()
      const end = endOf(r, length)
      const list = listOf<number>(values, name)
      while (r.pos < end) list.push(r.int32())
    },
    write(w, tag, values) {
      const list = (values[name] ?? []) as number[]
      if (list.length === 0) return
      w.uint32(tag).fork()
      for (const id of list) w.int32(id)
      w.ldelim()
    }
  }
}

const URL_PREFIX = 'type.googleapis.com/'
/** The tags of google.protobuf.Any: type_url and value. */
const ANY = { url: 10, value: 18 }

/** Messages of any kind in a message. */
export function anys(name: string, shapes: Shapes): Node {
  return {
    wire: 2,
    read(r, values, context) {
      const any = { url: '', value: new Uint8Array() }
      readShape(ANY_SHAPE, r, r.uint32(), any, context)
      const found = shapes.named(any.url.slice(any.url.lastIndexOf('/') + 1), context)
      listOf<AnyMessage>(values, name).push(shapes.read(found, any.value, context))
    },
    write(w, tag, values, context) {
      for (const message of (values[name] ?? []) as AnyMessage[]) {
        const { name: inner, write } = shapes.of(message.type)
        w.uint32(tag).fork().uint32(ANY.url).string(`${URL_PREFIX}${context.package}${inner}`).uint32(ANY.value).fork()
        write(w, message as unknown as Values, context)
        w.ldelim().ldelim()
      }
    }
  }
}

const ANY_SHAPE: Shape = {
  1: text('url'),
  2: scalar<Uint8Array>(
    2,
    'value',
    new Uint8Array(),
    (r) => r.bytes(),
    (w, v) => w.bytes(v)
  )
}

function listOf<T>(values: Values, name: string): T[] {
  return (values[name] ??= []) as T[]
}

function endOf(r: PbReader, length: number): number {
  if (length > r.len - r.pos) throw new UnreadableMessage('a field ends behind its message')
  return r.pos + length
}

/** Fields that are unknown, or of another wire type than they should be, are passed over, as protobuf wants it. */
function readShape(shape: Shape, r: PbReader, length: number, values: Values, context: Context): void {
  const end = endOf(r, length)
  const outer = r.len
  r.len = end
  while (r.pos < end) {
    const tag = r.uint32()
    const node = shape[tag >>> 3]
    if (node && node.wire === (tag & 7)) node.read(r, values, context)
    else r.skipType(tag & 7)
  }
  r.len = outer
}

type WriteShape = (w: PbWriter, values: Values, context: Context) => void

function writerOf(shape: Shape): WriteShape {
  const nodes = Object.entries(shape).map(([number, node]) => ({ tag: (Number(number) << 3) | node.wire, node }))
  return (w, values, context) => {
    for (const { tag, node } of nodes) node.write(w, tag, values, context)
  }
}

interface Known {
  readonly code: number
  readonly name: string
  readonly shape: Shape
  /** What a message has where nothing was sent. */
  readonly initial: () => Values
  readonly write: WriteShape
}

/** The messages of the serializer, by name and by code. */
export class Shapes {
  readonly #byName = new Map<string, Known>()
  readonly #byCode: Known[] = []
  readonly #packages: readonly string[]

  constructor(packages: readonly string[]) {
    this.#packages = packages
  }

  add(code: number, name: string, shape: Shape, initial: () => Values): void {
    const known = { code, name, shape, initial, write: writerOf(shape) }
    this.#byName.set(name, known)
    this.#byCode[code] = known
  }

  of(code: number): Known {
    const known = this.#byCode[code]
    if (!known) throw new Error(`no message of protobuf has type code ${code}`)
    return known
  }

  /** Throws {@link UnreadableMessage}. Notes the package in the context. */
  named(name: string, context: Context): Known {
    for (const prefix of this.#packages) {
      const known = name.startsWith(prefix) ? this.#byName.get(name.slice(prefix.length)) : undefined
      if (!known) continue
      context.package = prefix
      return known
    }
    throw new UnreadableMessage(`no message has the name ${name.slice(0, 100)}`)
  }

  read(known: Known, bytes: Uint8Array, context: Context): AnyMessage {
    const values: Values = { ...known.initial(), type: known.code }
    const r = Reader.create(bytes)
    readShape(known.shape, r, bytes.length, values, context)
    return values as unknown as AnyMessage
  }
}

/** Reads a whole body; throws {@link UnreadableMessage}. */
export function readNamed(shapes: Shapes, body: Buffer, context: Context): AnyMessage {
  const length = body.length < 4 ? -1 : body.readInt32BE(0)
  if (length < 0 || length > body.length - 4) throw new UnreadableMessage('there is no message name')
  const known = shapes.named(body.toString('latin1', 4, 4 + length), context)
  try {
    return shapes.read(known, body.subarray(4 + length), context)
  } catch (error) {
    // protobufjs has no error class of its own.
    throw error instanceof UnreadableMessage ? error : new UnreadableMessage((error as Error).message)
  }
}

/** A whole body. */
export function writeNamed(shapes: Shapes, message: AnyMessage, context: Context): Buffer {
  const known = shapes.of(message.type)
  const w = Writer.create()
  known.write(w, message as unknown as Values, context)
  const bytes = w.finish()
  const name = context.package + known.name
  const body = Buffer.allocUnsafe(4 + name.length + bytes.length)
  body.writeInt32BE(name.length, 0)
  body.write(name, 4, 'latin1')
  body.set(bytes, 4 + name.length)
  return body
}
