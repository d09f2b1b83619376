// A whole cluster on this machine: three members of etcd, three nodes, two gateways. Ctrl-C stops all of it, in order.
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

const USAGE = `run.ts [--data DIR] [--shift N]
  --data DIR   keep data and logs there; otherwise they are in a temporary folder that is deleted at the end
  --shift N    add N to every port
`
const COMMAND = resolve(import.meta.dirname, '../../plugin/cli.ts')
const START_MS = 60_000
const STOP_MS = 15_000
const RESTART_MS = 5_000
const POLL_MS = 50

const { values } = parseArgs({
  options: { data: { type: 'string' }, shift: { type: 'string', default: '0' }, help: { type: 'boolean' } }
})
const folder = values.data === undefined ? mkdtempSync(join(tmpdir(), 'seata-cluster-')) : resolve(values.data)
const at = (port: number) => `127.0.0.1:${port + Number(values.shift)}`
const portAt = (port: number) => at(port).split(':')[1]!

/** One program, in a process group of its own: Ctrl-C in the terminal reaches only this script, which knows the order. */
class Program {
  readonly name: string
  readonly #command: string
  readonly #args: readonly string[]
  readonly #log: string
  #child: ChildProcess | null = null
  #ready = false

  constructor(name: string, command: string, args: readonly string[]) {
    this.name = name
    this.#command = command
    this.#args = args
    this.#log = join(folder, `${name}.log`)
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  start(): void {
    const log = openSync(this.#log, this.#ready ? 'a' : 'w')
    const child = spawn(this.#command, this.#args, { detached: true, stdio: ['ignore', log, log] })
    closeSync(log)
    this.#child = child
    const ended = (why: unknown) => {
      if (this.#child !== child) return
      this.#child = null
      if (stopping) return
      if (!this.#ready) return fail(`${this.name} ended with ${why}, see ${this.#log}`)
      console.log(`${this.name} ended with ${why}; it is started again in ${RESTART_MS / 1000} s`)
      setTimeout(() => {
        if (stopping) return
        this.start()
        console.log(`${this.name} is started again, pid ${this.pid}`)
      }, RESTART_MS)
    }
    child.once('error', (error) => ended(error.message))
    child.once('exit', (code, signal) => ended(signal ?? code))
  }

  /** Resolves with what `look` finds, when it finds something. */
  async ready<T>(look: (log: string) => T | null | Promise<T | null>): Promise<T> {
    for (const until = performance.now() + START_MS; !stopping; await sleep(POLL_MS)) {
      const found = await look(readFileSync(this.#log, 'utf8'))
      if (found !== null) {
        this.#ready = true
        return found
      }
      if (performance.now() > until) fail(`${this.name} is not ready after ${START_MS / 1000} s, see ${this.#log}`)
    }
    return new Promise(() => {})
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (!child) return
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGTERM')
    await ended
    clearTimeout(late)
  }

  kill(): void {
    this.#child?.kill('SIGKILL')
  }
}

const members = [1, 2, 3].map((i) => ({ name: `etcd${i}`, client: at(2377 + 2 * i), peer: at(2378 + 2 * i) }))
const etcd = members.map(({ name, client, peer }) => {
  const args = {
    name,
    'data-dir': join(folder, name),
    'listen-client-urls': `http://${client}`,
    'advertise-client-urls': `http://${client}`,
    'listen-peer-urls': `http://${peer}`,
    'initial-advertise-peer-urls': `http://${peer}`,
    'initial-cluster': members.map((member) => `${member.name}=http://${member.peer}`).join(','),
    // Without these two the database fills up: see docs/kv.md.
    'auto-compaction-mode': 'periodic',
    'auto-compaction-retention': '5m',
    'quota-backend-bytes': String(8 * 1024 ** 3),
    logger: 'zap',
    'log-level': 'warn'
  }
  return new Program(
    name,
    'etcd',
    Object.entries(args).map(([key, value]) => `--${key}=${value}`)
  )
})
const kv = `etcd://${members.map(({ client }) => client).join(',')}`

const nodes = [1, 2, 3].map((i) => {
  const args = ['node', '--name', `n${i}`, '--kv', kv, '--link', at(9090 + i), '--http-port', portAt(7190 + i)]
  return new Program(`n${i}`, process.execPath, [COMMAND, ...args])
})
const links = [1, 2, 3].map((i) => at(9090 + i)).join(',')
const gateways = [1, 2].map((i) => {
  const args = ['gateway', '--nodes', links, '--port', portAt(8090 + i), '--http-port', portAt(7090 + i)]
  return new Program(`g${i}`, process.execPath, [COMMAND, ...args])
})

let stopping = false

async function stop(code: number): Promise<void> {
  if (stopping) {
    for (const program of [...gateways, ...nodes, ...etcd]) program.kill()
    process.exit(1)
  }
  stopping = true
  // Gateways first: they finish what is in flight. Nodes and members one after the other: each hands on what it leads.
  await Promise.all(gateways.map((gateway) => gateway.stop()))
  for (const program of [...nodes, ...etcd]) await program.stop()
  if (values.data === undefined) rmSync(folder, { recursive: true, force: true })
  console.log('all stopped')
  process.exit(code)
}

function fail(why: string): void {
  console.error(why)
  void stop(1)
}

const isHealthy = (address: string, answer: RegExp) =>
  fetch(`http://${address}/health`)
    .then(async (response) => (response.ok && answer.test(await response.text()) ? true : null))
    .catch(() => null)

async function main(): Promise<void> {
  if (values.help) return void process.stdout.write(USAGE)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(0))
  mkdirSync(folder, { recursive: true })
  for (const member of etcd) member.start()
  for (const [i, member] of etcd.entries()) {
    await member.ready(() => isHealthy(members[i]!.client, /"true"/))
    console.log(`${member.name}  pid ${member.pid}  clients on ${members[i]!.client}`)
  }
  for (const program of [...nodes, ...gateways]) program.start()
  for (const program of [...nodes, ...gateways]) {
    const line = await program.ready((log) => /^fastify-seata \S+: (.*), (?:store|nodes) /m.exec(log)?.[1] ?? null)
    console.log(`${program.name}     pid ${program.pid}  ${line}`)
  }
  for (const [i, gateway] of gateways.entries()) await gateway.ready(() => isHealthy(at(7091 + i), /ok/))
  console.log(`data and logs in ${folder}`)
  console.log('ready; Ctrl-C stops all')
}

await main()
