// What a fragment on a node is given, and what it says of itself.
import type { Settings } from '../core/fragment.ts'
import type { Rule } from '../replication/rules.ts'
import type { Storage } from '../storage/port.ts'
import type { Callee } from '../wire/link.ts'
import type { Log } from '../wire/log.ts'
import type { Clock } from '../wire/runtime.ts'
import type { Tracing } from '../wire/tracing.ts'
import type { NodeFigures } from './figures.ts'
import type { Between } from './leader.ts'
import type { SnapshotPolicy } from './snapshots.ts'

export interface FragmentOptions {
  readonly cluster: string
  readonly fragment: number
  readonly node: string
  readonly writer: bigint
  readonly window: number
  readonly inflight: number
  readonly storage: Storage
  readonly settings: Settings
  readonly snapshots: SnapshotPolicy
  readonly clock: Clock
  readonly logger: Log
  readonly tracing?: Tracing | undefined
  readonly figures?: NodeFigures | undefined
  readonly downstream: () => Callee | null
  readonly between: Between
  /** What a lead lost to another node comes to: to follow it, or, where nobody can see whether it lives, to stop. */
  readonly whenDeposed: 'follow' | 'stop'
  /** Told when it begins or ends to serve, to lead, or to follow. */
  readonly changed: () => void
  /** Told of every record that this node wrote as leader. */
  readonly confirmed?: (bytes: Buffer) => void
  /** Only in tests: a rule of the log that is not kept. */
  readonly without?: Rule | undefined
}

export type Role = 'starting' | 'follower' | 'candidate' | 'leader' | 'stopped'

export interface FragmentHealth {
  readonly fragment: number
  readonly role: Role
  readonly term: number
  readonly index: number
  /** Why it does not do what it should; null when it does. */
  readonly trouble: string | null
  readonly transactions: number
  readonly locks: number
  readonly requests: number
  readonly appends: number
  /** Appends that are not confirmed. */
  readonly inflight: number
  readonly snapshotIndex: number
}

/** The process that leads next. */
export interface Heir {
  readonly node: string
  /** Drawn anew with every start of the process. */
  readonly writer: bigint
}
