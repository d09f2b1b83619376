// A request that came over a client's connection, from its frame to its answer.

import type { Dialect } from '../tc-core/wire/fields.ts'
import type { Header } from '../tc-core/wire/frame.ts'
import type { Client, LinkRequest, Refusal } from '../tc-core/wire/link.ts'
import type { ClientSession } from './session.ts'

/** How the answer goes back: as a frame of its own, or as a part of a merged one. */
export interface Envelope {
  answer(part: number, body: Buffer): void
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
  identity = 0n
  again = false
  kept = false
  /** Part of a merged request; null: a frame of its own. */
  readonly envelope: Envelope | null
  readonly part: number
  /** When it came, ms. */
  readonly since: number
  readonly #refused: (pending: Pending, reason: Refusal) => void

  constructor(
    session: ClientSession,
    dialect: Dialect,
    header: Omit<Header, 'messageType'>,
    body: { type: number; bytes: Buffer; start: number; end: number },
    merged: { envelope: Envelope; part: number } | null,
    refused: (pending: Pending, reason: Refusal) => void
  ) {
    this.session = session
    this.client = session.client!
    this.version = header.version
    this.dialect = dialect
    this.codec = header.codec
    this.compressor = header.compressor
    this.id = header.id
    this.type = body.type
    this.bytes = body.bytes
    this.start = body.start
    this.end = body.end
    this.envelope = merged?.envelope ?? null
    this.part = merged?.part ?? 0
    this.since = session.heardAt
    this.#refused = refused
  }

  answer(body: Buffer): void {
    this.session.inFlight--
    if (this.envelope) this.envelope.answer(this.part, body)
    else this.session.answer(this, body)
  }

  refuse(reason: Refusal): void {
    this.#refused(this, reason)
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
