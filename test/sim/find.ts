// The mutation check: each bug on purpose is run seed by seed until the judges find it.
import { MUTATIONS, type Mutation } from './mutations.ts'
import { runAll, seeds } from './pool.ts'
import type { Outcome } from './world.ts'

/** The run that found the bug, the one with the lowest seed of those that were under way; null: none did. */
export async function find(mutation: Mutation, first: number, runs: number, workers?: number): Promise<Outcome | null> {
  let found: Outcome | null = null
  await runAll(
    seeds(first, runs, { without: mutation }),
    (outcome) => {
      if (outcome.breach !== null && (found === null || outcome.seed < found.seed)) found = outcome
      return found === null
    },
    workers
  )
  return found
}

/** Prints a table of all of them; true: each was found. */
export async function findMutations(first: number, runs: number, workers?: number): Promise<boolean> {
  let missed = 0
  for (const mutation of Object.keys(MUTATIONS) as Mutation[]) {
    const found = await find(mutation, first, runs, workers)
    if (!found) missed++
    console.log(
      `${found ? '✔' : '✘'} ${mutation}: ${found ? `run ${found.seed - first + 1} | ${found.breach}` : `not in ${runs} runs`}`
    )
  }
  const all = Object.keys(MUTATIONS).length
  console.log(`${all - missed} passed, ${missed} failed`)
  return missed === 0
}
