// Three transfers at a cluster, each between two banks that are played here: one commits, one rolls back, and one lives through the kill
// of the node that leads it. Prints where each is seen as a trace.
import { execSync } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { SeataClient } from '../../test/client/client.ts'

const { values } = parseArgs({
  options: {
    gateway: { type: 'string', default: '127.0.0.1:8091' },
    http: { type: 'string', default: '127.0.0.1:7091' },
    jaeger: { type: 'string', default: 'http://127.0.0.1:16686' },
    /** A shell command that kills the node whose name is put behind it. */
    kill: { type: 'string', default: 'docker compose kill --signal SIGKILL' }
  }
})

const TCC = 1
const FRAGMENT_BITS = 53n
const BANKS = ['bank-a', 'bank-b']

const [host = '', port = ''] = values.gateway.split(':')
const client = await SeataClient.connect({ host, port: Number(port), applicationId: 'transfers' })
await client.registerTM()
await client.registerRM(...BANKS)
// A bank takes a moment to confirm or to give back.
client.onBranch = async (_, kind) => {
  await sleep(20)
  return kind === 'commit' ? 5 : 8
}

/** Begins a transfer, and lets both banks reserve the money. */
async function reserve(name: string): Promise<string> {
  const { xid } = await client.begin(name)
  for (const bank of BANKS) await client.register(xid, bank, TCC)
  return xid
}

/** The node that leads the transaction's fragment, whose number is in the XID. */
async function leaderOf(xid: string): Promise<string> {
  const fragment = Number(BigInt(xid.slice(xid.lastIndexOf(':') + 1)) >> FRAGMENT_BITS)
  const response = await fetch(`http://${values.http}/health/detail`)
  const { fragments } = (await response.json()) as { fragments: { fragment: number; leader: string | null }[] }
  return fragments.find((f) => f.fragment === fragment)?.leader ?? ''
}

function seen(what: string, xid: string): void {
  const tags = encodeURIComponent(JSON.stringify({ 'seata.xid': xid }))
  console.log(`${what}: ${xid}\n  ${values.jaeger}/search?service=fastify-seata-gateway&tags=${tags}`)
}

const committed = await reserve('transfer that commits')
await client.commit(committed)
seen('committed', committed)

const back = await reserve('transfer that rolls back')
await client.rollback(back)
seen('rolled back', back)

const survivor = await reserve('transfer that survives')
const node = await leaderOf(survivor)
execSync(`${values.kill} ${node}`, { stdio: 'inherit' })
const { globalStatus } = await client.commit(survivor)
seen(
  globalStatus === 9 ? `committed, though ${node} was killed` : `status ${globalStatus} after ${node} was killed`,
  survivor
)
client.close()
