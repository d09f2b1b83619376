// The engine for tests and the simulator: a map, and the faults that real engines were seen to have.
import { type Lane, type Storage, StorageError } from './port.ts'

/** Decides, operation by operation, what goes wrong. Everything is drawn by the caller: the engine itself has no chance in it. */
export interface Faults {
  /** Ms before an operation takes effect. Lanes do not wait for each other, so this also reorders between them. */
  delay(op: Op): number
  /** What becomes of a write: done and said so, or an error after which it was done, was not done, or is done some time later. */
  fate(op: Op): 'ok' | 'error-applied' | 'error-lost' | 'error-late'
  /** Ms until an operation with the fate `error-late` takes effect. */
  lateness(op: Op): number
  /** Whether a read of a deleted key gives back its old value: some engines bring deleted keys back. */
  resurrects(key: string): boolean
  sleep(ms: number): Promise<void>
}

export interface Op {
  readonly kind: 'setIfAbsent' | 'get' | 'getMany' | 'set' | 'delete'
  readonly key: string
  readonly lane: string
}

/** The data: shared by all storages of one simulated cluster. */
export class MemoryData {
  readonly values = new Map<string, Buffer>()
  readonly deleted = new Map<string, Buffer>()
}

export function openMemory(data = new MemoryData(), faults?: Faults): Storage {
  return {
    url: 'memory:',
    linearizableReads: true,
    embedded: true,
    lane: (name) => new MemoryLane(data, faults, name),
    close: async () => {}
  }
}

class MemoryLane implements Lane {
  readonly #data: MemoryData
  readonly #faults: Faults | undefined
  readonly #name: string
  #last: Promise<unknown> = Promise.resolve()

  constructor(data: MemoryData, faults: Faults | undefined, name: string) {
    this.#data = data
    this.#faults = faults
    this.#name = name
  }

  setIfAbsent(key: string, value: Uint8Array): Promise<boolean> {
    const copy = Buffer.from(value)
    return this.#run({ kind: 'setIfAbsent', key, lane: this.#name }, () => {
      if (this.#data.values.has(key)) return false
      this.#data.values.set(key, copy)
      return true
    })
  }

  get(key: string): Promise<Buffer | null> {
    return this.#run({ kind: 'get', key, lane: this.#name }, () => this.#read(key))
  }

  getMany(keys: readonly string[]): Promise<(Buffer | null)[]> {
    return this.#run({ kind: 'getMany', key: keys[0] ?? '', lane: this.#name }, () =>
      keys.map((key) => this.#read(key))
    )
  }

  async set(key: string, value: Uint8Array): Promise<void> {
    const copy = Buffer.from(value)
    await this.#run({ kind: 'set', key, lane: this.#name }, () => this.#data.values.set(key, copy))
  }

  delete(keys: readonly string[]): Promise<void> {
    return this.#run({ kind: 'delete', key: keys[0] ?? '', lane: this.#name }, () => {
      for (const key of keys) {
        const value = this.#data.values.get(key)
        if (value) this.#data.deleted.set(key, value)
        this.#data.values.delete(key)
      }
    })
  }

  #read(key: string): Buffer | null {
    const value = this.#data.values.get(key)
    if (value) return value
    const old = this.#data.deleted.get(key)
    return old && this.#faults?.resurrects(key) ? old : null
  }

  /** One operation after the other, as over one connection. */
  #run<T>(op: Op, effect: () => T): Promise<T> {
    const faults = this.#faults
    if (!faults) return Promise.resolve().then(effect)
    const turn = this.#last.then(() => faults.sleep(faults.delay(op)))
    this.#last = turn
    return turn.then(() => {
      const fate = faults.fate(op)
      if (fate === 'error-late') void faults.sleep(faults.lateness(op)).then(effect)
      const result = fate === 'ok' || fate === 'error-applied' ? effect() : undefined
      if (fate !== 'ok') throw new StorageError(`injected: ${fate}`)
      return result as T
    })
  }
}
