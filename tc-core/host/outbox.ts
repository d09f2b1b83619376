// What waits for the log: effects collect into records, and replies and calls leave when their record is confirmed.

import { writeEffect } from '../core/effects.ts'
import type { Outputs, Release, Reply, Send } from '../core/outputs.ts'
import type { LogContext } from '../replication/context.ts'
import { keeps } from '../replication/rules.ts'
import { Writer } from '../wire/bytes.ts'
import { MAX_RECORD_BYTES } from '../wire/limits.ts'
import type { BranchCall } from '../wire/link.ts'
import type { StepTrace } from './tracing.ts'

/** What leaves together. */
export interface Parcel {
  readonly replies: Reply[]
  readonly calls: BranchCall[]
  readonly sends: Send[]
  /** Of what is traced; the array is shared where nothing is. */
  steps: StepTrace[]
  /** When the first of it came, ms. */
  readonly since: number
}

/** The effects of one record to be, and what waits for it. */
export interface Batch extends Parcel {
  readonly payload: Buffer
}

/** What leaves without waiting. */
export interface Leaving {
  reply(reply: Reply): void
  call(call: BranchCall): void
  send(send: Send): void
}

const NO_STEPS: StepTrace[] = []

function parcel(since: number): Parcel {
  return { replies: [], calls: [], sends: [], steps: NO_STEPS, since }
}

export class Outbox {
  /** Records that are full and wait for their append. */
  readonly #closed: Batch[] = []
  readonly #log: Pick<LogContext, 'without'>
  #effects = new Writer(64 * 1024)
  #open: Parcel | null = null
  /** Somebody waits for the open record. */
  #hurried = false
  #closedBytes = 0
  /** The record that left last, until it is confirmed. */
  #sent: Batch | null = null
  /** What waits for nothing but the certainty that we still lead. */
  #reads: Parcel | null = null

  constructor(log: Pick<LogContext, 'without'>) {
    this.#log = log
  }

  /** Bytes of effects that wait for their append. */
  get bytes(): number {
    return this.#closedBytes + this.#effects.pos
  }

  get hasEffects(): boolean {
    return this.bytes > 0
  }

  /** Whether somebody waits for effects that have not left. */
  get hurried(): boolean {
    return this.#hurried || this.#closed.length > 0
  }

  /** When the oldest of the effects came that nobody waits for, ms; Infinity when there are none. */
  get idleSince(): number {
    return this.#open && !this.#hurried ? this.#open.since : Number.POSITIVE_INFINITY
  }

  get hasReads(): boolean {
    return this.#reads !== null
  }

  /** Takes in a step's outputs. What may leave at once is handed to `leave`. */
  take(out: Outputs, now: number, leave: Leaving, steps: readonly StepTrace[] = NO_STEPS): void {
    const bytes = this.#effects.pos
    for (const effect of out.effects) writeEffect(this.#effects, effect)
    const isOpen = this.#effects.pos > 0
    if (isOpen && bytes === 0) this.#begin(now)
    for (const reply of out.replies) {
      if (this.#leaves(reply.release, isOpen)) leave.reply(reply)
      else this.#waiting(reply.release, isOpen, now).replies.push(reply)
    }
    for (const { call, release } of out.calls) {
      if (this.#leaves(release, isOpen)) leave.call(call)
      else this.#waiting(release, isOpen, now).calls.push(call)
    }
    for (const send of out.sends) {
      // Who is asked meanwhile answers soon, and then the record is waited for.
      if (isOpen && send.release === 'now') this.#hurried = true
      if (this.#leaves(send.release, isOpen)) leave.send(send)
      else this.#waiting(send.release, isOpen, now).sends.push(send)
    }
    const waits = out.effects.length > 0 || out.replies.some(({ release }) => release === 'confirmed')
    if (steps.length > 0 && waits) {
      const waiting = isOpen ? this.#open! : this.#waiting('confirmed', isOpen, now)
      if (waiting.steps === NO_STEPS) waiting.steps = [...steps]
      else waiting.steps.push(...steps)
    }
    if (this.#effects.pos >= MAX_RECORD_BYTES) this.#close()
  }

  #leaves(release: Release, isOpen: boolean): boolean {
    if (release === 'now' || !keeps(this.#log, 'reply-after-log')) return true
    if (release === 'logged') return this.#promised === null
    return !isOpen && this.#closed.length === 0 && !keeps(this.#log, 'prove-reads')
  }

  /** The newest record that anybody waits for. */
  get #promised(): Parcel | null {
    return this.#hurried ? this.#open : (this.#closed.at(-1) ?? this.#sent)
  }

  /** A record that is appended after a read came is proof for the read as well. */
  #begin(now: number): void {
    this.#hurried = this.#reads !== null
    this.#open = this.#reads ?? parcel(now)
    this.#reads = null
  }

  #waiting(release: Release, isOpen: boolean, now: number): Parcel {
    if (release === 'logged') return this.#promised!
    if (isOpen) {
      if (release === 'confirmed') this.#hurried = true
      return this.#open!
    }
    if (this.#closed.length > 0) return this.#closed.at(-1)!
    return (this.#reads ??= parcel(now))
  }

  #close(): void {
    const payload = Buffer.from(this.#effects.written)
    this.#effects.pos = 0
    this.#closed.push({ ...this.#open!, payload })
    this.#closedBytes += payload.length
    this.#open = null
    this.#hurried = false
  }

  /** The next record's batch; null when no effects wait. */
  next(): Batch | null {
    if (this.#closed.length === 0 && this.#effects.pos > 0) this.#close()
    const batch = this.#closed.shift()
    if (!batch) return null
    this.#closedBytes -= batch.payload.length
    this.#sent = batch
    return batch
  }

  /** What `next` gave is in the log. */
  confirmed(batch: Batch): void {
    if (this.#sent === batch) this.#sent = null
  }

  /** What only waits for the certainty that we lead. */
  takeReads(): Parcel | null {
    const reads = this.#reads
    this.#reads = null
    return reads
  }

  /** Reads that could not be proven after all wait on. */
  giveBack(reads: Parcel): void {
    const waiting = this.#waiting('confirmed', this.#effects.pos > 0, reads.since)
    waiting.replies.unshift(...reads.replies)
    waiting.calls.unshift(...reads.calls)
    waiting.sends.unshift(...reads.sends)
    waiting.steps = [...reads.steps, ...waiting.steps]
  }
}
