// What every round of a run shares, and one round: a Java program against a coordinator, its lines counted.
import type { JavaClient, Round } from './java-client.ts'
import type { Database } from './mariadb.ts'
import type { Matrix } from './matrix.ts'
import type { Processes } from './processes.ts'
import { SUMMARY, type Tally } from './tally.ts'

export interface Stage {
  readonly processes: Processes
  readonly folder: string
  readonly database: Database
  readonly tally: Tally
  readonly matrix: Matrix
}

/** The program says which transactions it begins: for whoever is to strike at them, not for people. */
export const BEGUN = /^begun (\S+)$/

/** A check, and the scenario that it is of. */
export const CHECK = /^(ok|FAILED) (\w+): /
/** What the program prints instead of anything when its Seata has not what is tried. */
const NOT_OFFERED = 'not offered'

export interface Watcher {
  begun?(xid: string): void
  line?(text: string, say: (text: string) => void): void
}

/** Answers whether the Seata has what is tried. Rejects when the program broke off without a word on what failed. */
export async function runClient(
  client: JavaClient,
  { database, tally, matrix }: Stage,
  round: Round,
  watcher: Watcher = {}
): Promise<boolean> {
  let ended = false
  let offered = true
  const failedBefore = tally.failed
  try {
    await client.run(database, round, (line, say) => {
      if (line === NOT_OFFERED) {
        offered = false
        ended = true
        return
      }
      const xid = BEGUN.exec(line)?.[1]
      if (xid !== undefined) return watcher.begun?.(xid)
      watcher.line?.(line, say)
      ended ||= SUMMARY.test(line)
      const [, verdict, scenario] = CHECK.exec(line) ?? []
      if (scenario !== undefined) matrix.count(client.version, round.feature ?? scenario, verdict === 'ok')
      tally.line(line)
    })
  } catch (error) {
    // A program that came to its end has said what failed; one that broke off has not.
    if (!ended || tally.failed === failedBefore) throw error
    console.log('what Seata logged: --logs DIR')
  }
  if (!offered) matrix.notOffered(client.version, round.feature ?? round.name)
  return offered
}
