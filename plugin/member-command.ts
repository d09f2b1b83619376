// `fastify-seata drain|leave|promote NAME`: asks a node to change something about a member of its cluster, at a node or through a gateway.
import { parseArgs } from 'node:util'
import { SeataError } from '../tc-core/wire/errors.ts'
import { authorization, type MemberAction } from './member-routes.ts'

interface Answer {
  readonly node: string
  readonly role: string
  readonly replicas: number
}

const ANSWER_MS = 5_000
const DRAIN_POLL_MS = 500

export const MEMBER_HELP = `fastify-seata drain NAME [--at HOST:PORT]     move everything from a node to the others
fastify-seata leave NAME [--at HOST:PORT]     remove a node for good: a dead or drained one, or a learner
fastify-seata promote NAME [--at HOST:PORT]   let a learner, or a drained node, lead again

  --at HOST:PORT       HTTP side of any node or gateway (default 127.0.0.1:7191)
  --cluster-key TEXT   the cluster's key, if it has one (SEATA_CLUSTER_KEY)
`

/** Resolves with a line for people. Rejects with what the node says, or when it does not answer. */
export async function memberCommand(
  action: MemberAction,
  args: readonly string[],
  env: NodeJS.ProcessEnv
): Promise<string> {
  const { name, at, key } = read(args, env)
  const base = await nodeAt(at, name)
  const path = `/members/${name}/${action}`
  for (;;) {
    const headers = key === '' ? {} : { authorization: authorization(key, path, Date.now()) }
    const response = await ask(`${base}${path}`, { method: 'POST', headers })
    const answer = (await response.json()) as Answer & { error?: string }
    if (!response.ok) throw new Error(answer.error ?? `${at} answers ${response.status}`)
    if (action === 'leave') return `${name} has left the cluster`
    if (action === 'promote') return `${name} may lead from now on`
    if (answer.replicas === 0)
      return `${name} is drained: stop it, and remove it with leave, or take it in again with promote`
    await new Promise((resolve) => setTimeout(resolve, DRAIN_POLL_MS))
  }
}

function read(args: readonly string[], env: NodeJS.ProcessEnv): { name: string; at: string; key: string } {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { at: { type: 'string' }, 'cluster-key': { type: 'string' } },
      allowPositionals: true
    })
    const [name, ...more] = positionals
    if (name === undefined || more.length > 0) throw new Error('one NAME of a node is needed')
    return { name, at: values.at ?? '127.0.0.1:7191', key: values['cluster-key'] ?? env.SEATA_CLUSTER_KEY ?? '' }
  } catch (error) {
    throw new SeataError('SEATA_OPTION_INVALID', [(error as Error).message])
  }
}

/** Where a node is asked: at its own HTTP side, or through a gateway at one that the gateway reaches, another than `name` if it can be. */
async function nodeAt(at: string, name: string): Promise<string> {
  const detail = (await (await ask(`http://${at}/health/detail`)).json()) as { nodes?: { node: string; up: boolean }[] }
  if (!detail.nodes) return `http://${at}`
  const up = detail.nodes.filter((link) => link.up).map(({ node }) => node)
  const node = up.find((other) => other !== name) ?? up[0]
  if (node === undefined) throw new Error(`the gateway at ${at} reaches no node`)
  return `http://${at}/nodes/${node}`
}

async function ask(url: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS) })
  } catch (error) {
    const reason = (error as { cause?: Error }).cause?.message ?? (error as Error).message
    throw new Error(`${new URL(url).host} does not answer: ${reason}`)
  }
}
