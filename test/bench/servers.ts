// Starts and stops the servers that the bench measures: ours, the peer, and the stub that does nothing.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { RedisServer } from '../kv/redis-server.ts'
import { javaVersion, type PeerOptions, startPeer, tuning } from './java-server/peer.ts'

export interface Server {
  readonly name: string
  readonly host: string
  readonly port: number
  /** Where `GET /health/detail` tells of storage: of every process that has some. */
  readonly healthPorts: readonly number[]
  /** All processes that serve, stores of their own included; none when they are not known: no CPU, no memory. */
  readonly pids: readonly number[]
  /** The same by what they are, where there are several kinds. */
  readonly roles?: Readonly<Record<string, readonly number[]>>
  stop(): Promise<void>
}

/** A server to measure: started anew for every workload, so that none inherits another's memory. */
export interface Side {
  readonly name: string
  readonly what: string
  start(): Promise<Server>
}

/** The line by which a server of ours tells its ports. */
const PORTS = /(?:(?:Seata|links) on \S+:|rpc=)(?<rpc>\d+)(?:, HTTP on \S+:(?<http>\d+))?/
const START_MS = 30_000
const STOP_MS = 10_000
const ROOT = join(import.meta.dirname, '../..')

const children = new Set<ChildProcess>()
const dirs = new Set<string>()

// However the bench ends, it leaves no process and no data.
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

export function makeDir(root: string, name: string): string {
  const dir = mkdtempSync(join(root, `${name}-`))
  dirs.add(dir)
  return dir
}

async function stop(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL', dir: string | null): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exit = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await exit
    clearTimeout(timer)
  }
  children.delete(child)
  if (dir === null) return
  rmSync(dir, { recursive: true, force: true })
  dirs.delete(dir)
}

/** Starts a Node program of ours and waits for the line with its ports. */
export async function startNode(
  name: string,
  args: readonly string[],
  dir: string | null,
  more: NodeJS.ProcessEnv = {},
  onOutput: (chunk: string) => void = () => {},
  cwd = ROOT
): Promise<Server> {
  const env = { ...process.env, NODE_ENV: 'production', ...more }
  const child = spawn(process.execPath, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let said = ''
  const ports = await new Promise<RegExpExecArray>((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`${name} ${why}: node ${args.join(' ')}\n${said.slice(-2000)}`))
    const timer = setTimeout(() => fail(`told no ports in ${START_MS / 1000} s`), START_MS)
    const onData = (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-10_000)
      const match = said
        .split('\n')
        .slice(0, -1)
        .map((line) => PORTS.exec(line))
        .find((found) => found !== null)
      if (!match) return
      clearTimeout(timer)
      resolve(match)
    }
    child.stdout.on('data', onData)
    child.stderr.on('data', onData)
    child.once('exit', (code) => {
      clearTimeout(timer)
      fail(`ended with code ${code}`)
    })
  })
  // From here on it must be able to say what it likes, whether anybody listens or not.
  child.stderr.removeAllListeners('data').resume()
  child.stdout.removeAllListeners('data').on('data', (chunk: Buffer) => onOutput(chunk.toString()))
  const { rpc, http } = ports.groups as { rpc: string; http?: string }
  return {
    name,
    host: '127.0.0.1',
    port: Number(rpc),
    healthPorts: http === undefined ? [] : [Number(http)],
    pids: [child.pid!],
    stop: () => stop(child, 'SIGTERM', dir)
  }
}

export interface OursOptions {
  readonly name?: string
  /** Storage as a URL; default its own, in a folder of its own. */
  readonly kv?: string | undefined
  /** Of the product. */
  readonly options?: readonly string[]
  /** Of Node. */
  readonly node?: readonly string[]
  readonly env?: NodeJS.ProcessEnv
  readonly what?: string
  /** The checkout that it runs of; default: this one. */
  readonly cwd?: string
  /** Hears what it says once it serves. */
  readonly onOutput?: (chunk: string) => void
}

export function ours(root: string, o: OursOptions = {}): Side {
  const { name = 'ours', kv, options = [], node = [], env = {}, what = options.join(' '), onOutput, cwd } = o
  const args = [...node, 'plugin/cli.ts', 'start', '--port', '0', '--http-port', '0', ...options]
  return {
    name,
    what: `fastify-seata, one process, storage ${kv ?? 'as by default'}${what === '' ? '' : `; ${what}`}`,
    start() {
      const dir = makeDir(root, 'ours')
      return startNode(name, [...args, '--kv', kv ?? `sqlite:${dir}`], dir, env, onOutput, cwd)
    }
  }
}

/** Ours, with this share of the transactions traced, 0 to 1. */
export function traced(root: string, kv: string | undefined, share: number, endpoint: string, limit?: string): Side {
  return ours(root, {
    name: `traced ${share * 100} %`,
    kv,
    options: limit ? ['--trace-limit', limit] : [],
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: String(share)
    },
    what: `${share * 100} % of the transactions traced, spans sent by OTLP over http/protobuf`
  })
}

/** A server of ours that runs already: `host:port[:pid[+pid…]]`. */
export function running(address: string, httpPort: number | null): Side {
  const [host, port, pid] = address.split(':')
  const server: Server = {
    name: 'ours',
    host: host!,
    port: Number(port),
    healthPorts: httpPort === null ? [] : [httpPort],
    pids: pid === undefined ? [] : pid.split('+').map(Number),
    stop: () => Promise.resolve()
  }
  return { name: 'ours', what: 'fastify-seata, was running before the bench', start: () => Promise.resolve(server) }
}

export function stub(): Side {
  return {
    name: 'stub',
    what: 'the stub: answers at once, keeps and stores nothing',
    start: () => startNode('stub', ['test/bench/stub.ts'], null)
  }
}

export function peer(root: string, options: Omit<PeerOptions, 'dir'>, name: string): Side {
  const { logLevel, heap, flush, jvm, mode } = options
  const store = mode === 'file' ? `file mode, ${flush} flush` : MODES[mode]
  const settings = [store, `log level ${logLevel}`, `heap ${heap}`, ...tuning(logLevel), ...jvm]
  return {
    name,
    what: `Apache Seata 2.0.0, ${settings.join(', ')}; ${javaVersion() ?? 'no Java'}`,
    async start() {
      const dir = makeDir(root, 'peer')
      const redis = mode === 'redis' ? await RedisServer.start() : null
      const started: ChildProcess[] = []
      const onSpawn = (child: ChildProcess) => {
        children.add(child)
        started.push(child)
      }
      const { host, port } = await startPeer({ ...options, dir }, onSpawn, redis?.port)
      const pids = started.map(({ pid }) => pid!)
      return {
        name,
        host,
        port,
        healthPorts: [],
        pids: redis ? [...pids, redis.pid!] : pids,
        ...(redis && { roles: { server: pids, store: [redis.pid!] } }),
        async stop() {
          for (const child of started) await stop(child, 'SIGKILL', dir)
          await redis?.end()
        }
      }
    }
  }
}

const MODES = { raft: 'raft mode, three servers', redis: 'redis mode, one redis-server with appendfsync always' }
