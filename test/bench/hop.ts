// `npm run bench:hop`: what the way through a gateway adds to a request. The same begins and commits, 1,000 requests a second, go to one
// process that is gateway and node, and to a gateway in front of a node; both write to a SQLite of their own.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MessageType } from '../../tc-core/wire/codes.ts'
import type { MessageOf } from '../../tc-core/wire/message.ts'
import { GlobalBegin, GlobalBeginResult, GlobalCommit, RegisterTM } from '../../tc-core/wire/messages/index.ts'
import { Channel } from './channel.ts'
import { spread } from './report.ts'
import { makeDir, ours, type Server, startNode } from './servers.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '6' },
    rate: { type: 'string', default: '1000' },
    dir: { type: 'string', default: join(import.meta.dirname, 'data') }
  }
})
const WARMUP_SECONDS = 4
const AGENT = { applicationId: 'bench', transactionServiceGroup: 'bench', extraData: '' }

/** Sends a request every so often, a begin and its commit in turn. Resolves with the ms that each took, sorted. */
async function load({ host, port }: Server, seconds: number): Promise<number[]> {
  const channel = await Channel.open(host, port)
  const took: number[] = []
  const open: string[] = []
  const sentAt = new Map<number, number>()
  channel.onMessage = (message, id) => {
    const sent = sentAt.get(id)
    if (sent === undefined) return
    sentAt.delete(id)
    took.push(performance.now() - sent)
    if (message.type === GlobalBeginResult.code) open.push((message as MessageOf<typeof GlobalBeginResult>).xid)
  }
  channel.send({ type: RegisterTM.code, version: '2.6.0', ...AGENT }, MessageType.Request, 1)
  const start = performance.now()
  let id = 1
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const elapsed = performance.now() - start
      if (elapsed > seconds * 1000) {
        clearInterval(timer)
        return setTimeout(resolve, 100)
      }
      // A timer that came late sends what is due, as a client would.
      while (id - 1 < (elapsed * Number(values.rate)) / 1000) {
        const xid = open.shift()
        const message = xid
          ? { type: GlobalCommit.code, xid, extraData: '' }
          : { type: GlobalBegin.code, timeout: 60_000, transactionName: 'hop' }
        sentAt.set(++id, performance.now())
        channel.send(message, MessageType.Request, id)
      }
    }, 1)
  })
  channel.socket.destroy()
  if (sentAt.size > 0) throw new Error(`${sentAt.size} requests got no answer`)
  return took.sort((a, b) => a - b)
}

const at = (sorted: readonly number[], share: number) => sorted[Math.floor((sorted.length - 1) * share)]!

async function behindGateway(root: string): Promise<{ gateway: Server; node: Server }> {
  const store = makeDir(root, 'node')
  const cli = ['plugin/cli.ts']
  const link = ['node', '--name', 'n1', '--kv', `sqlite:${store}`, '--link', '127.0.0.1:0', '--http-port', '0']
  const node = await startNode('node', [...cli, ...link], store)
  const nodes = ['gateway', '--nodes', `${node.host}:${node.port}`, '--port', '0', '--http-port', '0']
  return { node, gateway: await startNode('gateway', [...cli, ...nodes], null) }
}

mkdirSync(values.dir, { recursive: true })
const one = await ours(values.dir, undefined).start()
const { gateway, node } = await behindGateway(values.dir)
for (const server of [one, gateway]) await load(server, WARMUP_SECONDS)
const added: Record<'p50' | 'p99', number[]> = { p50: [], p99: [] }
for (let round = 1; round <= Number(values.rounds); round++) {
  const [direct, hop] = [await load(one, Number(values.seconds)), await load(gateway, Number(values.seconds))]
  const words = (['p50', 'p99'] as const).map((name) => {
    const share = name === 'p50' ? 0.5 : 0.99
    added[name].push(at(hop, share) - at(direct, share))
    return `${name} ${at(direct, share).toFixed(3)} ms in one process, ${at(hop, share).toFixed(3)} behind a gateway`
  })
  console.log(`round ${round}: ${words.join('; ')}; ${hop.length} requests`)
}
console.log(
  `the gateway adds p50 ${spread(added.p50)!.median.toFixed(3)} ms, p99 ${spread(added.p99)!.median.toFixed(3)} ms`
)
await Promise.all([one.stop(), gateway.stop()])
await node.stop()
process.exit(0)
