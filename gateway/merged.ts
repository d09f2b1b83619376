// A MergedWarp: its parts as requests of their own, and their answers in the form that the client's version expects.
import { Writer } from '../tc-core/wire/bytes.ts'
import type { Header } from '../tc-core/wire/frame.ts'
import { GlobalStatus, MergeResult } from '../tc-core/wire/messages/index.ts'
import { V2_3_0 } from '../tc-core/wire/version.ts'
import type { Envelope } from './pending.ts'

/** Where the answers go. */
export interface MergedTarget {
  send(header: Header, body: Buffer): void
}

export interface Part {
  readonly type: number
  readonly start: number
  readonly end: number
}

const scratch = new Writer(1024)

/**
 * From 2.3.0 on each part is answered on its own as soon as it is ready; older clients get all results at once, by position. An
 * envelope with a GlobalStatus is answered as a whole to everybody: Java's RM has no handler for that result on its own.
 */
export function envelopeFor(
  target: MergedTarget,
  header: Header,
  version: number,
  parts: readonly Part[],
  ids: readonly number[]
): Envelope {
  const single =
    version >= V2_3_0 && ids.length === parts.length && parts.every((part) => part.type !== GlobalStatus.code)
  return single ? new Split(target, header, ids) : new Together(target, header, parts.length)
}

class Split implements Envelope {
  readonly #target: MergedTarget
  readonly #header: Header
  readonly #ids: readonly number[]

  constructor(target: MergedTarget, header: Header, ids: readonly number[]) {
    this.#target = target
    this.#header = header
    this.#ids = ids
  }

  answer(part: number, body: Buffer): void {
    this.#target.send({ ...this.#header, id: this.#ids[part]! }, body)
  }
}

class Together implements Envelope {
  readonly #target: MergedTarget
  readonly #header: Header
  readonly #bodies: Buffer[]
  #left: number

  constructor(target: MergedTarget, header: Header, count: number) {
    this.#target = target
    this.#header = header
    this.#bodies = new Array(count)
    this.#left = count
  }

  answer(part: number, body: Buffer): void {
    this.#bodies[part] = Buffer.from(body)
    if (--this.#left === 0) this.#target.send(this.#header, mergeResult(this.#bodies))
  }
}

/** A MergeResult body of whole bodies; valid until the next call. */
export function mergeResult(bodies: readonly Buffer[]): Buffer {
  const w = scratch
  w.pos = 0
  w.u16(MergeResult.code)
  const size = w.room(4)
  w.u16(bodies.length)
  for (const body of bodies) w.raw(body)
  w.setI32(size, w.pos - size - 4)
  return w.written
}
