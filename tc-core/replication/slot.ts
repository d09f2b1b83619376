// One index of the log and its three outcomes: written, taken by another, or unknown, which is tried again until it is one of the two.
import { type Lane, StorageError } from '../storage/port.ts'

export type SlotOutcome =
  | { readonly kind: 'written' }
  /** Somebody else's bytes are there. */
  | { readonly kind: 'taken'; readonly bytes: Buffer }
  /** Somebody else's were there, and are trimmed by now. */
  | { readonly kind: 'gone' }

export interface SlotOptions {
  readonly lane: Lane
  sleep(ms: number): Promise<void>
  /** Told of every error, and of `null` when an error is over. */
  onTrouble(error: StorageError | null): void
  /** True ends the attempts: `writeSlot` then rejects with {@link Abandoned}. */
  abandoned(): boolean
}

/** The writer gave up (it was deposed or is closing); whether the bytes are in the log is not known. */
export class Abandoned extends Error {}

const RETRY_MIN_MS = 5
const RETRY_MAX_MS = 100
/** A read that lags behind the write is given this many chances. */
const READS_BEFORE_GONE = 3

/** Puts `bytes` at `key` unless another value is there. An unknown outcome is tried again at the same key with the same bytes. */
export async function writeSlot(options: SlotOptions, key: string, bytes: Buffer): Promise<SlotOutcome> {
  if (await attempt(options, () => options.lane.setIfAbsent(key, bytes))) return { kind: 'written' }
  for (let reads = 0; reads < READS_BEFORE_GONE; reads++) {
    if (reads > 0) await options.sleep(RETRY_MIN_MS)
    const there = await attempt(options, () => options.lane.get(key))
    if (there) return there.equals(bytes) ? { kind: 'written' } : { kind: 'taken', bytes: there }
  }
  return { kind: 'gone' }
}

/** Repeats an operation until it does not fail, with a growing pause. */
export async function attempt<T>(options: SlotOptions, operation: () => Promise<T>): Promise<T> {
  for (let pause = RETRY_MIN_MS; ; pause = Math.min(pause * 2, RETRY_MAX_MS)) {
    try {
      const result = await operation()
      options.onTrouble(null)
      return result
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      options.onTrouble(error)
    }
    await options.sleep(pause)
    if (options.abandoned()) throw new Abandoned()
  }
}
