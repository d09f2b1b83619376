// Between a client's serializer and Seata's own: behind the gateway there is only the latter, and answers go back in the former.
import { Reader, Writer } from '../tc-core/wire/bytes.ts'
import { Codec } from '../tc-core/wire/codes.ts'
import type { Dialect } from '../tc-core/wire/fields.ts'
import { readBody, writeBody } from '../tc-core/wire/messages/index.ts'
import { PACKAGES, readProtobuf, writeProtobuf } from '../tc-core/wire/messages/protobuf.ts'
import type { Context } from '../tc-core/wire/protobuf.ts'

/** As to bodies v2: the form in which a failed registration says why, as it does in protobuf. */
const PROTOBUF_DIALECT: Dialect = { version: 2, shortMsg: false }

export function isKnownCodec(codec: number): boolean {
  return codec === Codec.Seata || codec === Codec.Protobuf
}

/** The form of the bodies on this side of a frame's serializer. */
export function dialectOf(codec: number, version: 0 | 1 | 2, shortMsg: boolean): Dialect {
  return codec === Codec.Protobuf ? PROTOBUF_DIALECT : { version, shortMsg }
}

/** What a client is taken to speak before it said so. */
export function newContext(): Context {
  return { package: PACKAGES[0] }
}

/** A client's body in Seata's own serializer; throws what isBadBody knows. */
export function toSeata(codec: number, body: Buffer, context: Context): Buffer {
  if (codec !== Codec.Protobuf) return body
  const w = new Writer(body.length)
  writeBody(w, readProtobuf(body, context), PROTOBUF_DIALECT)
  return w.written
}

/** A body of Seata's own serializer as the client wants it. */
export function fromSeata(codec: number, body: Buffer, context: Context): Buffer {
  if (codec !== Codec.Protobuf || body.length === 0) return body
  return writeProtobuf(readBody(new Reader(body), PROTOBUF_DIALECT), context)
}
