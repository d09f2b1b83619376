// Where gateways and other nodes dial a node: accepts links, and asks each for its hello before anything else.
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { LinkConnection } from '../wire/link-connection.ts'
import { Hello, LINK_PROTOCOL, type LinkFrame, LinkRole } from '../wire/link-frames.ts'
import type { Log } from '../wire/log.ts'
import type { MessageOf } from '../wire/message.ts'

/** What becomes of a link after its hello. */
export interface LinkEnd {
  frame(frame: LinkFrame): void
  closed(): void
}

export interface LinkServerOptions {
  readonly cluster: string
  readonly name: string
  readonly writer: bigint
  readonly logger: Log
  now(): number
  gateway(connection: LinkConnection, hello: MessageOf<typeof Hello>): LinkEnd
  node(connection: LinkConnection, hello: MessageOf<typeof Hello>): LinkEnd
}

/** Links that one node takes: every gateway and node has one. */
const MAX_LINKS = 1_000

export class LinkServer {
  readonly #options: LinkServerOptions
  readonly #server: Server
  readonly #links = new Set<LinkConnection>()

  constructor(options: LinkServerOptions) {
    this.#options = options
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket))
    this.#server.maxConnections = MAX_LINKS
  }

  /** Resolves with the address it listens on; rejects when it cannot. */
  async listen(host: string, port: number): Promise<AddressInfo> {
    this.#server.listen(port, host)
    await once(this.#server, 'listening')
    return this.#server.address() as AddressInfo
  }

  #accept(socket: Socket): void {
    const { cluster, name, writer, logger, now } = this.#options
    let end: LinkEnd | null = null
    const connection: LinkConnection = new LinkConnection(socket, now, {
      frame: (frame) => {
        if (end) return end.frame(frame)
        if (frame.type !== Hello.code) return connection.close('the first frame was no hello')
        if (frame.protocol !== LINK_PROTOCOL) return connection.close(`it speaks link protocol ${frame.protocol}`)
        if (frame.cluster !== cluster) return connection.close(`it belongs to cluster ${frame.cluster}`)
        end =
          frame.role === LinkRole.Gateway
            ? this.#options.gateway(connection, frame)
            : this.#options.node(connection, frame)
      },
      closed: (reason) => {
        this.#links.delete(connection)
        if (!end) logger.warn({ peer: socket.remoteAddress, reason }, 'a link was closed before its hello')
        end?.closed()
      }
    })
    this.#links.add(connection)
    // Said at once, so that who belongs elsewhere finds out as well.
    connection.send({ type: Hello.code, protocol: LINK_PROTOCOL, role: LinkRole.Node, cluster, name, writer })
  }

  close(): void {
    this.#server.close()
    for (const link of this.#links) link.close('this node stops')
  }
}
