// Where gateways and other nodes dial a node: accepts links, and asks each for its hello before anything else. A gateway that does not reach
// another node may ask to be put through to it.
import type { AddressInfo } from 'node:net'
import { parseAddress } from '../wire/address.ts'
import { LinkConnection } from '../wire/link-connection.ts'
import { Hello, LINK_PROTOCOL, type LinkFrame, LinkRole, Proof, Through } from '../wire/link-frames.ts'
import { LinkKey, WRONG_KEY } from '../wire/link-key.ts'
import type { Log } from '../wire/log.ts'
import type { MessageOf } from '../wire/message.ts'
import type { ByteServer, ByteStream, Runtime } from '../wire/runtime.ts'

/** What becomes of a link after its hello. */
export interface LinkEnd {
  frame(frame: LinkFrame): void
  closed(): void
}

export interface LinkServerOptions {
  readonly cluster: string
  readonly name: string
  readonly writer: bigint
  /** The cluster's key; empty: none is asked for. */
  readonly key: string
  readonly logger: Log
  readonly runtime: Runtime
  gateway(connection: LinkConnection, hello: MessageOf<typeof Hello>): LinkEnd
  node(connection: LinkConnection, hello: MessageOf<typeof Hello>): LinkEnd
  /** Whether a member of the cluster has its link there. */
  isMember(link: string): boolean
}

/** Links that one node takes: every gateway and node has one. */
const MAX_LINKS = 1_000
/** Who has not said who it is after so long is let go, ms. */
const HELLO_MS = 3_000
/** Bytes that wait on one side of a link that is put through before the other is not read any more. */
const MAX_UNSENT_BYTES = 1024 * 1024

export class LinkServer {
  readonly #options: LinkServerOptions
  readonly #server: ByteServer
  readonly #links = new Set<LinkConnection>()
  /** Both sides of links that are put through. */
  readonly #through = new Set<ByteStream>()

  constructor(options: LinkServerOptions) {
    this.#options = options
    this.#server = options.runtime.server((stream) => this.#accept(stream), MAX_LINKS)
  }

  /** Resolves with the address it listens on; rejects when it cannot. */
  listen(host: string, port: number): Promise<AddressInfo> {
    return this.#server.listen(port, host)
  }

  #accept(stream: ByteStream): void {
    const { cluster, name, writer, logger, runtime } = this.#options
    let end: LinkEnd | null = null
    let hello: MessageOf<typeof Hello> | null = null
    const key = new LinkKey(this.#options.key, 'listener')
    const connection: LinkConnection = new LinkConnection(stream, runtime, {
      frame: (frame) => {
        if (end) return end.frame(frame)
        if (hello && frame.type === Proof.code) {
          if (!key.proves(frame.mac)) return connection.close(WRONG_KEY)
          end = this.#met(connection, hello)
          return
        }
        if (!hello && frame.type === Through.code) return this.#putThrough(connection, stream, frame.link)
        if (hello) return connection.close('it does not prove that it knows the cluster key')
        if (frame.type !== Hello.code) return connection.close('the first frame was no hello')
        if (frame.protocol !== LINK_PROTOCOL) return connection.close(`it speaks link protocol ${frame.protocol}`)
        if (frame.cluster !== cluster) return connection.close(`it belongs to cluster ${frame.cluster}`)
        const trouble = key.meet(frame.challenge)
        if (trouble !== null) return connection.close(trouble)
        hello = frame
        if (key.isOpen) end = this.#met(connection, frame)
        else connection.send({ type: Proof.code, mac: key.proof })
      },
      closed: (reason) => {
        late()
        this.#links.delete(connection)
        if (!end) logger.warn({ peer: stream.remoteAddress, reason }, 'a link was closed before it was up')
        end?.closed()
      }
    })
    const late = runtime.timer(HELLO_MS, () => {
      if (!end) connection.close(`no hello within ${HELLO_MS} ms`)
    })
    this.#links.add(connection)
    // Said at once, so that who belongs elsewhere finds out as well.
    const { challenge } = key
    connection.send({
      type: Hello.code,
      protocol: LINK_PROTOCOL,
      role: LinkRole.Node,
      cluster,
      name,
      writer,
      challenge
    })
  }

  #met(connection: LinkConnection, hello: MessageOf<typeof Hello>): LinkEnd {
    return hello.role === LinkRole.Gateway
      ? this.#options.gateway(connection, hello)
      : this.#options.node(connection, hello)
  }

  /** From here on what one side says is told the other, byte by byte. They ask each other who they are. */
  #putThrough(connection: LinkConnection, near: ByteStream, link: string): void {
    const address = this.#options.isMember(link) ? parseAddress(link) : null
    if (!address) return connection.close(`it asks for ${link}, and no member is there`)
    this.#links.delete(connection)
    connection.release((rest) => {
      const far = this.#options.runtime.connect(address)
      far.write(rest)
      this.#join(near, far)
      this.#join(far, near)
    })
  }

  #join(from: ByteStream, to: ByteStream): void {
    this.#through.add(from)
    from.on('data', (chunk) => {
      to.write(chunk)
      if (to.writableLength > MAX_UNSENT_BYTES) from.pause()
    })
    to.on('drain', () => from.resume())
    from.on('error', () => {})
    from.on('close', () => {
      this.#through.delete(from)
      to.destroy()
    })
  }

  close(): void {
    this.#server.close()
    for (const link of this.#links) link.close('this node stops')
    for (const stream of this.#through) stream.destroy()
  }
}
