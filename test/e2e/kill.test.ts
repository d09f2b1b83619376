// kill -9 in the middle of a load, ten times: no acknowledged step is lost, every transaction has one decision, every branch hears it,
// and at the end no session and no lock is left.
import test from 'ava'
import { eventually } from '../host/harness.ts'
import { Judge } from './judge.ts'
import { Load } from './load.ts'
import { freePort } from './ports.ts'
import { ServerProcess, temporaryDirectory } from './servers.ts'

const KILLS = 10
const TRANSACTIONS = 500
const CALLERS = 32

interface Fragment {
  readonly transactions: number
  readonly locks: number
}

async function fragments(httpPort: number): Promise<Fragment[]> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/health/detail`)
  return ((await response.json()) as { fragments: Fragment[] }).fragments
}

test('M20: one process with one fragment: ten kills under load, judged from outside', async (t) => {
  t.timeout(300_000)
  const kv = `sqlite:${temporaryDirectory(t)}`
  // Small snapshots: kills also hit while they are written and while the log is trimmed.
  const options = ['--kv', kv, '--http-port', '0', '--snapshot-records', '100', '--log-level', 'warn']
  let server = new ServerProcess(t, ['start', '--port', String(await freePort()), ...options])
  let { port, httpPort } = await server.ready()
  const judge = new Judge()
  const load = new Load(port, judge, 42)
  t.teardown(() => load.kill())
  const running = load.run(CALLERS)
  for (let kill = 1; kill <= KILLS; kill++) {
    const goal = load.done + TRANSACTIONS + kill * 37
    await eventually(() => load.done >= goal, `${TRANSACTIONS} transactions`, 60_000)
    await server.kill('SIGKILL')
    server = new ServerProcess(t, ['start', '--port', String(port), ...options])
    ;({ port, httpPort } = await server.ready())
  }
  await eventually(() => load.lost > 0 && judge.conflicts > 0)
  load.stop()
  await running
  await load.connect()
  await eventually(
    async () => (await fragments(httpPort)).every((f) => f.transactions === 0 && f.locks === 0),
    'the end of every transaction and the last lock',
    60_000
  )
  t.deepEqual(judge.verdict(), [])
  t.true(judge.transactions.size >= KILLS * TRANSACTIONS)
  t.log(`${judge.transactions.size} transactions, ${judge.conflicts} conflicts, ${load.lost} answers lost to the kills`)
  await load.close()
})

test('the judge sees what it is there for', (t) => {
  const breaches = (act: (judge: Judge) => void) => {
    const judge = new Judge()
    judge.begun('x')
    judge.begun('y')
    act(judge)
    return judge.verdict()
  }
  t.deepEqual(
    breaches(() => {}),
    []
  )
  t.regex(breaches((j) => j.begun('x'))[0]!, /begun twice/)
  const two = breaches((j) => {
    j.registered('x', 1n, ['row'])
    j.registered('y', 2n, ['row'])
    j.called('x', 1n, 'rollback')
    j.called('y', 2n, 'rollback')
  })
  t.regex(two[0]!, /row was granted to y while x had it/)
  const lost = breaches((j) => {
    j.registered('x', 1n, [])
    j.asks('x', 'commit')
    j.told('x', 9)
  })
  t.regex(lost[0]!, /branch 1 of x never heard of the commit/)
  const reversed = breaches((j) => {
    j.registered('x', 1n, [])
    j.asks('x', 'commit')
    j.told('x', 9)
    j.called('x', 1n, 'rollback')
  })
  t.true(reversed.some((text) => /its branches were not/.test(text)))
  t.regex(breaches((j) => j.told('x', 15))[0]!, /Finished/)
  t.regex(breaches((j) => j.called('x', 1n, 'commit'))[0]!, /nobody asked/)
})
