// The storage port: the five calls that a fragment's log needs from a key-value store, and nothing else.

/**
 * Calls that keep their order: a fragment's lane. What is called first takes effect first, unless its outcome is unknown.
 * Every call rejects with {@link StorageError} and with nothing else.
 */
export interface Lane {
  /** Writes when the key is absent; durable when it resolves. False: another value is there. */
  setIfAbsent(key: string, value: Uint8Array): Promise<boolean>
  get(key: string): Promise<Buffer | null>
  /** The values in the order of the keys; the last is read no earlier than the others. */
  getMany(keys: readonly string[]): Promise<(Buffer | null)[]>
  /** Overwrites; durable when it resolves. */
  set(key: string, value: Uint8Array): Promise<void>
  delete(keys: readonly string[]): Promise<void>
}

export interface Storage {
  /** The address it was opened with, without secrets: for people. */
  readonly url: string
  /** A read that begins after a write was confirmed sees it, even through another process and after a failover. */
  readonly linearizableReads: boolean
  /** It is in this process: what an append costs is its flush, and a thread that has to be woken; default: over a network. */
  readonly embedded?: boolean
  /** Flushes to disk since it was opened, where the engine knows. */
  readonly flushes?: number
  /** A lane of its own for `name`, a fragment. */
  lane(name: string): Lane
  close(): Promise<void>
}

/** After a write rejected, whether it took effect is not known, whatever the cause. */
export class StorageError extends Error {
  override readonly name = 'StorageError'
}
