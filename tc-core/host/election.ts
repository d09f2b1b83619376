// Who should lead a fragment now: a pure decision over what a node knows. A wrong one costs time, never safety: that is the log's.

export interface ElectionView {
  readonly now: number
  readonly me: string
  /** Names of the replicas, the one that is to lead first. */
  readonly placement: readonly string[]
  /** Somebody who is alive says that it leads and serves, in a term that is not behind ours. */
  readonly led: boolean
  /** Name of the node whose lead record is the newest; empty when there is none. */
  readonly lastLeader: string
  /** Since when nobody leads and it is known that who led last does so no longer, ms. */
  readonly leaderlessSince: number
  /** Until when the lead is promised to another, ms. */
  readonly promisedUntil: number
  alive(name: string): boolean
  /** It is alive, and could lead: its store answers. */
  ready(name: string): boolean
  /** It was heard at least once, or is proven dead: about the others it is too early to say. */
  known(name: string): boolean
  /** Its process is gone, or it neither speaks nor moves. */
  gone(name: string): boolean
}

/** What each place in the order waits longer than the one before, ms. */
const STEP_MS = 150
/** What a node waits for those that it has not heard of yet: they are starting as well, ms. */
const UNKNOWN_MS = 300

/** Who led last may still be there, and is not disturbed before it is known to be gone, or to lead no more. */
export function inDoubt({ me, lastLeader, alive, gone }: ElectionView): boolean {
  return lastLeader !== '' && lastLeader !== me && !alive(lastLeader) && !gone(lastLeader)
}

/** Whether this node should claim the lead now. */
export function shouldLead(view: ElectionView): boolean {
  const { now, me, placement, lastLeader } = view
  if (view.led || now < view.promisedUntil || !placement.includes(me) || inDoubt(view)) return false
  const before = placement.slice(0, placement.indexOf(me))
  const living = before.filter((name) => view.ready(name)).length
  // When no lead record was read, for a snapshot covers it, any of the others may lead.
  const unknown = (lastLeader === '' ? placement : before).some((name) => name !== me && !view.known(name))
  return now - view.leaderlessSince >= living * STEP_MS + (unknown ? UNKNOWN_MS : 0)
}
