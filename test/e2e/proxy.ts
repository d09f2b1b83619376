// A TCP proxy that can go dead without a word: what a network does that is cut.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Who is cut off: all, or what these processes dial. What another dials for them passes. */
export type Cut = 'all' | readonly number[]

interface Pair {
  readonly client: Socket
  readonly server: Socket
}

export class TcpProxy {
  readonly #target: { host: string; port: number }
  readonly #server: Server
  readonly #pairs = new Set<Pair>()
  #cut: Cut | null = null

  private constructor(target: string) {
    const url = new URL(`tcp://${target}`)
    this.#target = { host: url.hostname, port: Number(url.port) }
    this.#server = createServer((client) => this.#accept(client))
  }

  /** @param target `host:port` */
  static async start(t: { teardown(then: () => unknown): void }, target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => proxy.close())
    return proxy
  }

  /** Where it listens, `host:port`. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** From now on nothing passes, in either direction, and no connection is closed. */
  cut(what: Cut): void {
    this.#cut = what
    for (const pair of this.#pairs) this.#apply(pair)
  }

  mend(): void {
    this.#cut = null
    for (const pair of this.#pairs) this.#apply(pair)
  }

  #accept(client: Socket): void {
    const server = connect({ ...this.#target, noDelay: true })
    const pair: Pair = { client, server }
    this.#pairs.add(pair)
    client.setNoDelay(true)
    client.on('data', (bytes: Buffer) => void server.write(bytes))
    server.on('data', (bytes: Buffer) => void client.write(bytes))
    const end = () => {
      this.#pairs.delete(pair)
      client.destroy()
      server.destroy()
    }
    for (const socket of [client, server]) {
      socket.on('error', end)
      socket.on('close', end)
    }
    this.#apply(pair)
  }

  #apply({ client, server }: Pair): void {
    const cut = this.#cut
    const isCut = cut === 'all' || cut?.some((pid) => holds(pid, client.remotePort!))
    for (const socket of [client, server]) isCut ? socket.pause() : socket.resume()
  }

  close(): void {
    this.#server.close()
    for (const { client, server } of this.#pairs) {
      client.destroy()
      server.destroy()
    }
  }
}

/** Whether a process of this machine holds the connection that it dialled from this port. */
function holds(pid: number, port: number): boolean {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const rows = readFileSync('/proc/net/tcp', 'utf8')
    .split('\n')
    .map((row) => row.trim().split(/\s+/))
  const inode = rows.find(([, local]) => local?.endsWith(`:${hex}`))?.[9]
  const target = (fd: string) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`)
    } catch {
      // It was closed meanwhile.
      return ''
    }
  }
  return readdirSync(`/proc/${pid}/fd`).some((fd) => target(fd) === `socket:[${inode}]`)
}
