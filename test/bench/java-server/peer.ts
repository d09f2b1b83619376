// Starts the peer: Apache Seata's own Java server 2.0.0 in file mode. Its jars come from Maven once and stay in the
// user's cache.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'

export interface PeerOptions {
  /** Where it keeps its store, logs and configuration. */
  readonly dir: string
  /** WARN is the peer at its best, see `tuning`; INFO is the peer as shipped. */
  readonly logLevel: 'INFO' | 'WARN'
  /** JVM heap, least and most. */
  readonly heap: string
  /** When the store flushes to disk; async is Seata's default. */
  readonly flush: 'async' | 'sync'
  /** Further options of the JVM, Seata's own as -Dseata.<key>=<value>. */
  readonly jvm: readonly string[]
}

export interface Peer {
  readonly host: string
  readonly port: number
  readonly process: ChildProcess
}

/** Java or Maven is not there: a reason to go on without the peer. */
export class NoPeer extends Error {}

/** The server refuses 127.0.0.1 as its own address, and binds every address whatever it is told. */
const HOST = '127.0.0.2'
const START_MS = 90_000
const ADD_OPENS = ['java.lang', 'java.lang.invoke', 'sun.security.action', 'java.util'].flatMap((name) => [
  '--add-opens',
  `java.base/${name}=ALL-UNNAMED`
])

/** First line of a tool's version, or null when it cannot be run. */
function version(command: string, flag: string): string | null {
  const run = spawnSync(command, [flag], { encoding: 'utf8' })
  return run.status === 0 ? `${run.stdout}${run.stderr}`.trim().split('\n')[0]! : null
}

export function javaVersion(): string | null {
  return version('java', '-version')
}

/** At WARN the peer is also spared Netty's leak detection; at INFO it runs as it is shipped. */
export function tuning(logLevel: PeerOptions['logLevel']): string[] {
  return logLevel === 'WARN' ? ['-Dio.netty.leakDetection.level=disabled'] : []
}

/** The folder of the server's jars, fetched when it is not there. */
function jars(): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  const dir = join(cache, 'fastify-seata', 'seata-server-2.0.0')
  if (existsSync(dir)) return dir
  if (!version('mvn', '--version')) throw new NoPeer('Maven (mvn) is not installed, and fetches the jars of the peer')
  console.error('fetching the jars of the Java server, once; this takes some minutes')
  const partial = `${dir}.partial`
  rmSync(partial, { recursive: true, force: true })
  const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${partial}`, '-DincludeScope=runtime']
  const pom = join(import.meta.dirname, 'pom.xml')
  const run = spawnSync('mvn', ['-B', '-q', '-f', pom, ...goal], { stdio: ['ignore', 2, 2] })
  if (run.status !== 0) throw new NoPeer('Maven could not fetch the jars of the peer')
  renameSync(partial, dir)
  return dir
}

function configuration(o: PeerOptions, httpPort: number): string {
  return `server: {port: ${httpPort}}
spring: {application: {name: seata-server}}
logging: {file: {path: ${o.dir}/logs}, level: {root: ${o.logLevel}}}
console: {user: {username: seata, password: seata}}
seata:
  config: {type: file}
  registry: {type: file}
  security: {secretKey: ${'bench'.repeat(12)}, tokenValidityInMilliseconds: 1800000, ignore: {urls: "/,/**"}}
  store: {mode: file, file: {dir: ${o.dir}/store, flush-disk-mode: ${o.flush}}}
`
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, HOST)
    const say = (yes: boolean) => {
      socket.destroy()
      resolve(yes)
    }
    socket.once('connect', () => say(true)).once('error', () => say(false))
  })
}

/**
 * Starts the server and waits until it listens; throws {@link NoPeer} when this machine cannot run it.
 * @param onSpawn gets the process at once, for whoever must end it when the wait is cut short
 */
export async function startPeer(o: PeerOptions, onSpawn: (child: ChildProcess) => void): Promise<Peer> {
  if (!javaVersion()) throw new NoPeer('Java is not installed')
  const lib = jars()
  mkdirSync(o.dir, { recursive: true })
  const port = await freePort()
  const file = join(o.dir, 'application.yml')
  writeFileSync(file, configuration(o, await freePort()))
  const memory = [`-Xmx${o.heap}`, `-Xms${o.heap}`]
  const jvm = [
    '-server',
    ...memory,
    ...ADD_OPENS,
    ...tuning(o.logLevel),
    ...o.jvm,
    `-Dspring.config.location=file:${file}`
  ]
  const server = ['-cp', join(lib, '*'), 'io.seata.server.ServerApplication', '-h', HOST, '-p', String(port)]
  const log = openSync(join(o.dir, 'out.log'), 'w')
  const child = spawn('java', [...jvm, ...server], { cwd: o.dir, stdio: ['ignore', log, log] })
  closeSync(log)
  onSpawn(child)
  const limit = Date.now() + START_MS
  while (!(await listens(port))) {
    if (child.exitCode !== null || Date.now() > limit) {
      child.kill('SIGKILL')
      throw new Error(`the Java server did not start:\n${readFileSync(join(o.dir, 'out.log'), 'utf8').slice(-2000)}`)
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  return { host: HOST, port, process: child }
}
