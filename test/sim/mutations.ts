// Bugs on purpose: each takes one rule of the product out, and the judges have to find it.
import { RULES as CORE, type Rule as CoreRule, REPEAT_RULES } from '../../tc-core/core/rules.ts'
import { RULES as LOG, type Rule as LogRule, MORE_RULES } from '../../tc-core/replication/rules.ts'

/** What the walks in test/replication take out: a hand-over of the host does not pass by it. */
const NOT_HERE = 'last-word'

export type Mutation = CoreRule | Exclude<LogRule, typeof NOT_HERE>

const ofCore: Readonly<Record<CoreRule, string>> = { ...CORE, ...REPEAT_RULES }
const { [NOT_HERE]: _, ...ofLog } = { ...LOG, ...MORE_RULES }

export const MUTATIONS: Readonly<Record<Mutation, string>> = { ...ofCore, ...ofLog }

/** A bug that shows only where faults of certain kinds meet, one time in thousands of runs: its runs have no others. */
export const FAULTS_OF: Partial<Readonly<Record<Mutation, readonly string[]>>> = {
  'linear-answers': ['lonelyHeir', 'slowWay', 'pause', 'partial']
}

export function isMutation(name: string): name is Mutation {
  return name in MUTATIONS
}

export function hooksOf(mutation: Mutation | undefined): { core: CoreRule | undefined; log: LogRule | undefined } {
  const core = mutation !== undefined && mutation in ofCore ? (mutation as CoreRule) : undefined
  const log = mutation !== undefined && mutation in ofLog ? (mutation as LogRule) : undefined
  return { core, log }
}
