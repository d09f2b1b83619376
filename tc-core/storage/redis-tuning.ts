// What the redis engine waits for and holds at most. Tests shorten it; users do not set it.

export interface RedisTuning {
  /** Until a node has taken a connection, TLS and credentials included. */
  readonly connectMs: number
  /** Until a node has answered a command. After that the connection is dropped: a late answer would be taken for another command's. */
  readonly commandMs: number
  /** Until a call has ended, with a result or a StorageError. Its caller knows better than we do how long to go on trying. */
  readonly operationMs: number
  /** Until one node has answered when the store is opened. */
  readonly openMs: number
  /** The pause after a second setback in a row; it doubles. */
  readonly pauseMinMs: number
  readonly pauseMaxMs: number
  /**
   * Commands on the wire of one connection. Engines that flush many commands at once gain by it; for those that serve one at a time it
   * must be few, or the last of them would miss `commandMs` on a slow disk.
   */
  readonly inFlight: number
  /** Calls of one connection that wait or are on the wire; one more is refused. */
  readonly maxWaiting: number
  /** Their bytes; a call that is alone is always taken. */
  readonly maxWaitingBytes: number
}

export const REDIS_TUNING: RedisTuning = {
  connectMs: 500,
  commandMs: 1000,
  operationMs: 2000,
  openMs: 5000,
  pauseMinMs: 5,
  pauseMaxMs: 50,
  inFlight: 16,
  maxWaiting: 1024,
  maxWaitingBytes: 64 * 1024 * 1024
}
