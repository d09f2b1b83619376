// What every round of a run shares, and one round: a Java program against a coordinator, its lines counted.
import type { JavaClient, Round } from './java-client.ts'
import type { Database } from './mariadb.ts'
import type { Processes } from './processes.ts'
import { SUMMARY, type Tally } from './tally.ts'

export interface Stage {
  readonly processes: Processes
  readonly folder: string
  readonly database: Database
  readonly tally: Tally
}

/** The program says which transactions it begins: for whoever is to strike at them, not for people. */
const BEGUN = /^begun (\S+)$/

export interface Watcher {
  begun?(xid: string): void
  line?(text: string): void
}

/** Rejects when the program broke off without a word on what failed. */
export async function runClient(
  client: JavaClient,
  { database, tally }: Stage,
  round: Round,
  watcher: Watcher = {}
): Promise<void> {
  let ended = false
  const failedBefore = tally.failed
  try {
    await client.run(database, round, (line) => {
      const xid = BEGUN.exec(line)?.[1]
      if (xid !== undefined) return watcher.begun?.(xid)
      watcher.line?.(line)
      ended ||= SUMMARY.test(line)
      tally.line(line)
    })
  } catch (error) {
    // A program that came to its end has said what failed; one that broke off has not.
    if (!ended || tally.failed === failedBefore) throw error
    console.log('what Seata logged: --logs DIR')
  }
}
