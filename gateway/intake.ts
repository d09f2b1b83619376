// What becomes of a frame: a PONG, a registration, requests to fragments, the answer to a phase-two call, or a clear error.
import { Reader, Writer } from '../tc-core/wire/bytes.ts'
import { Codec, MessageType, serializerName } from '../tc-core/wire/codes.ts'
import { decompress, isKnownCompressor } from '../tc-core/wire/compress.ts'
import type { AnswerCode } from '../tc-core/wire/errors.ts'
import { failedResult } from '../tc-core/wire/failed-result.ts'
import type { Dialect } from '../tc-core/wire/fields.ts'
import { type Frame, type Header, MAX_FRAME_BYTES } from '../tc-core/wire/frame.ts'
import { readHeadMap } from '../tc-core/wire/head-map.ts'
import { envelopeEnd, skipFields } from '../tc-core/wire/message.ts'
import {
  isBadBody,
  plain,
  RegisterRM,
  RegisterTM,
  readBody,
  UnknownType,
  writeBody
} from '../tc-core/wire/messages/index.ts'
import { formatTraceparent, parseTraceparent } from '../tc-core/wire/trace-context.ts'
import { envelopeFor, mergeResult, type Part } from './merged.ts'
import { Pending, type PendingOwner } from './pending.ts'
import type { PhaseTwo } from './phase-two.ts'
import { type RmDirectory, takeRegistration } from './registration.ts'
import { treatmentOf } from './route.ts'
import { dialectOf, isKnownCodec, toSeata } from './serializer.ts'
import type { ClientSession } from './session.ts'

export type Overload = readonly [AnswerCode, ...details: unknown[]]

/** Where what a frame holds goes on to. */
export interface IntakeTarget extends RmDirectory, PendingOwner {
  readonly phaseTwo: PhaseTwo
  /** Whether what clients say of their traces is of use. */
  readonly traces: boolean
  /** Asked before each begin: the error with which it is refused, if nothing more should begin. */
  overload(): Overload | null
  dispatch(pending: Pending): void
}

const NO_BODY = Buffer.alloc(0)

/** A frame's body, ready to be read: decompressed, with its type code in front. */
interface Body {
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
}

export class Intake {
  readonly #target: IntakeTarget
  readonly #scratch = new Writer(1024)

  constructor(target: IntakeTarget) {
    this.#target = target
  }

  frame(session: ClientSession, frame: Frame): void {
    const { version, codec, compressor, id, messageType } = frame
    if (messageType === MessageType.Ping) {
      return session.send({ version, messageType: MessageType.Pong, codec, compressor, id }, NO_BODY)
    }
    if (messageType === MessageType.Pong) return
    const dialect = dialectOf(codec, version, session.dialect.shortMsg)
    const body = this.#body(session, frame, dialect)
    if (!body) return
    const type = body.bytes.readUInt16BE(body.start)
    const treatment = treatmentOf(type)
    switch (treatment) {
      case 'registration':
        return this.#registration(session, frame, dialect, body)
      case 'branch-result':
        return this.#target.phaseTwo.result(id, body.bytes, body.start, body.end, dialect)
      case 'split':
        return this.#merged(session, frame, dialect, body)
      case undefined:
        return this.#error(session, frame, dialect, type, 'SEATA_NOT_A_REQUEST', type)
      default:
        if (!session.client) return this.#error(session, frame, dialect, type, 'SEATA_NOT_REGISTERED')
        // As early as can be: a refusal must cost next to nothing, or what has begun does not get on.
        if (treatment === 'begin') {
          const overload = this.#target.overload()
          if (overload) return this.#error(session, frame, dialect, type, ...overload)
        }
        this.#request(session, frame, dialect, type, body)
    }
  }

  #body(session: ClientSession, frame: Frame, dialect: Dialect): Body | null {
    const { bytes, bodyStart, bodyEnd, codec, compressor, v0Type } = frame
    if (v0Type >= 0) {
      const body = Buffer.allocUnsafe(bodyEnd - bodyStart + 2)
      body.writeUInt16BE(v0Type)
      bytes.copy(body, 2, bodyStart, bodyEnd)
      return { bytes: body, start: 0, end: body.length }
    }
    if (!isKnownCodec(codec)) return this.#unknownSerializer(session, frame, dialect)
    if (!isKnownCompressor(compressor))
      return this.#noBody(session, frame, dialect, 'SEATA_COMPRESSOR_UNKNOWN', compressor)
    let body: Body = { bytes, start: bodyStart, end: bodyEnd }
    if (compressor !== 0) {
      try {
        const plainBytes = decompress(compressor, bytes.subarray(bodyStart, bodyEnd), MAX_FRAME_BYTES)
        body = { bytes: plainBytes, start: 0, end: plainBytes.length }
      } catch (error) {
        return this.#noBody(session, frame, dialect, 'SEATA_BODY_UNREADABLE', (error as Error).message)
      }
    }
    if (codec !== Codec.Seata) {
      try {
        const seata = toSeata(codec, body.bytes.subarray(body.start, body.end), session.protobuf)
        body = { bytes: seata, start: 0, end: seata.length }
      } catch (error) {
        if (!isBadBody(error)) throw error
        this.#error(session, frame, dialect, 0, 'SEATA_BODY_UNREADABLE', error.message)
        return null
      }
    }
    if (body.end - body.start < 2)
      return this.#noBody(session, frame, dialect, 'SEATA_BODY_UNREADABLE', 'there is no type code')
    return body
  }

  #noBody(session: ClientSession, frame: Frame, dialect: Dialect, code: AnswerCode, detail: unknown): null {
    this.#error(session, { ...frame, codec: Codec.Seata, compressor: 0 }, dialect, 0, code, detail)
    return null
  }

  /** Nobody can tell what it asks. The first that clients ask is to register, as TM or as RM: they pass over the answer to the other. */
  #unknownSerializer(session: ClientSession, frame: Frame, dialect: Dialect): null {
    const header = { ...frame, codec: Codec.Seata, compressor: 0 }
    for (const type of session.client ? [0] : [RegisterTM.code, RegisterRM.code]) {
      this.#error(session, header, dialect, type, 'SEATA_CODEC_UNKNOWN', serializerName(frame.codec))
    }
    return null
  }

  #registration(session: ClientSession, frame: Frame, dialect: Dialect, body: Body): void {
    try {
      const message = readBody(new Reader(body.bytes, body.start, body.end), dialect)
      const result = takeRegistration(session, message, frame, this.#target)
      this.#scratch.pos = 0
      writeBody(this.#scratch, result, dialect)
      session.answer(frame, this.#scratch.written)
    } catch (error) {
      if (!isBadBody(error)) throw error
      const type = body.bytes.readUInt16BE(body.start)
      this.#error(session, frame, dialect, type, 'SEATA_BODY_UNREADABLE', error.message)
    }
  }

  #request(session: ClientSession, frame: Frame, dialect: Dialect, type: number, body: Body): void {
    const target = this.#target
    session.asks(1)
    const { version, codec, compressor, id } = frame
    const traceparent = target.traces ? traceparentOf(frame) : ''
    const header = { version, codec, compressor, id, traceparent }
    target.dispatch(new Pending(session, dialect, header, type, body, null, target))
  }

  #merged(session: ClientSession, frame: Frame, dialect: Dialect, body: Body): void {
    const { version, codec, compressor, id } = frame
    if (!session.client) return this.#error(session, frame, dialect, 0, 'SEATA_NOT_REGISTERED')
    let parts: Part[]
    let ids: number[]
    try {
      ;({ parts, ids } = splitMerged(body))
    } catch (error) {
      if (!isBadBody(error)) throw error
      return this.#error(session, frame, dialect, 0, 'SEATA_BODY_UNREADABLE', error.message)
    }
    const traceparent = this.#target.traces ? traceparentOf(frame) : ''
    const header = { version, messageType: MessageType.Response, codec, compressor, id, traceparent }
    if (parts.length === 0) return session.send(header, mergeResult([]))
    const envelope = envelopeFor(session, header, session.client.version, parts, ids)
    const target = this.#target
    session.asks(parts.length)
    for (const [part, { type, start, end }] of parts.entries()) {
      const overload = treatmentOf(type) === 'begin' ? target.overload() : null
      if (overload) {
        session.answered()
        const { version } = session.client
        envelope.answer(part, failedBody(this.#scratch, type, version, dialect, ...overload))
        continue
      }
      const inner = { bytes: body.bytes, start, end }
      const pending = new Pending(session, dialect, header, type, inner, { envelope, part }, target)
      target.dispatch(pending)
    }
  }

  #error(
    session: ClientSession,
    frame: Header,
    dialect: Dialect,
    type: number,
    code: AnswerCode,
    ...details: unknown[]
  ): void {
    const { id, messageType } = frame
    // An answer of a client that nobody can read is the end of a call; a request of a client gets an answer.
    if (messageType === MessageType.Response) this.#target.phaseTwo.lost(id)
    const body = failedBody(this.#scratch, type, session.client?.version ?? 0, dialect, code, ...details)
    session.answer(frame, body)
  }
}

/** The body of a failed result; valid until the writer is used again. */
export function failedBody(
  w: Writer,
  requestType: number,
  version: number,
  dialect: Dialect,
  code: AnswerCode,
  ...details: readonly unknown[]
): Buffer {
  w.pos = 0
  writeBody(w, failedResult(requestType, version, code, details), dialect)
  return w.written
}

/** Where the client is in a trace; empty when it does not say so in a way that can be read. */
function traceparentOf({ bytes, headStart, bodyStart }: Frame): string {
  if (headStart === bodyStart) return ''
  try {
    const context = parseTraceparent(readHeadMap(bytes, headStart, bodyStart).get('traceparent'))
    return context ? formatTraceparent(context) : ''
  } catch (error) {
    if (!isBadBody(error)) throw error
    return ''
  }
}

function isRequest(type: number): boolean {
  const treatment = treatmentOf(type)
  return treatment === 'begin' || treatment === 'by-xid'
}

/** The parts of a MergedWarp and their ids, without making values of them. */
function splitMerged(body: Body): { parts: Part[]; ids: number[] } {
  const r = new Reader(body.bytes, body.start + 2, body.end)
  r.end = envelopeEnd(r)
  const parts: Part[] = []
  for (let count = r.u16(); count > 0; count--) {
    const start = r.pos
    const type = r.u16()
    const table = isRequest(type) ? plain.find(type) : undefined
    if (!table) throw new UnknownType(type)
    skipFields(table, r)
    parts.push({ type, start, end: r.pos })
  }
  const ids: number[] = []
  while (r.left >= 4) ids.push(r.i32())
  return { parts, ids }
}
