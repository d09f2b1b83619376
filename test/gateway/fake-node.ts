// Nodes as a gateway sees them, by hand: they say what the test tells them to, and show every frame that comes. And a gateway to them.
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { Gateway } from '../../gateway/gateway.ts'
import { Links, type LinksOptions } from '../../gateway/links.ts'
import { Reader, Writer } from '../../tc-core/wire/bytes.ts'
import { DEFAULT_LIMITS, type Limits } from '../../tc-core/wire/limits.ts'
import { LinkConnection } from '../../tc-core/wire/link-connection.ts'
import * as f from '../../tc-core/wire/link-frames.ts'
import type { MessageOf } from '../../tc-core/wire/message.ts'
import { readBody, writeBody } from '../../tc-core/wire/messages/index.ts'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import { RawClient } from '../client/raw.ts'
import { freePort } from '../e2e/ports.ts'
import { type Logged, type Message, recordingLog } from '../host/harness.ts'

const DIALECT = { version: 1, shortMsg: false } as const

export interface FakeRequest extends MessageOf<typeof f.Request> {
  readonly message: Message
}

export class FakeNode {
  readonly name: string
  /** Of the links that are up, and of those that were. */
  readonly links: LinkConnection[] = []
  readonly requests: FakeRequest[] = []
  /** Everything else that came since the last link came up. */
  frames: f.LinkFrame[] = []
  hello: Partial<MessageOf<typeof f.Hello>> = {}
  leading: readonly f.FragmentMark[] = []
  /** What becomes of a request; by default nothing. */
  on: (request: FakeRequest) => void = () => {}
  /** Hellos that came. */
  came = 0
  readonly #cluster: FakeCluster
  #server!: Server
  #port = 0

  constructor(name: string, cluster: FakeCluster) {
    this.name = name
    this.#cluster = cluster
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`
  }

  /** Where it was before, when it was there before. */
  async listen(): Promise<void> {
    this.#server = createServer({ noDelay: true }, (socket) => {
      const link: LinkConnection = new LinkConnection(socket, systemRuntime, {
        frame: (frame) => this.#frame(link, frame),
        closed: () => void this.links.splice(this.links.indexOf(link), 1)
      })
      this.links.push(link)
      link.send({
        ...{
          type: f.Hello.code,
          protocol: f.LINK_PROTOCOL,
          role: f.LinkRole.Node,
          cluster: 'test',
          writer: 1n,
          challenge: Buffer.alloc(0)
        },
        ...{ name: this.name, ...this.hello }
      })
    })
    this.#port ||= await freePort()
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  #frame(link: LinkConnection, frame: f.LinkFrame): void {
    if (frame.type === f.Hello.code) {
      this.came++
      this.frames = []
      link.send(this.#cluster.view)
      link.send({ type: f.Leads.code, list: this.leading })
    } else if (frame.type === f.Request.code) {
      const body = Buffer.from(frame.body)
      const request = { ...frame, body, message: readBody(new Reader(body), DIALECT) as unknown as Message }
      this.requests.push(request)
      this.on(request)
    } else this.frames.push(frame)
  }

  /** Frames of one kind that came over the link that is up. */
  all<C extends f.LinkFrame['type']>(type: C): Extract<f.LinkFrame, { type: C }>[] {
    return this.frames.filter((frame) => frame.type === type) as Extract<f.LinkFrame, { type: C }>[]
  }

  send(frame: f.LinkFrame): void {
    for (const link of this.links) link.send(frame)
  }

  /** Leads these fragments from now on, each in its term. */
  lead(terms: Readonly<Record<number, number>>): void {
    this.leading = Object.entries(terms).map(([fragment, mark]) => ({ fragment: Number(fragment), mark }))
    this.send({ type: f.Leads.code, list: this.leading })
  }

  answer(request: FakeRequest, message: Message): void {
    const w = new Writer()
    writeBody(w, message, DIALECT)
    this.send({ type: f.Answer.code, id: request.id, body: w.written })
  }

  /** Answers a begin with what was proposed, anything else with a success. */
  confirm = (request: FakeRequest): void => {
    const { type } = request.message
    const xid = type === 1 ? { xid: request.proposed } : {}
    this.answer(request, { type: type + 1, resultCode: 1, globalStatus: 9, ...xid })
  }

  refuse(request: FakeRequest, reason: number): void {
    this.send({ type: f.Refused.code, id: request.id, reason })
  }

  /** Closes its links. It still listens. */
  drop(): void {
    for (const link of [...this.links]) link.close('dropped by the test')
  }

  close(): void {
    this.#server?.close()
    this.drop()
  }
}

/** Fake nodes that know each other. */
export class FakeCluster {
  readonly nodes: FakeNode[] = []
  /** Who is a member by the word of the nodes; all of them unless told. */
  members: readonly Pick<FakeNode, 'name' | 'address'>[] | null = null
  fragments = 2
  version = 1
  born = 'once'
  readonly #t: { teardown(then: () => void): void }

  constructor(t: { teardown(then: () => void): void }) {
    this.#t = t
  }

  async node(name: string): Promise<FakeNode> {
    const node = new FakeNode(name, this)
    this.#t.teardown(() => node.close())
    await node.listen()
    this.nodes.push(node)
    return node
  }

  get view(): f.LinkFrame {
    const members = (this.members ?? this.nodes).map(({ name, address }) => ({ name, link: address, http: 'x:1' }))
    const json = JSON.stringify({ born: this.born, version: this.version, fragments: this.fragments, members })
    return { type: f.View.code, json }
  }

  /** Everybody says what the cluster looks like now. */
  viewed(): void {
    this.version++
    for (const node of this.nodes) node.send(this.view)
  }
}

/** A gateway that is given the addresses of these nodes. Its log shows reasons as well. */
export async function startGateway(
  t: { teardown(then: () => unknown): void },
  nodes: readonly FakeNode[],
  limits: Partial<Limits> = {},
  more: Partial<LinksOptions> = {}
) {
  const lines: (Logged & { reason?: string })[] = []
  const log = recordingLog(lines)
  const error = (fields: { reason?: string }, text: string) => void lines.push({ level: 'error', text, ...fields })
  const logger = { ...log, lines, error: error as typeof log.error }
  const given = nodes.map(({ address }) => address)
  const links = new Links({ nodes: given, cluster: 'test', name: 'g1', logger, ...more })
  const gateway = new Gateway({
    host: '127.0.0.1',
    drain: 0,
    port: 0,
    strategy: 'consistent-hash',
    nearRows: true,
    limits: { ...DEFAULT_LIMITS, ...limits },
    upstream: links,
    logger,
    undoLogSaveDays: 7,
    undoLogDeletePeriod: 1e9
  })
  const { port } = await gateway.listen()
  links.start()
  t.teardown(async () => {
    await gateway.stop(0)
    links.close()
  })
  const client = async () => {
    const c = await RawClient.connect(port)
    t.teardown(() => c.destroy())
    return c
  }
  return { links, gateway, logger, client }
}
