// What the branch types differ in, as far as the coordinator is concerned. Saga's phase two is a world of its own: saga.ts.
import { BranchStatus, BranchType } from '../../wire/codes.ts'
import type { Branch } from '../session.ts'

/** AT's rows are locked here; TCC and XA leave that to the resource, even where a lock key is sent. */
export function locksRows(branchType: number): boolean {
  return branchType === BranchType.AT
}

/** A saga's steps may join when the outcome is decided already. */
export function joinsAnyTime(branchType: number): boolean {
  return branchType === BranchType.SAGA
}

/** Phase two has nothing to do: phase one failed, or an XA branch only read. */
export function needsNoCommit(branch: Branch): boolean {
  if (branch.status === BranchStatus.PhaseOne_Failed) return true
  return branch.branchType === BranchType.XA && branch.status === BranchStatus.PhaseOne_RDONLY
}

export function needsNoRollback(branch: Branch): boolean {
  return branch.status === BranchStatus.PhaseOne_Failed
}

/** Any application that has the resource can delete an AT branch's undo log; the others' phase two is in the application's code. */
export function servedByAnyApplication(branchType: number): boolean {
  return branchType === BranchType.AT || branchType === BranchType.SAGA
}
