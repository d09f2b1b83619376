// A TCP proxy that can go dead without a word: what a network does that is cut.
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { Hello, LinkRole } from '../../tc-core/wire/link-frames.ts'

/** Who is cut off: all, or only gateways, by what the first frame of their link says. */
export type Cut = 'all' | 'gateways'

interface Pair {
  readonly client: Socket
  readonly server: Socket
  isGateway: boolean
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
    const pair: Pair = { client, server, isGateway: false }
    this.#pairs.add(pair)
    client.setNoDelay(true)
    // u32 length, u8 kind, u8 protocol, u8 role: see link-frames.ts.
    client.once('data', (bytes: Buffer) => {
      pair.isGateway = bytes[4] === Hello.code && bytes[6] === LinkRole.Gateway
      this.#apply(pair)
    })
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

  #apply({ client, server, isGateway }: Pair): void {
    const isCut = this.#cut === 'all' || (this.#cut === 'gateways' && isGateway)
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
