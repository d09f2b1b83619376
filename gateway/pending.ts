// A request that came over a client's connection, from its frame to its answer.

import { Reader } from '../tc-core/wire/bytes.ts'
import { type ExceptionName, exceptionName, ResultCode } from '../tc-core/wire/codes.ts'
import { type Dialect, msg } from '../tc-core/wire/fields.ts'
import type { Header } from '../tc-core/wire/frame.ts'
import type { Client, LinkRequest, Refusal } from '../tc-core/wire/link.ts'
import type { ClientSession } from './session.ts'
import type { RequestTrace } from './tracing.ts'

/** How the answer goes back: as a frame of its own, or as a part of a merged one. */
export interface Envelope {
  answer(part: number, body: Buffer): void
}

/** Who sends it on, and counts. */
export interface PendingOwner {
  /** Of this gateway's request with that number: no other request of any gateway has it. */
  identityOf(number: number): bigint
  refused(pending: Pending, reason: Refusal): void
  answered(pending: Pending, failure: Failure | null): void
}

export class Pending implements LinkRequest {
  readonly session: ClientSession
  readonly client: Client
  /** Of the frame that it came in, and of its answer's. */
  readonly version: 0 | 1 | 2
  /** Of its body here. */
  readonly dialect: Dialect
  readonly codec: number
  readonly compressor: number
  /** Of the frame, or of the part of a merged one. */
  readonly id: number
  readonly type: number
  fragment = -1
  bytes: Buffer
  start: number
  end: number
  proposed = ''
  /** Among the requests of this gateway, however often it is sent. */
  number = 0
  again = false
  waited = 0
  /** It was sent on before. */
  forwarded = false
  kept = false
  /** As the client sent it; empty: it sent none, or nobody looked. */
  readonly traceparent: string
  /** Its spans; null when it is not traced. */
  spans: RequestTrace | null = null
  origin = ''
  /** Part of a merged request; null: a frame of its own. */
  readonly envelope: Envelope | null
  readonly part: number
  /** When it came, ms. */
  readonly since: number
  /** The same, on a clock with fractions. */
  readonly came: number
  readonly #owner: PendingOwner

  constructor(
    session: ClientSession,
    dialect: Dialect,
    header: Omit<Header, 'messageType'>,
    type: number,
    body: { readonly bytes: Buffer; readonly start: number; readonly end: number },
    merged: { envelope: Envelope; part: number } | null,
    owner: PendingOwner
  ) {
    this.session = session
    this.client = session.client!
    this.version = header.version
    this.dialect = dialect
    this.codec = header.codec
    this.compressor = header.compressor
    this.id = header.id
    this.traceparent = header.traceparent ?? ''
    this.type = type
    this.bytes = body.bytes
    this.start = body.start
    this.end = body.end
    this.envelope = merged?.envelope ?? null
    this.part = merged?.part ?? 0
    this.since = session.heardAt
    this.came = session.heardExactly
    this.#owner = owner
  }

  /** Made when somebody asks: most requests are never told apart by it. */
  get identity(): bigint {
    return this.#owner.identityOf(this.number)
  }

  get trace(): string {
    return this.spans?.traceparent ?? ''
  }

  hop(node: string): void {
    this.spans?.hop(node, this.fragment)
  }

  answer(body: Buffer): void {
    this.session.answered()
    const failure = failureIn(body, this.dialect, this.client.version)
    this.spans?.end(failure)
    this.#owner.answered(this, failure)
    if (this.envelope) this.envelope.answer(this.part, body)
    else this.session.answer(this, body, this.#answered)
  }

  refuse(reason: Refusal): void {
    this.#owner.refused(this, reason)
  }

  /** A client that said where it is in a trace is told where its request is. */
  get #answered(): string {
    return this.traceparent === '' ? '' : (this.spans?.answered ?? this.traceparent)
  }

  /** Makes the body its own: the bytes it came in are used again. */
  keep(): void {
    if (this.kept) return
    this.kept = true
    this.bytes = Buffer.from(this.bytes.subarray(this.start, this.end))
    this.start = 0
    this.end = this.bytes.length
  }
}

/** Why a request failed, as its result says. */
export interface Failure {
  /** Our code, when the text names one, else Seata's exception. */
  readonly type: string
  readonly exception: ExceptionName
  readonly message: string
}

/** Null: it did not fail. */
function failureIn(result: Buffer, dialect: Dialect, version: number): Failure | null {
  if (result.length < 4 || result[2] !== ResultCode.Failed) return null
  const r = new Reader(result, 3, result.length)
  const message = msg.read(r, dialect)
  const exception = exceptionName(r.left > 0 ? r.u8() : 0, version)
  return { type: /SEATA_[A-Z_]+/.exec(message)?.[0] ?? exception, exception, message }
}
