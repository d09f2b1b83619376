// A world for the log: three replicas run the real code over one store whose every operation is executed when chance says so; replicas
// sleep between any two steps, and any write that was ever issued may be executed again, late and unseen.
// The judge stands outside: there is one history, whatever was applied or acknowledged is a part of its beginning, and every value
// was decided on just the history that it is applied to.
import { Appender } from '../../tc-core/replication/append.ts'
import { findLeads, saveSnapshot, trim } from '../../tc-core/replication/barrier.ts'
import { claim, passOn } from '../../tc-core/replication/claim.ts'
import type { LogContext } from '../../tc-core/replication/context.ts'
import { readOn } from '../../tc-core/replication/follow.ts'
import { Keys } from '../../tc-core/replication/keys.ts'
import { RecordKind } from '../../tc-core/replication/record.ts'
import { keeps, type Rule } from '../../tc-core/replication/rules.ts'
import { Abandoned } from '../../tc-core/replication/slot.ts'
import { type Lane, StorageError } from '../../tc-core/storage/port.ts'
import { type Random, random } from '../core/random.ts'

export class Breach extends Error {}

const WINDOW = 2
const KEYS = new Keys('test', 0)

interface Op {
  readonly replica: number
  run(): void
}

export class World {
  readonly r: Random
  readonly without: Rule | undefined
  readonly values = new Map<string, Buffer>()
  /** Operations that replicas wait for. */
  readonly pending: Op[] = []
  /** Every set-if-absent ever issued. */
  readonly issued: [string, Buffer][] = []
  /** The one history. */
  canon: readonly number[] = []
  lastValue = 0
  breach: Breach | null = null
  /** Leads that were passed on. */
  handOvers = 0
  /** And taken over, without a claim. */
  takenOver = 0
  closed = false
  #awake: readonly number[] = [0, 1, 2]
  /** What each replica is while it lives, and the word that reached it: the index of a record that passes the lead on to it. */
  readonly #lives: ({ readonly writer: bigint; passed: number } | null)[] = [null, null, null]

  constructor(seed: number, without?: Rule) {
    this.r = random(seed)
    this.without = without
    for (let replica = 0; replica < 3; replica++) void this.#live(replica)
  }

  /** Runs `steps` operations; returns what was found. */
  async run(steps: number): Promise<Breach | null> {
    for (let i = 0; i < steps && !this.breach; i++) {
      await settle()
      if (this.issued.length > 0 && this.r.next() < 0.1) this.#setIfAbsent(...this.r.pick(this.issued))
      else this.#runOne()
    }
    this.closed = true
    return this.breach
  }

  /** An operation of a replica that is awake; who is changes now and then. */
  #runOne(): void {
    if (this.r.next() < 0.03) this.#awake = [0, 1, 2].filter(() => this.r.next() < 0.6)
    const ready = this.pending.filter((op) => this.#awake.includes(op.replica))
    if (ready.length === 0) return
    const op = this.r.pick(ready)
    this.pending.splice(this.pending.indexOf(op), 1)
    op.run()
  }

  #setIfAbsent(key: string, value: Buffer): boolean {
    if (this.values.has(key)) return false
    this.values.set(key, value)
    return true
  }

  /** What was applied or acknowledged, at any time, is a beginning of one history. */
  check(who: string, history: readonly number[]): void {
    const [short, long] = history.length < this.canon.length ? [history, this.canon] : [this.canon, history]
    if (short.some((value, i) => value !== long[i])) {
      this.breach ??= new Breach(`${who} has ${history}, but ${this.canon} stands`)
    }
    this.canon = long
  }

  #later<T>(replica: number, effect: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          resolve(effect())
        } catch (error) {
          reject(error as Error)
        }
      }
      this.pending.push({ replica, run })
    })
  }

  #lane(replica: number): Lane {
    const later = <T>(effect: () => T) => this.#later(replica, effect)
    const { values, r } = this
    return {
      setIfAbsent: (key, value) => {
        const bytes = Buffer.from(value)
        this.issued.push([key, bytes])
        return later(() => {
          const fate = r.next()
          if (fate < 0.05) throw new StorageError('lost')
          const wrote = this.#setIfAbsent(key, bytes)
          if (fate < 0.1) throw new StorageError('done, but unknown')
          return wrote
        })
      },
      get: (key) => later(() => values.get(key) ?? null),
      getMany: (keys) => later(() => keys.map((key) => values.get(key) ?? null)),
      set: (key, value) => later(() => void values.set(key, Buffer.from(value))),
      delete: async (keys) => {
        // A trimming can stop anywhere.
        for (const key of keys) await later(() => void values.delete(key))
      }
    }
  }

  /** A replica's life: follow, now and then claim; lead until deposed; begin anew. */
  async #live(replica: number): Promise<void> {
    while (!this.closed) {
      const machine = new Machine()
      const life = { over: false }
      const log = this.#context(replica, machine, life)
      this.#lives[replica] = { writer: log.writer, passed: 0 }
      try {
        if (await this.#follow(replica, log, machine)) await this.#lead(replica, log, machine)
      } catch (error) {
        if (!(error instanceof Abandoned)) {
          this.breach ??= error instanceof Breach ? error : new Breach(`n${replica}: ${(error as Error).stack}`)
          return
        }
      }
      life.over = true
    }
  }

  #context(replica: number, machine: Machine, life: { over: boolean }): LogContext {
    return {
      lane: this.#lane(replica),
      keys: KEYS,
      node: `n${replica}`,
      writer: BigInt(this.r.below(2 ** 31)),
      window: WINDOW,
      inflight: WINDOW,
      position: { index: 0, term: 0, manifest: 0, snapshot: 0, trimmed: 0, leads: [] },
      machine,
      sleep: () => this.#later(replica, () => {}),
      onTrouble: () => {},
      abandoned: () => life.over || this.closed,
      ...(this.without && { without: this.without })
    }
  }

  async #follow(replica: number, log: LogContext, machine: Machine): Promise<boolean> {
    for (;;) {
      if (log.abandoned()) throw new Abandoned()
      const more = await readOn(log)
      this.check(`n${replica} following`, machine.history)
      // The word comes late, or twice: what the log says counts.
      const { passed } = this.#lives[replica]!
      if (passed > 0 && log.position.index === passed && machine.leader === log.writer) {
        this.takenOver++
        return true
      }
      if (!more && this.r.next() < 0.3) return claim(log)
    }
  }

  async #lead(replica: number, log: LogContext, machine: Machine): Promise<void> {
    let deposed = false
    const appender = new Appender(log, () => (deposed = true))
    const snapshots: Promise<void>[] = []
    while (!deposed && !log.abandoned()) {
      const silent = appender.inflight === 0 || !keeps(log, 'last-word')
      if (silent && this.r.next() < 0.1) {
        const heir = (replica + 1 + this.r.below(2)) % 3
        const { writer } = this.#lives[heir]!
        if (await passOn(log, { node: `n${heir}`, writer })) {
          this.handOvers++
          const life = this.#lives[heir]!
          void this.#later(heir, () => void (life.passed = log.position.index))
        }
        if (keeps(log, 'last-word')) break
      }
      if (appender.full) {
        await this.#later(replica, () => {})
        continue
      }
      const value = ++this.lastValue
      const barrier = this.r.next() < 0.2
      const payload = Buffer.from(JSON.stringify({ value, after: machine.history.at(-1) ?? 0 }))
      machine.history = [...machine.history, value]
      const { history } = machine
      const index = appender.next
      const confirmed = appender.append(barrier ? RecordKind.Barrier : RecordKind.Data, payload)
      const acknowledged = confirmed.then(() => {
        if (!deposed) this.check(`n${replica} acknowledging`, history)
      })
      acknowledged.catch(() => {})
      if (barrier && snapshots.length === 0) snapshots.push(this.#snapshot(log, index, history, confirmed))
      if (this.r.next() < 0.5) await this.#later(replica, () => {})
    }
    await Promise.all(snapshots)
  }

  async #snapshot(log: LogContext, index: number, history: readonly number[], confirmed: Promise<void>): Promise<void> {
    const { term } = log.position
    try {
      await confirmed
      await findLeads(log)
      const chunks = [Buffer.from(JSON.stringify(history))]
      const saved = await saveSnapshot(log, index, term, { next: () => chunks.shift() ?? null })
      if (saved) await trim(log)
    } catch (error) {
      if (!(error instanceof Abandoned)) throw error
    }
  }
}

class Machine {
  history: readonly number[] = []
  /** The process that the newest lead record names. */
  leader = -1n

  apply(record: { kind: number; writer: bigint; payload: Buffer }): void {
    if (record.kind === RecordKind.Lead) {
      this.leader = record.writer
      return
    }
    const { value, after } = JSON.parse(record.payload.toString()) as { value: number; after: number }
    if (after !== (this.history.at(-1) ?? 0))
      throw new Breach(`${value} was decided after ${after}, not after ${this.history}`)
    this.history = [...this.history, value]
  }

  load(chunks: readonly Buffer[]): void {
    this.history = JSON.parse(Buffer.concat(chunks).toString()) as number[]
  }
}

/** Lets every promise that can go on go on. */
function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
