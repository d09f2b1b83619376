// Tries a store before it is trusted: the conformance suite and a short measurement, under keys of its own that are deleted afterwards.
import { randomBytes } from 'node:crypto'
import { CHECKS } from '../storage/conformance.ts'
import { openStorage } from '../storage/open.ts'
import { type Lane, type Storage, StorageError } from '../storage/port.ts'

export type { Lane, Storage } from '../storage/port.ts'

export interface CheckResult {
  readonly name: string
  readonly why: string
  readonly ms: number
  /** Null: it is kept. */
  readonly error: string | null
}

export interface Rate {
  readonly lanes: number
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
}

const CHECK_MS = 60_000
/** Of one measurement: what lies in memory, or has to be deleted afterwards, stays bounded. */
const MAX_APPENDS = 50_000
const VALUE = Buffer.alloc(2048, 'x')
const DELETES_AT_ONCE = 100

/** Opens a store again and again: over several connections to the same data. */
export type Opener = () => Promise<Storage>

/** `memory:` is a store for each opening; here it has to be one. */
export function openerOf(url: string): Opener {
  if (!url.startsWith('memory:')) return () => openStorage(url)
  const one = openStorage(url)
  return async () => ({ ...(await one), close: async () => {} })
}

export class KvCheck {
  readonly #open: Opener
  readonly #prefix = `{kv-check:${randomBytes(6).toString('hex')}}:`
  readonly #keys = new Set<string>()

  constructor(open: Opener) {
    this.#open = open
  }

  #key(name: string): string {
    const key = this.#prefix + name
    this.#keys.add(key)
    return key
  }

  /** What the store says of itself; rejects when it cannot be opened. */
  async about(): Promise<Pick<Storage, 'url' | 'linearizableReads'>> {
    const { url, linearizableReads } = await this.#withStorage(async (storage) => storage)
    return { url, linearizableReads }
  }

  /** One check after the other, each over connections of its own. */
  async *conformance(): AsyncGenerator<CheckResult> {
    for (const check of CHECKS) {
      const opened: Promise<Storage>[] = []
      const began = performance.now()
      const open = () => {
        const storage = this.#open()
        opened.push(storage)
        return storage
      }
      const error = await failureOf(check.run(open, (name) => this.#key(name)))
      yield { name: check.name, why: check.why, ms: performance.now() - began, error }
      for (const storage of opened) await storage.then((s) => s.close()).catch(() => {})
    }
  }

  /** Appends of 2 KiB for `ms`, one at a time in each lane, as leaders of so many fragments make them. Rejects with StorageError. */
  measure(lanes: number, ms: number): Promise<Rate> {
    return this.#withStorage(async (storage) => {
      const took: number[] = []
      const began = performance.now()
      const write = async (lane: Lane, name: string) => {
        for (let i = 0; performance.now() - began < ms && took.length < MAX_APPENDS; i++) {
          const start = performance.now()
          await lane.setIfAbsent(this.#key(`${name}:${i}`), VALUE)
          took.push(performance.now() - start)
        }
      }
      await Promise.all(Array.from({ length: lanes }, (_, i) => write(storage.lane(`${i}`), `append-${lanes}-${i}`)))
      const seconds = (performance.now() - began) / 1000
      took.sort((a, b) => a - b)
      const at = (part: number) => took[Math.floor(took.length * part)] ?? Number.NaN
      return { lanes, perSecond: took.length / seconds, p50: at(0.5), p99: at(0.99) }
    })
  }

  /** Deletes every key that was named; false when the store does not let it. */
  async clean(): Promise<boolean> {
    const keys = [...this.#keys]
    try {
      await this.#withStorage(async (storage) => {
        const lane = storage.lane('clean')
        for (let i = 0; i < keys.length; i += DELETES_AT_ONCE) await lane.delete(keys.slice(i, i + DELETES_AT_ONCE))
      })
      return true
    } catch {
      return false
    }
  }

  async #withStorage<T>(work: (storage: Storage) => Promise<T>): Promise<T> {
    const storage = await this.#open()
    try {
      return await work(storage)
    } finally {
      await storage.close()
    }
  }
}

async function failureOf(check: Promise<void>): Promise<string | null> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it did not end within ${CHECK_MS / 1000} s`)), CHECK_MS)
  })
  try {
    await Promise.race([check, late])
    return null
  } catch (error) {
    const trouble = error instanceof StorageError ? 'the store failed: ' : ''
    return trouble + (error as Error).message
  } finally {
    clearTimeout(timer)
  }
}
