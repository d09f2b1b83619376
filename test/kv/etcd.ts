// An etcd cluster of three members on loopback, for one test file: its members can be killed, frozen, and started again.
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../interop/processes.ts'

const START_MS = 30_000
const POLL_MS = 50
const ASK_MS = 500

interface Member {
  readonly name: string
  readonly clientUrl: string
  readonly peerUrl: string
  /** Null while it does not run. */
  child: ChildProcess | null
}

/** The path of etcd; throws words that say what to install. */
export function findEtcd(): string {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(directory, 'etcd')
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {}
  }
  throw new Error('there is no etcd on this machine: install it (Debian: apt-get install etcd-server)')
}

export class EtcdServers {
  readonly #binary = findEtcd()
  readonly #folder = mkdtempSync(join(tmpdir(), 'seata-etcd-'))
  readonly #members: readonly Member[]

  private constructor(ports: readonly number[]) {
    this.#members = Array.from({ length: ports.length / 2 }, (_, i) => ({
      name: `m${i}`,
      clientUrl: `http://127.0.0.1:${ports[i * 2]}`,
      peerUrl: `http://127.0.0.1:${ports[i * 2 + 1]}`,
      child: null
    }))
  }

  /** Resolves when all members serve under one leader. */
  static async start(size = 3): Promise<EtcdServers> {
    const ports: number[] = []
    while (ports.length < size * 2) {
      const port = await freePort()
      if (!ports.includes(port)) ports.push(port)
    }
    const servers = new EtcdServers(ports)
    try {
      for (const member of servers.#members) servers.#launch(member)
      await servers.leader(size)
    } catch (error) {
      await servers.stop()
      throw error
    }
    return servers
  }

  /** HOST:PORT of each member, with commas between. */
  get hosts(): string {
    return this.#members.map(({ clientUrl }) => new URL(clientUrl).host).join(',')
  }

  get url(): string {
    return `etcd://${this.hosts}`
  }

  /** Of the members that run. */
  get pids(): number[] {
    return this.#members.flatMap(({ child }) => child?.pid ?? [])
  }

  #launch(member: Member): void {
    const cluster = this.#members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join(',')
    const log = openSync(join(this.#folder, `${member.name}.log`), 'a')
    const args = {
      name: member.name,
      'data-dir': join(this.#folder, member.name),
      'listen-client-urls': member.clientUrl,
      'advertise-client-urls': member.clientUrl,
      'listen-peer-urls': member.peerUrl,
      'initial-advertise-peer-urls': member.peerUrl,
      'initial-cluster': cluster,
      logger: 'zap',
      'log-level': 'warn'
    }
    const list = Object.entries(args).map(([key, value]) => `--${key}=${value}`)
    const child = spawn(this.#binary, list, { stdio: ['ignore', log, log] })
    closeSync(log)
    child.once('close', () => {
      if (member.child === child) member.child = null
    })
    member.child = child
  }

  /** The member that at least `agreeing` members (most of them, if not said) take for their leader; waits until there is one. */
  async leader(agreeing = Math.floor(this.#members.length / 2) + 1): Promise<number> {
    for (const until = performance.now() + START_MS; ; ) {
      const states = await Promise.all(this.#members.map((member) => this.#state(member)))
      const votes = new Map<string, number>()
      for (const state of states) if (state) votes.set(state.leader, (votes.get(state.leader) ?? 0) + 1)
      const found = states.findIndex((state) => state && (votes.get(state.id) ?? 0) >= agreeing)
      if (found >= 0) return found
      if (performance.now() > until) throw new Error(`etcd has no leader\n${this.#logs()}`)
      await sleep(POLL_MS)
    }
  }

  async #state(member: Member): Promise<{ id: string; leader: string } | null> {
    try {
      const answer = (await this.ask(member, '/v3/maintenance/status', {})) as {
        header: { member_id: string }
        leader?: string
      }
      return { id: answer.header.member_id, leader: answer.leader ?? '' }
    } catch {
      return null
    }
  }

  /** Asks over etcd's HTTP gateway. */
  async ask(member: Member | number, path: string, body: object, headers: Record<string, string> = {}) {
    const { clientUrl } = typeof member === 'number' ? this.#members[member]! : member
    const signal = AbortSignal.timeout(ASK_MS)
    const response = await fetch(clientUrl + path, { method: 'POST', body: JSON.stringify(body), headers, signal })
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`)
    return (await response.json()) as unknown
  }

  async kill(i: number): Promise<void> {
    const { child } = this.#members[i]!
    if (!child) return
    const closed = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await closed
  }

  restart(i: number): void {
    const member = this.#members[i]!
    if (!member.child) this.#launch(member)
  }

  pause(i: number): void {
    this.#members[i]!.child!.kill('SIGSTOP')
  }

  resume(i: number): void {
    this.#members[i]!.child!.kill('SIGCONT')
  }

  #logs(): string {
    const last = (name: string) =>
      readFileSync(join(this.#folder, `${name}.log`), 'utf8')
        .split('\n')
        .slice(-10)
    return this.#members.map(({ name }) => `${name}:\n${last(name).join('\n')}`).join('\n')
  }

  async stop(): Promise<void> {
    await Promise.all(this.#members.map((_, i) => this.kill(i)))
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
