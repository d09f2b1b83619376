// A stand-in for a Redis-compatible Raft store: some nodes, one leader, the few commands that all of them have, and their traps on demand.
import { createServer, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

/** A command as a node got it. */
export interface Seen {
  readonly node: number
  /** Counts up over all nodes. */
  readonly connection: number
  readonly name: string
  readonly args: readonly Buffer[]
}

/** What a node does with a command instead of the ordinary. */
export interface Fault {
  /** It is carried out all the same, on the data of the whole cluster. */
  readonly apply?: boolean
  /** The raw line that is answered, `-ERR …`, instead of the result; null: nothing, ever. */
  readonly line?: string | null
  /** The connection is closed after that. */
  readonly close?: boolean
}

export interface StandInOptions {
  readonly nodes?: number
  readonly username?: string
  readonly password?: string
  /** Answers CLUSTER SLOTS. */
  readonly slots?: boolean
  readonly tls?: { readonly key: string; readonly cert: string }
}

class NodeOf {
  readonly server: Server
  readonly sockets = new Set<Socket>()
  port = 0
  /** While it is set, the node answers reads from it and believes that it leads. */
  stale: Map<string, Buffer> | null = null

  constructor(server: Server) {
    this.server = server
  }
}

export class StandIn {
  readonly options: StandInOptions
  readonly nodes: NodeOf[] = []
  readonly seen: Seen[] = []
  values = new Map<string, Buffer>()
  /** Null: nobody leads. */
  leader: number | null = 0
  /** What a node that does not lead says. */
  refusal: (node: number) => string = () =>
    this.leader === null ? '-CLUSTERDOWN No raft leader' : `-MOVED 0 ${this.name(this.leader)}`
  /** Asked for every command; what it returns, or resolves with, happens instead of the ordinary. */
  fault: (command: Seen) => Fault | null | undefined | Promise<Fault | null> = () => null
  #connections = 0

  private constructor(options: StandInOptions) {
    this.options = options
  }

  static async start(options: StandInOptions = {}): Promise<StandIn> {
    const cluster = new StandIn(options)
    for (let i = 0; i < (options.nodes ?? 3); i++) {
      const take = (socket: Socket) => cluster.#serve(i, socket)
      cluster.nodes.push(new NodeOf(options.tls ? createTlsServer(options.tls, take) : createServer(take)))
      await cluster.up(i)
    }
    return cluster
  }

  name(node: number): string {
    return `127.0.0.1:${this.nodes[node]!.port}`
  }

  get hosts(): string {
    return this.nodes.map((_, i) => this.name(i)).join(',')
  }

  /** Commands of this name that arrived. */
  count(name: string): number {
    return this.seen.filter((command) => command.name === name).length
  }

  up(node: number): Promise<void> {
    const it = this.nodes[node]!
    return new Promise((resolve) => {
      it.server.listen(it.port, '127.0.0.1', () => {
        it.port = (it.server.address() as { port: number }).port
        resolve()
      })
    })
  }

  down(node: number): Promise<void> {
    const { server, sockets } = this.nodes[node]!
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(() => resolve()))
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((_, i) => this.down(i)))
  }

  /** One command of a connection after the other, however many have arrived. */
  #serve(node: number, socket: Socket): void {
    const connection = ++this.#connections
    const { sockets } = this.nodes[node]!
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    const session = { trusted: this.options.password === undefined }
    let rest = Buffer.alloc(0)
    let turn: Promise<void> = Promise.resolve()
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      for (let cut = cutCommand(rest); cut; cut = cutCommand(rest)) {
        rest = rest.subarray(cut.length)
        const [name, ...args] = cut.parts
        const command = { node, connection, name: name!.toString().toUpperCase(), args }
        turn = turn.then(async () => {
          if (socket.destroyed) return
          this.seen.push(command)
          const fault = await this.fault(command)
          const result = !fault || fault.apply ? this.#answer(command, session, fault?.apply === true) : ''
          const line = fault && 'line' in fault ? fault.line : result
          if (line !== null && line !== undefined && !socket.destroyed) {
            socket.write(Buffer.concat([Buffer.from(line), Buffer.from('\r\n')]))
          }
          if (fault?.close) socket.destroy()
        })
      }
    })
  }

  #answer({ node, name, args }: Seen, session: { trusted: boolean }, whoeverLeads: boolean): string | Buffer {
    const { username, password, slots } = this.options
    const key = args[0]?.toString() ?? ''
    if (name === 'AUTH') {
      if (password === undefined) return '-ERR AUTH called without a password set'
      const right = [...(username === undefined ? [] : [username]), password]
      session.trusted = right.length === args.length && right.every((word, i) => args[i]!.toString() === word)
      return session.trusted ? '+OK' : '-WRONGPASS invalid username-password pair or user is disabled.'
    }
    if (!session.trusted) return '-NOAUTH Authentication required.'
    if (name === 'PING') return '+PONG'
    if (name === 'CLUSTER' && slots) return this.#slots()
    if (!['SETNX', 'SET', 'GET', 'MGET', 'DEL'].includes(name)) return `-unknown command '${name.toLowerCase()}'`
    const { stale } = this.nodes[node]!
    if (node !== this.leader && !stale && !whoeverLeads) return this.refusal(node)
    const values = stale ?? this.values
    if (name === 'GET') return bulk(values.get(key))
    if (name === 'MGET') return list(args.map((arg) => bulk(values.get(arg.toString()))))
    if (name === 'DEL') {
      for (const arg of args) values.delete(arg.toString())
      return `:${args.length}` // and not how many there were
    }
    if (name === 'SETNX' && values.has(key)) return ':0'
    values.set(key, Buffer.from(args[1]!))
    return name === 'SETNX' ? ':1' : '+OK'
  }

  #slots(): Buffer {
    const order = [...this.nodes.keys()].sort((a, b) => Number(b === this.leader) - Number(a === this.leader))
    const nodes = order.map((i) => list([bulk(Buffer.from('127.0.0.1')), `:${this.nodes[i]!.port}`]))
    return list(this.leader === null ? [] : [list([':0', ':16383', ...nodes])])
  }
}

function bulk(value: Buffer | undefined): Buffer {
  if (!value) return Buffer.from('$-1')
  return Buffer.concat([Buffer.from(`$${value.length}\r\n`), value])
}

/** Lines, each without its end, as one line without its end. */
function list(items: readonly (string | Buffer)[]): Buffer {
  const lines = items.flatMap((item) => [Buffer.from('\r\n'), Buffer.from(item)])
  return Buffer.concat([Buffer.from(`*${items.length}`), ...lines])
}

/** The first whole command in `bytes`. */
function cutCommand(bytes: Buffer): { parts: Buffer[]; length: number } | null {
  let at = 0
  const number = () => {
    const end = bytes.indexOf('\r\n', at)
    if (end < 0) return null
    const n = Number(bytes.toString('latin1', at + 1, end))
    at = end + 2
    return n
  }
  const count = number()
  if (count === null) return null
  const parts: Buffer[] = []
  for (let i = 0; i < count; i++) {
    const length = number()
    if (length === null || bytes.length < at + length + 2) return null
    parts.push(bytes.subarray(at, at + length))
    at += length + 2
  }
  return { parts, length: at }
}
