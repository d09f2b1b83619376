// A fragment of the world: its log, and leaders that extend it. Only the leader of the newest term can; one that was deposed lives on
// and does not know. An append lands first and is learnt later, or never.
import { readEffects, writeEffect } from '../../tc-core/core/effects.ts'
import { DEFAULT_SETTINGS, Fragment, type Settings } from '../../tc-core/core/fragment.ts'
import { type Input, Outputs, type Release } from '../../tc-core/core/outputs.ts'
import { restore, Snapshot } from '../../tc-core/core/snapshot.ts'
import { State } from '../../tc-core/core/state.ts'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { DEFAULT_LIMITS, type Limits } from '../../tc-core/wire/limits.ts'

/** Few outcomes are remembered: their tables are the greatest part of an empty state. */
const LIMITS: Limits = { ...DEFAULT_LIMITS, maxOutcomes: 100 }

/** What the effects of a record are, or that a leader took over with it. */
type LogRecord = Buffer | 'lead'

export class Log {
  readonly fragment: number
  readonly records: LogRecord[] = []
  term = 0

  constructor(fragment: number) {
    this.fragment = fragment
  }

  /** The state after the last record, by replaying all. */
  replay(): State {
    const state = new State(this.fragment, LIMITS)
    for (const record of this.records) {
      if (record === 'lead') state.led()
      else readEffects(record, (effect) => state.apply(effect))
    }
    return state
  }
}

/** The same state from its snapshot. */
export function throughSnapshot(state: State): State {
  const snapshot = new Snapshot(state)
  const chunks: Buffer[] = []
  for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) chunks.push(chunk)
  return fromChunks(state.fragment, chunks)
}

export function fromChunks(fragment: number, chunks: readonly Buffer[]): State {
  const restored = new State(fragment, LIMITS)
  restore(restored, chunks)
  return restored
}

/** What one step brought forth and the log has to know of first. */
interface Parcel {
  readonly bytes: Buffer
  readonly out: Outputs
  /** Somebody waits for it. */
  readonly hurried: boolean
  /** Of later steps, what waits for this one. */
  readonly promised: Outputs[]
  landed: boolean
}

/** Where outputs go, and who reads the log. */
export interface Outside {
  readonly now: number
  leave(from: Leader, out: Outputs, release: Release): void
  landed(fragment: number, bytes: Buffer): void
  deposed(leader: Leader): void
}

const scratch = new Writer()

export class Leader {
  readonly log: Log
  readonly term: number
  readonly core: Fragment
  readonly #outside: Outside
  readonly #parcels: Parcel[] = []

  /** Takes over. */
  constructor(log: Log, settings: Partial<Settings>, outside: Outside, fromSnapshot: boolean) {
    this.log = log
    this.term = ++log.term
    log.records.push('lead')
    this.#outside = outside
    const state = log.replay()
    const all = { ...DEFAULT_SETTINGS, limits: LIMITS, ...settings }
    this.core = new Fragment(fromSnapshot ? throughSnapshot(state) : state, all)
    this.core.lead(outside.now, this.term)
  }

  get leads(): boolean {
    return this.term === this.log.term
  }

  get busy(): boolean {
    return this.#parcels.length > 0
  }

  input(input: Input): void {
    this.run((out) => this.core.step(this.#outside.now, input, out))
  }

  /** A step of the core, or what a test does in its place. */
  run(step: (out: Outputs) => void): void {
    const out = new Outputs()
    step(out)
    scratch.pos = 0
    for (const effect of out.effects) writeEffect(scratch, effect)
    const leaving = [...out.replies, ...out.calls, ...out.sends]
    const has = (release: Release) => leaving.some((one) => one.release === release)
    if (out.effects.length > 0 || has('confirmed') || has('eventually')) {
      const hurried = has('confirmed') || out.sends.some(({ release }) => release === 'now')
      this.#parcels.push({ bytes: Buffer.from(scratch.written), out, hurried, promised: [], landed: false })
    }
    this.#outside.leave(this, out, 'now')
    if (!has('logged')) return
    const promised = this.#parcels.findLast(({ hurried }) => hurried)
    if (promised) promised.promised.push(out)
    else this.#outside.leave(this, out, 'logged')
  }

  /** The store takes the next append, or the leader finds that it was deposed. What waits for a proof only finds the same. */
  land(): void {
    const parcel = this.#parcels.find(({ landed }) => !landed)
    if (!parcel) return
    if (!this.leads) return this.#outside.deposed(this)
    parcel.landed = true
    if (parcel.bytes.length === 0) return
    this.log.records.push(parcel.bytes)
    this.#outside.landed(this.log.fragment, parcel.bytes)
  }

  /** The leader hears that its oldest append has landed. */
  learn(): void {
    if (!this.#parcels[0]?.landed) return
    const { out, promised } = this.#parcels.shift()!
    this.#outside.leave(this, out, 'confirmed')
    this.#outside.leave(this, out, 'eventually')
    for (const later of promised) this.#outside.leave(this, later, 'logged')
  }

  tick(): void {
    while (this.core.timers.next <= this.#outside.now) this.input({ kind: 'tick' })
  }
}
