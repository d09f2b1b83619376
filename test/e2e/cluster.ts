// A cluster of real processes on one machine: nodes over one store, gateways in front of them.

import { eventually } from '../host/harness.ts'
import { freePort } from './ports.ts'
import { ServerProcess as Process, type ServerProcess, temporaryDirectory } from './servers.ts'

/** How long a node may take to say how it is. */
const ANSWER_MS = 10_000

type Context = { teardown(then: () => unknown): void }

export interface FragmentState {
  readonly fragment: number
  readonly role: string
  readonly term: number
  readonly index: number
  readonly trouble: string | null
  readonly transactions: number
  readonly locks: number
}

export class NodeProcess {
  readonly name: string
  readonly process: ServerProcess
  link = ''
  httpPort = 0

  constructor(name: string, process: ServerProcess) {
    this.name = name
    this.process = process
  }

  /** Resolves when it has joined. */
  async ready(): Promise<void> {
    const [, link, http] = await this.process.line(/node, links on (\S+), HTTP on \S+:(\d+)/)
    this.link = link!
    this.httpPort = Number(http)
  }

  async fragments(): Promise<FragmentState[]> {
    const signal = AbortSignal.timeout(ANSWER_MS)
    const response = await fetch(`http://127.0.0.1:${this.httpPort}/health/detail`, { signal })
    return ((await response.json()) as { fragments: FragmentState[] }).fragments
  }
}

export class Cluster {
  readonly nodes = new Map<string, NodeProcess>()
  readonly #t: Context
  readonly #kv: string
  readonly #args: readonly string[]
  readonly #env: NodeJS.ProcessEnv

  constructor(
    t: Context,
    kv = `sqlite:${temporaryDirectory(t)}`,
    args: readonly string[] = [],
    env: NodeJS.ProcessEnv = {}
  ) {
    this.#t = t
    this.#kv = kv
    this.#args = args
    this.#env = env
  }

  /** Starts a node; with a `link` at the place of one that was there before. `kv`: its own way to the store. */
  async node(
    name: string,
    link?: string,
    more: { readonly kv?: string; readonly args?: readonly string[] } = {}
  ): Promise<NodeProcess> {
    link ??= `127.0.0.1:${await freePort()}`
    const { kv = this.#kv } = more
    const args = [
      'node',
      '--name',
      name,
      '--kv',
      kv,
      ...(more.args ?? []),
      '--link',
      link,
      '--http-port',
      '0',
      '--log-level',
      'info'
    ]
    const node = new NodeProcess(name, new Process(this.#t, [...args, ...this.#args], this.#env))
    this.nodes.set(name, node)
    await node.ready()
    return node
  }

  async gateway(port = 0): Promise<{ process: ServerProcess; port: number; httpPort: number }> {
    const nodes = [...this.nodes.values()].map(({ link }) => link).join(',')
    const args = ['gateway', '--nodes', nodes, '--port', String(port), '--http-port', '0', '--log-level', 'info']
    const process = new Process(this.#t, args, this.#env)
    return { process, ...(await process.ready()) }
  }

  /** The name of the node that leads each fragment, as the nodes say. */
  async leaders(): Promise<Map<number, string>> {
    const leaders = new Map<number, { name: string; term: number }>()
    for (const node of this.nodes.values()) {
      if (node.process.child.exitCode !== null || node.process.child.signalCode !== null) continue
      for (const { fragment, role, term } of await node.fragments().catch(() => [])) {
        if (role === 'leader' && term > (leaders.get(fragment)?.term ?? -1))
          leaders.set(fragment, { name: node.name, term })
      }
    }
    return new Map([...leaders].map(([fragment, { name }]) => [fragment, name]))
  }

  /** Resolves when every fragment is led and every node leads its share. */
  async settled(fragments = 8): Promise<void> {
    const share = Math.floor(fragments / this.nodes.size)
    await eventually(
      async () => {
        const leaders = [...(await this.leaders()).values()]
        const counts = [...this.nodes.keys()].map((name) => leaders.filter((leader) => leader === name).length)
        return leaders.length === fragments && counts.every((count) => count >= share)
      },
      'every node leading its share',
      20_000
    )
  }
}
