// Three nodes and a gateway as processes, a load, the kill of a leader; and what an OTLP receiver holds in the end.
import test from 'ava'
import { BranchStatus } from '../../tc-core/wire/codes.ts'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import { Cluster } from '../e2e/cluster.ts'
import { Judge } from '../e2e/judge.ts'
import { Load } from '../e2e/load.ts'
import { connect } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'
import { complaints, edges, type Kill, type Story, storeCallOf, stories } from './judge.ts'
import { Receiver } from './receiver.ts'

const CALLERS = 8
const TRANSACTIONS = 250
/** So many commits with a branch are looked at, at least; and no more may have ended in the moment of the kill. */
const SAMPLE = 37
/** How long processes keep spans before they send them, ms. */
const DELAY_MS = 100

/** What every transaction with an AT branch that a load commits goes through, by parent and child. */
const HOPS = [
  ' > seata.transaction',
  'seata.transaction > seata.TC/GlobalBegin',
  'seata.TC/GlobalBegin > seata.link',
  'seata.link > seata.fragment.step',
  'seata.link > seata.log.append',
  'seata.transaction > seata.TC/BranchRegister',
  'seata.TC/BranchRegister > seata.link',
  'seata.transaction > seata.TC/GlobalCommit',
  'seata.transaction > seata.RM/BranchCommit',
  'seata.transaction > seata.fragment.step',
  'seata.transaction > seata.log.append'
]

test('one trace a transaction, no orphan, every hop, times nested: also when a leader is killed under load', async (t) => {
  t.timeout(120_000)
  const receiver = await Receiver.start(t)
  const env = {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
    OTEL_BSP_SCHEDULE_DELAY: String(DELAY_MS),
    SEATA_TRACE_LIMIT: '1000000'
  }
  const cluster = new Cluster(t, undefined, [], env)
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const gateway = await cluster.gateway()
  await cluster.settled()
  const judge = new Judge()
  const load = new Load(gateway.port, judge, 11)
  t.teardown(() => load.kill())
  const running = load.run(CALLERS)
  const more = async () => {
    const goal = load.done + TRANSACTIONS
    await eventually(() => load.done >= goal, `${TRANSACTIONS} transactions`, 60_000)
  }
  await more()
  const decided = await decidedAt('n1', t, cluster, gateway.port)
  // By then n1 has sent what it knows of it.
  await eventually(() => receiver.spans.some(({ attributes }) => attributes['seata.xid'] === decided.xid))
  await new Promise((resolve) => setTimeout(resolve, 5 * DELAY_MS))
  // Answers whoever calls next.
  decided.answer()
  const kills: Kill[] = [{ node: 'n1', at: Date.now() }]
  const dead = cluster.nodes.get('n1')!.process.kill('SIGKILL')
  // One request at least comes while nobody leads, or is lost on its way.
  await decided.ask()
  await dead
  cluster.nodes.delete('n1')
  await more()
  load.stop()
  await running
  const all = async () => (await Promise.all([...cluster.nodes.values()].map((node) => node.fragments()))).flat()
  await eventually(
    async () => (await all()).every((f) => f.transactions === 0 && f.locks === 0),
    'the end of every transaction',
    60_000
  )
  const run = { spans: receiver.spans, kills, delay: DELAY_MS }
  const begun = new Set([...judge.transactions.keys(), ...decided.begun])
  await eventually(
    () => stories(run).filter(({ root, rootLost }) => root ?? rootLost).length >= begun.size,
    'every transaction as a span',
    20_000
  ).catch(() => {})
  await new Promise((resolve) => setTimeout(resolve, 5 * DELAY_MS))

  const told = stories(run)
  t.deepEqual(complaints(run).slice(0, 10), [])
  t.deepEqual(judge.verdict(), [])
  const known = told.filter(({ xid }) => begun.has(xid))
  t.is(told.length, begun.size, 'as many traces as transactions')
  t.is(known.length, begun.size, 'each transaction has a trace')

  const lost = told.filter(({ rootLost }) => rootLost)
  t.true(lost.length < SAMPLE, `${lost.length} transactions ended just before the kill`)
  const whole = told.filter(({ rootLost, spans }) => !rootLost && untouched(spans, kills))
  const committed = whole.filter((story) => story.root!.attributes['seata.status'] === 'Committed' && called(story))
  t.true(committed.length > SAMPLE, `${committed.length} commits with a branch`)
  for (const story of committed) {
    const there = edges(story)
    t.deepEqual(
      HOPS.filter((hop) => !there.has(hop)),
      [],
      story.xid
    )
    for (const { name, events } of story.spans.filter(({ name }) => name.startsWith('seata.TC/')))
      t.true(
        events.some((event) => event.name === 'seata.route'),
        `${story.xid}: the fragment of ${name}`
      )
    // Each call twice: as the leader makes it, and as the gateway carries it out.
    const calls = story.spans.filter(({ name }) => name === 'seata.RM/BranchCommit')
    const byLeader = new Set(calls.flatMap(({ attributes, spanId }) => (attributes['seata.attempt'] ? spanId : [])))
    const byGateway = calls.filter(({ attributes }) => attributes['seata.node'])
    t.is(byGateway.length, byLeader.size, story.xid)
    t.true(
      byGateway.every(({ links }) => byLeader.has(links[0]!.spanId)),
      story.xid
    )
  }
  for (const { spans, xid } of whole) {
    for (const append of spans.filter(({ name }) => name === 'seata.log.append')) {
      const call = storeCallOf(append, receiver.spans)
      t.truthy(call, `${xid}: the store's call of an append`)
      if (call) t.is(call.attributes['seata.log.index'], append.attributes['seata.log.index'])
    }
  }
  const names = new Set(receiver.spans.map(({ name }) => name))
  for (const name of ['seata.park', 'seata.lock.homes', 'seata.lock.home', 'seata.RM/BranchRollback'])
    t.true(names.has(name), name)
  t.true(told.filter(({ spans }) => events(spans).has('seata.decision')).length > TRANSACTIONS)
  const { spans, root } = told.find(({ xid }) => xid === decided.xid)!
  t.not(root!.from, 'n1')
  t.true(events([root!]).has('seata.leader.changed'))
  const at = (node: string, name: string) => spans.filter((span) => span.from === node && span.name === name)
  t.true(events(at('n1', 'seata.fragment.step')).has('seata.decision'), 'decided by the first leader')
  const [call] = at(root!.from, 'seata.RM/BranchCommit')
  t.true(events([call!]).has('seata.rm.answer'), 'and carried out by the next')

  const moved = told.filter(
    ({ spans, root }) => events(root ? [root] : []).has('seata.leader.changed') && spans.length > 3
  )
  t.true(moved.length > 0, 'transactions that lived through the change of their leader')
  t.true(
    told.some(({ spans }) => spans.some((s) => s.name === 'seata.link' && s.attributes['seata.attempt'] === 2)),
    'a request that was sent to the next leader'
  )
  const errors = told.filter(({ root }) => root?.attributes['seata.status'] === 'Rollbacked')
  t.true(
    errors.length > 0 && errors.every(({ root }) => root!.error && root!.attributes['error.type'] === 'rolled-back')
  )
  t.log(
    `${receiver.spans.length} spans of ${told.length} transactions, ${moved.length} lived through a change of leader; ` +
      `${lost.length} ended in the moment of the kill`
  )
  await load.close()
})

/** A transaction whose commit a node has decided, and whose RM is silent until it is to answer; and all that were begun to find one. */
async function decidedAt(node: string, t: { teardown(then: () => unknown): void }, cluster: Cluster, port: number) {
  const client = await connect(t, { port })
  await client.registerTM()
  await client.registerRM('slow-db')
  const leaders = await cluster.leaders()
  const begun: string[] = []
  let xid = ''
  while (leaders.get(fragmentOf(xid)) !== node) {
    if (xid !== '') await client.rollback(xid)
    ;({ xid } = await client.begin('slow'))
    begun.push(xid)
  }
  await client.register(xid, 'slow-db', 0, 'slow:1')
  let called = false
  client.onBranch = () => {
    called = true
    return 'silent'
  }
  await client.commit(xid)
  await eventually(() => called, 'the call of the RM')
  const answer = () => (client.onBranch = () => BranchStatus.PhaseTwo_Committed)
  return { xid, begun, answer, ask: () => client.status(xid) }
}

/** Nothing of it can have been lost with a process. */
function untouched(spans: Story['spans'], kills: readonly Kill[]): boolean {
  return kills.every(({ at }) => spans.every((s) => s.start > at + 1000 || s.end < at - 2 * DELAY_MS - 500))
}

function called({ spans }: Story): boolean {
  return spans.some(({ name }) => name === 'seata.RM/BranchCommit')
}

function events(spans: Story['spans']): Set<string> {
  return new Set(spans.flatMap((span) => span.events.map(({ name }) => name)))
}
