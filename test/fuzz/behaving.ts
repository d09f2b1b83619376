// A client that behaves, in a thread of its own: what it waits for is the coordinator, and not those who attack it.
// One transaction with a branch after the other; each has to commit.
import { setTimeout as sleep } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { SeataClient } from '../client/client.ts'

/** How long each transaction took, ms, and what failed. */
export interface Seen {
  readonly times: number[]
  readonly failures: string[]
}

const MAX_FAILURES = 10
const PAUSE_MS = 1

async function transaction(client: SeataClient, n: number): Promise<void> {
  const { xid, resultCode, msg } = await client.begin('behaving')
  if (resultCode !== 1) throw new Error(`begin: ${msg}`)
  const branch = await client.register(xid, 'behaving', BranchType.TCC, '', `${n}`)
  if (branch.resultCode !== 1) throw new Error(`register: ${branch.msg}`)
  const { globalStatus } = await client.commit(xid)
  if (globalStatus !== GlobalStatus.Committed) throw new Error(`commit: ${globalStatus}`)
}

const client = await SeataClient.connect({ port: workerData as number })
await client.registerTM()
await client.registerRM('behaving')

let running = false
parentPort!.on('message', async (what: 'start' | 'stop') => {
  running = what === 'start'
  if (!running) return
  const seen: Seen = { times: [], failures: [] }
  for (let n = 0; running && seen.failures.length < MAX_FAILURES; n++) {
    const from = performance.now()
    try {
      await transaction(client, n)
    } catch (error) {
      seen.failures.push(String(error))
    }
    seen.times.push(performance.now() - from)
    await sleep(PAUSE_MS)
  }
  while (running) await sleep(PAUSE_MS)
  parentPort!.postMessage(seen)
})
