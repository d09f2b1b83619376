// Starts the peer: Apache Seata's own Java server 2.0.0 in file, raft or redis mode. Its jars come from Maven once and stay in the
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
  /** Where it keeps transactions: in a file, in a raft group of three servers, or in a redis-server. */
  readonly mode: 'file' | 'raft' | 'redis'
  /** When a file store flushes to disk; async is Seata's default. */
  readonly flush: 'async' | 'sync'
  /** Further options of the JVM, Seata's own as -Dseata.<key>=<value>. */
  readonly jvm: readonly string[]
}

/** Of the server that serves: the only one, or the leader. */
export interface Peer {
  readonly host: string
  readonly port: number
}

/** Java or Maven is not there: a reason to go on without the peer. */
export class NoPeer extends Error {}

/** The server refuses 127.0.0.1 as its own address, and binds every address whatever it is told. */
const HOST = '127.0.0.2'
/** Ms until it serves; a raft group takes more than a minute for its first leader. */
const START_MS = { file: 90_000, redis: 90_000, raft: 240_000 }
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

/** One server's ports, and what of its configuration is its mode's. */
interface Member {
  readonly port: number
  readonly httpPort: number
  readonly dir: string
  readonly store: string
  readonly jvm: readonly string[]
}

function configuration(o: PeerOptions, { dir, httpPort, store }: Member): string {
  return `server: {port: ${httpPort}}
spring: {application: {name: seata-server}}
logging: {file: {path: ${dir}/logs}, level: {root: ${o.logLevel}}}
console: {user: {username: seata, password: seata}}
seata:
  config: {type: file}
  registry: {type: file}
  security: {secretKey: ${'bench'.repeat(12)}, tokenValidityInMilliseconds: 1800000, ignore: {urls: "/,/**"}}
${store}
`
}

const REDIS = 'mode: single, type: lua, database: 0, min-conn: 10, max-conn: 100, max-total: 100, query-limit: 1000'

async function members(o: PeerOptions, redisPort: number | undefined): Promise<Member[]> {
  const count = o.mode === 'raft' ? 3 : 1
  const ports = await freePorts(count * 3)
  const rafts = ports.slice(count * 2)
  const addresses = rafts.map((port) => `${HOST}:${port}`).join(',')
  const raft = `group: default, server-addr: "${addresses}", snapshot-interval: 600, election-timeout-ms: 1000, sync: true`
  return Array.from({ length: count }, (_, i) => {
    const dir = join(o.dir, String(i))
    const stores = {
      file: `  store: {mode: file, file: {dir: ${dir}/store, flush-disk-mode: ${o.flush}}}`,
      raft: `  server: {raft: {${raft}}}
  store: {mode: raft, session: {mode: raft}, lock: {mode: raft}, file: {dir: ${dir}/store}}`,
      redis: `  store: {mode: redis, redis: {${REDIS}, single: {host: 127.0.0.1, port: ${redisPort}}}}`
    }
    const jvm = o.mode === 'raft' ? [`-Dserver.raftPort=${rafts[i]}`] : []
    return { port: ports[i]!, httpPort: ports[count + i]!, dir, store: stores[o.mode], jvm }
  })
}

async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) ports.add(await freePort())
  return [...ports]
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

function launch(o: PeerOptions, member: Member, lib: string): ChildProcess {
  const { dir, port } = member
  mkdirSync(dir, { recursive: true })
  const file = join(dir, 'application.yml')
  writeFileSync(file, configuration(o, member))
  const memory = [`-Xmx${o.heap}`, `-Xms${o.heap}`]
  const own = [...tuning(o.logLevel), ...o.jvm, ...member.jvm, `-Dspring.config.location=file:${file}`]
  const server = ['-cp', join(lib, '*'), 'io.seata.server.ServerApplication', '-h', HOST, '-p', String(port)]
  const log = openSync(join(dir, 'out.log'), 'w')
  const stdio = ['ignore', log, log] as const
  const child = spawn('java', ['-server', ...memory, ...ADD_OPENS, ...own, ...server], { cwd: dir, stdio: [...stdio] })
  closeSync(log)
  return child
}

/**
 * Starts the server, or the three, and waits until one serves; throws {@link NoPeer} when this machine cannot run it.
 * @param onSpawn gets each process at once, for whoever must end it when the wait is cut short
 */
export async function startPeer(
  o: PeerOptions,
  onSpawn: (child: ChildProcess) => void,
  redisPort?: number
): Promise<Peer> {
  if (!javaVersion()) throw new NoPeer('Java is not installed')
  const lib = jars()
  const all = await members(o, redisPort)
  const running = all.map((member) => {
    const child = launch(o, member, lib)
    onSpawn(child)
    return { member, child }
  })
  const until = Date.now() + START_MS[o.mode]
  for (;;) {
    const gone = running.find(({ child }) => child.exitCode !== null) ?? (Date.now() > until ? running[0] : undefined)
    if (gone) {
      for (const { child } of running) child.kill('SIGKILL')
      const said = readFileSync(join(gone.member.dir, 'out.log'), 'utf8').slice(-2000)
      throw new Error(`the Java server did not start:\n${said}`)
    }
    const serving = o.mode === 'raft' ? await leader(all) : (await listens(all[0]!.port)) ? all[0]!.port : null
    if (serving !== null) return { host: HOST, port: serving }
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** The port of the raft group's leader, as soon as all members listen and agree on one. */
async function leader(all: readonly Member[]): Promise<number | null> {
  const listening = await Promise.all(all.map(({ port }) => listens(port)))
  if (listening.includes(false)) return null
  const named = await Promise.all(all.map(({ httpPort }) => leaderAt(httpPort)))
  return named.every((port) => port === named[0]) ? named[0]! : null
}

async function leaderAt(httpPort: number): Promise<number | null> {
  try {
    const url = `http://${HOST}:${httpPort}/metadata/v1/cluster?group=default`
    const answer = await fetch(url, { signal: AbortSignal.timeout(1_000) })
    const { nodes } = (await answer.json()) as { nodes?: { role: string; transaction: { port: number } }[] }
    return nodes?.find(({ role }) => role === 'LEADER')?.transaction.port ?? null
  } catch {
    return null
  }
}
