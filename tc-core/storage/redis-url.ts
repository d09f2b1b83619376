// What the address of a redis store says: nodes, credentials, TLS and options; and the address as people may see it, without secrets.
import { readFileSync } from 'node:fs'
import { SeataError } from '../wire/errors.ts'

export interface RedisAddress {
  /** Without user and password. */
  readonly url: string
  /** HOST:PORT each, an IPv6 address without brackets. */
  readonly nodes: readonly string[]
  readonly username: string | undefined
  readonly password: string | undefined
  readonly tls: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer } | null
  /** What the user says about reads; null: nothing. */
  readonly reads: 'linearizable' | 'stale' | null
  readonly connections: number
}

const FORM = /^(rediss?):\/\/(?:(.*)@)?([^@/?]+)\/?(?:\?(.*))?$/s
const NODE = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?$/
const STANDARD_PORT = '6379'
/**
 * Connections to the leader. Some engines serve one command of a connection at a time, however many were sent: one connection a fragment
 * is the best there, and 8 cost a server nothing. They are opened when a lane needs them.
 */
const STANDARD_CONNECTIONS = 8
const MAX_CONNECTIONS = 64
const FILES = ['ca', 'cert', 'key'] as const
const OPTIONS: readonly string[] = ['reads', 'connections', ...FILES]

/** `redis[s]://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…][?OPTIONS]`; throws SEATA_STORE_OPEN_FAILED. */
export function parseRedisUrl(text: string): RedisAddress {
  const shown = text.replace(/\/\/.*@/s, '//')
  const refuse = (why: string, cause?: unknown) => new SeataError('SEATA_STORE_OPEN_FAILED', [shown, why], cause)
  const form = FORM.exec(text)
  if (!form) throw refuse('the form is redis[s]://[USER:PASSWORD@]HOST:PORT[,HOST:PORT…]')
  const [, scheme, credentials, hosts, query = ''] = form
  const options = new URLSearchParams(query)
  for (const name of options.keys()) {
    if (!OPTIONS.includes(name)) throw refuse(`${name} is none of the options ${OPTIONS.join(', ')}`)
  }
  const reads = options.get('reads')
  if (reads !== null && reads !== 'linearizable' && reads !== 'stale') {
    throw refuse('reads is linearizable or stale')
  }
  const connections = Number(options.get('connections') ?? STANDARD_CONNECTIONS)
  if (!Number.isInteger(connections) || connections < 1 || connections > MAX_CONNECTIONS) {
    throw refuse(`connections is a number from 1 to ${MAX_CONNECTIONS}`)
  }
  const files = FILES.filter((name) => options.has(name))
  if (scheme === 'redis' && files.length > 0) throw refuse(`${files[0]} is for rediss:// only`)
  try {
    return {
      url: shown,
      nodes: hosts!.split(',').map(parseNode),
      ...parseCredentials(credentials),
      tls:
        scheme === 'redis' ? null : Object.fromEntries(files.map((name) => [name, readFileSync(options.get(name)!)])),
      reads,
      connections
    }
  } catch (error) {
    throw refuse((error as Error).message, error)
  }
}

function parseNode(text: string): string {
  const [, v6, name, port = STANDARD_PORT] = NODE.exec(text) ?? []
  const host = v6 ?? name
  if (!host || Number(port) < 1 || Number(port) > 65535) throw new Error(`${text} is not HOST:PORT`)
  return `${host}:${port}`
}

/** A user without a password is taken for a password that lost its colon. */
function parseCredentials(text: string | undefined): Pick<RedisAddress, 'username' | 'password'> {
  if (text === undefined) return { username: undefined, password: undefined }
  const colon = text.indexOf(':')
  if (colon < 0 || colon === text.length - 1) throw new Error('a password is written :PASSWORD@ or USER:PASSWORD@')
  try {
    const [username, password] = [text.slice(0, colon), text.slice(colon + 1)].map(decodeURIComponent)
    return { username: username || undefined, password }
  } catch {
    throw new Error('user and password are percent-encoded') // and not what the decoder said, which may quote them
  }
}

/** HOST and PORT of a node. */
export function splitNode(node: string): { host: string; port: number } {
  const colon = node.lastIndexOf(':')
  return { host: node.slice(0, colon), port: Number(node.slice(colon + 1)) }
}
