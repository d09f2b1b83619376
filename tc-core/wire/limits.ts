// Every limit of the product, in one place: what may grow is named here, and what happens at the limit is tested.
// The option table (plugin/options.ts) lets users set those of `Limits`.

export interface Limits {
  /** Global transactions alive in one fragment; one more begin is refused. */
  maxTransactions: number
  /** Branches of one transaction. */
  maxBranches: number
  /** Rows in one branch's lock key. */
  maxLockKeys: number
  /** Bytes of a transaction name, an application id or a transaction service group. */
  maxNameBytes: number
  /** Bytes of a branch's application data (Java's `server.applicationDataLimit`). */
  maxApplicationDataBytes: number
  /** Ended transactions of a fragment whose outcome is remembered. */
  maxOutcomes: number
  /** Client connections of one gateway; one more is closed. */
  maxClients: number
  /** Requests of one connection that wait for their answer; at the limit the connection is not read. */
  maxInFlight: number
  /** Requests of all connections of one gateway that wait for their answer; at the limit begins are refused, so that what has begun can end. */
  maxWaiting: number
  /** Requests that one gateway parks while no leader serves them; one more is refused. */
  maxParked: number
}

export const DEFAULT_LIMITS: Readonly<Limits> = {
  maxTransactions: 500_000,
  maxBranches: 5_000,
  maxLockKeys: 50_000,
  maxNameBytes: 512,
  maxApplicationDataBytes: 64_000,
  maxOutcomes: 1_000_000,
  maxClients: 10_000,
  maxInFlight: 20_000,
  maxWaiting: 5_000,
  maxParked: 50_000
}

/** Bytes of a branch in one record of the log: its lock key and application data together. */
export const MAX_BRANCH_BYTES = 512 * 1024
/** Bytes of effects after which a record is closed; etcd takes 1.5 MiB a request. */
export const MAX_RECORD_BYTES = 768 * 1024
/** Bytes of effects that wait for the log before a fragment takes no more requests. */
export const MAX_UNCONFIRMED_BYTES = 32 * 1024 * 1024
/** Branch ids that a leader may hand out ahead of its confirmed log: a new leader starts this much further on. */
export const BRANCH_ID_GAP = 2 ** 24
/** Phase-two calls on the way to one resource of one application, or as many as it answered in the last second; more wait in line. */
export const MAX_CALLS_PER_RESOURCE = 512
/** Calls in such a line at which begins are refused: its RMs answer, but slower than transactions come. */
export const MAX_CALLS_IN_LINE = 10_000
/** Requests of one fragment that wait for the homes of their rows; one more is refused. */
export const MAX_WAITING_FOR_HOMES = 20_000
/** Bytes of a client's answers that wait in its socket before the connection is not read any more. */
export const MAX_UNSENT_BYTES = 1024 * 1024
/** Bytes of a client's answers at which a connection that does not read is closed. */
export const MAX_UNSENT_BYTES_HARD = 64 * 1024 * 1024
/** Bytes of unfinished frames that all connections of a gateway may hold together; those that hold most are closed. */
export const MAX_HELD_BYTES = 256 * 1024 * 1024
/** Bytes that wait for the clients of a gateway to read them, of all together; those that are owed most are closed. */
export const MAX_UNREAD_BYTES = 512 * 1024 * 1024
/** Bytes that may come out of a body packed with bzip2, which takes about a second for 10 MB, or 7z. */
export const MAX_SLOW_UNPACKED_BYTES = 1024 * 1024
/** Entries of a body packed with zip, chunks of one packed with 7z: each takes time of its own. Java's are one entry, and some 16 chunks a MiB. */
export const MAX_PACKED_PIECES = 64
/** Bytes of a snapshot's chunk. */
export const CHUNK_BYTES = 256 * 1024
