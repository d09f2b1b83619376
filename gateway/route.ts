// Where each message goes: a pure function over every message that a client can send.

import {
  BranchCommitResult,
  BranchRegister,
  BranchReport,
  BranchRollbackResult,
  GlobalBegin,
  GlobalCommit,
  GlobalLockQuery,
  GlobalReport,
  GlobalRollback,
  GlobalStatus,
  MergedWarp,
  RegisterRM,
  RegisterTM,
  UnregisterRM
} from '../tc-core/wire/messages/index.ts'
import { fragmentOf } from '../tc-core/wire/xid.ts'
import type { ShardingStrategy } from './ring.ts'

/** What the gateway does with a message, by its type code. */
export type Treatment =
  /** Into any fragment that takes new transactions. */
  | 'begin'
  /** To the fragment of the XID, the body's first field. */
  | 'by-xid'
  /** Its parts one by one, answered together. */
  | 'split'
  /** Kept here, and told to every node. */
  | 'registration'
  /** The answer to a phase-two call. */
  | 'branch-result'

const TREATMENT: Readonly<Record<number, Treatment | undefined>> = {
  [GlobalBegin.code]: 'begin',
  [GlobalCommit.code]: 'by-xid',
  [GlobalRollback.code]: 'by-xid',
  [GlobalStatus.code]: 'by-xid',
  [GlobalReport.code]: 'by-xid',
  [BranchRegister.code]: 'by-xid',
  [BranchReport.code]: 'by-xid',
  [GlobalLockQuery.code]: 'by-xid',
  [MergedWarp.code]: 'split',
  [RegisterTM.code]: 'registration',
  [RegisterRM.code]: 'registration',
  [UnregisterRM.code]: 'registration',
  [BranchCommitResult.code]: 'branch-result',
  [BranchRollbackResult.code]: 'branch-result'
}

/** Undefined: a client has no business sending this. */
export function treatmentOf(type: number): Treatment | undefined {
  return TREATMENT[type]
}

/** The fragment that an XID names, or, when it names none of ours, the one that will say so. */
export function fragmentOfXid(xid: string, exists: (fragment: number) => boolean, ring: ShardingStrategy): number {
  const fragment = fragmentOf(xid)
  return fragment >= 0 && exists(fragment) ? fragment : ring.determineGroup(xid)
}
