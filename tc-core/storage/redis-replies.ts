// What a node's error replies mean: who leads, who does not, and whether a write may have been done.
//
// | reply | engines | a write was |
// | --- | --- | --- |
// | MOVED slot h:p | RedisRaft, MemoryDB, ElastiCache, EloqKV | not done |
// | MOVED slot h:p | IceFireDB and all on uhaha | not done, or done: they say it also for a leadership lost while the entry was on its way |
// | MOVED h:p | Kiwi | not done |
// | TRY h:p | SummitDB, redraft, uhaha with --try-errors | not done |
// | CLUSTERDOWN, NOCLUSTER, LOADING, READONLY, MASTERDOWN | RedisRaft, uhaha; Redis while it starts; replicas | not done |
// | CLUSTERDOWN with "leadership lost" or "shutdown" in it | uhaha | not known |
// | … not leader, not the leader, not cluster leader | Kiwi, uhaha, SugarDB, ZanRedisDB | not done |
// | TIMEOUT, and everything else | all | not known |
//
// A write that was not done goes to the next node. Where uhaha's MOVED hides one that was done, this is still safe: an entry of the lost
// leader is committed before all of the next leader's or never, so the second try comes after the first. For set-if-absent it then says
// "taken", and whoever asks compares the bytes, as after any unknown outcome.

export type Verdict =
  /** Not done here. `leader`: who leads, where the node says it. */
  | { readonly done: 'no'; readonly leader: string | null }
  /** Done or not done. */
  | { readonly done: 'unknown' }

/** Some engines put ERR before everything, some before nothing. */
const NAMED = /^(?:ERR )?(?:MOVED(?: \d+)?|TRY) (\S*):(\d{1,5})$/
const NOT_HERE = /^(?:ERR )?(?:CLUSTERDOWN|NOCLUSTER|LOADING|READONLY|MASTERDOWN)\b|\bnot (?:the |cluster )?leader\b/i
const LOST = /\blost\b|shut ?down/i

/** Reads the text of an error reply of `node`. */
export function judge(text: string, node: string): Verdict {
  const named = NAMED.exec(text)
  if (named) {
    // No host: the one that was asked, at another port.
    const host = named[1]!.replace(/^\[|\]$/g, '') || node.slice(0, node.lastIndexOf(':'))
    return { done: 'no', leader: `${host}:${named[2]}` }
  }
  if (NOT_HERE.test(text) && !LOST.test(text)) return { done: 'no', leader: null }
  return { done: 'unknown' }
}

/** The leaders in an answer to CLUSTER SLOTS: of one shard it names one. */
export function leadersIn(slots: unknown, node: string): string[] {
  if (!Array.isArray(slots)) return []
  const own = node.slice(0, node.lastIndexOf(':'))
  const leaders = slots.flatMap((range: unknown) => {
    const [host, port] = Array.isArray(range) && Array.isArray(range[2]) ? range[2] : []
    return Number.isInteger(port) ? [`${String(host ?? '') || own}:${port}`] : []
  })
  return [...new Set(leaders)]
}
