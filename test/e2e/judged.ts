// A cluster under load while one node after the other fails, and what the judge says of it at the end.
import type { ExecutionContext } from 'ava'
import { eventually } from '../host/harness.ts'
import type { Cluster } from './cluster.ts'
import { Judge } from './judge.ts'
import { Load } from './load.ts'

const CALLERS = 32
/** Transactions before each failure, and as many while it lasts. */
const TRANSACTIONS = 200

/** Starts three nodes and a gateway, lets the nodes fail in turn, and asserts that nobody noticed and nothing is left. */
export async function judged(
  t: ExecutionContext,
  cluster: Cluster,
  failures: readonly NodeJS.Signals[]
): Promise<void> {
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const gateway = await cluster.gateway()
  await cluster.settled()
  const judge = new Judge()
  const load = new Load(gateway.port, judge, 7)
  t.teardown(() => load.kill())
  const running = load.run(CALLERS)
  const more = async (when: string) => {
    const goal = load.done + TRANSACTIONS
    await eventually(() => load.done >= goal, `${TRANSACTIONS} transactions ${when}`, 60_000)
  }
  for (const [i, signal] of failures.entries()) {
    await more(`before failure ${i}`)
    const node = cluster.nodes.get(`n${(i % 3) + 1}`)!
    if (signal === 'SIGSTOP') node.process.child.kill(signal)
    else await node.process.kill(signal)
    await more(`after ${signal} of ${node.name}`)
    if (signal === 'SIGSTOP') node.process.child.kill('SIGCONT')
    else await cluster.node(node.name, node.link)
    await cluster.settled()
  }
  load.stop()
  await running
  const all = async () => (await Promise.all([...cluster.nodes.values()].map((node) => node.fragments()))).flat()
  await eventually(
    async () => (await all()).every((f) => f.transactions === 0 && f.locks === 0),
    'the end of every transaction and the last lock, on every replica',
    60_000
  )
  t.deepEqual(judge.verdict(), [])
  t.is(load.lost, 0, 'requests without an answer')
  t.log(`${judge.transactions.size} transactions, ${judge.conflicts} conflicts`)
  await load.close()
}
