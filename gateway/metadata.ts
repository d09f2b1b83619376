// Seata's discovery over HTTP, for clients with `registry.type: raft`: who takes requests, and a wait for that to change.
// Every gateway serves every transaction, so each client has a leader of its own: all gateways name it the same one of them, and clients
// are spread.
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyReply } from 'fastify'
import { type Address, parseAddress } from '../tc-core/wire/address.ts'
import type { Place } from '../tc-core/wire/link.ts'

/** Java's own time for a watch, ms; its clients give up after 30 s. */
const WATCH_MS = 28_000
/** Watches that may wait their time; as many more wait a second, for Java's client asks again at once, and one more not at all. */
const MAX_WATCHES = 10_000
const FULL_MS = 1_000

export class Metadata {
  #places: readonly Place[] = []
  #learners = 0
  /** Grows with every change; Unix ms, so that it grows over all gateways and starts. */
  #term = 0
  readonly #watches = new Set<() => void>()
  readonly #maxWatches: number
  #closed = false

  constructor(maxWatches = MAX_WATCHES) {
    this.#maxWatches = maxWatches
  }

  /** The gateways, in any order, and how many nodes are learners. */
  set(places: readonly Place[], learners = 0): void {
    this.#places = [...places].sort((a, b) => (a.name < b.name ? -1 : 1))
    this.#learners = learners
    this.#term = Math.max(this.#term + 1, Date.now())
    for (const answer of [...this.#watches]) answer()
  }

  get term(): number {
    return this.#term
  }

  /** How many wait. */
  get watches(): number {
    return this.#watches.size
  }

  /** Whether there is anybody to name. */
  get open(): boolean {
    return this.#places.length > 0
  }

  /**
   * Exactly what every client version can read: one unknown property, and Java refuses it all. Learners take no clients: each is shown
   * where the client's leader is.
   * @param client the address of who asks
   */
  cluster(group: string, client: string): object {
    const leader = leaderFor(client, this.#places)!
    const node = ({ transaction, control }: Place, role: string) => ({
      control: endpoint(control),
      transaction: endpoint(transaction),
      group: group || 'default',
      role
    })
    const nodes = this.#places.map((place) => node(place, place === leader ? 'LEADER' : 'FOLLOWER'))
    const learners = Array.from({ length: this.#learners }, () => node(leader, 'LEARNER'))
    return { nodes: [...nodes, ...learners], storeMode: 'raft', term: this.#term }
  }

  /** Calls `answer` once: with true as soon as the term is above `known`, with false after `ms`. Returns what calls it off. */
  watch(known: number, ms: number, answer: (changed: boolean) => void): () => void {
    if (this.#term > known || this.#closed) {
      answer(true)
      return () => {}
    }
    const { size } = this.#watches
    if (size >= 2 * this.#maxWatches) {
      answer(false)
      return () => {}
    }
    const off = () => {
      clearTimeout(timer)
      this.#watches.delete(changed)
    }
    const end = (outcome: boolean) => {
      off()
      answer(outcome)
    }
    const changed = () => end(true)
    const timer = setTimeout(() => end(false), size < this.#maxWatches ? ms : Math.min(ms, FULL_MS))
    this.#watches.add(changed)
    return off
  }

  /** Lets everybody go who waits, to ask another gateway. */
  close(): void {
    this.#closed = true
    for (const answer of [...this.#watches]) answer()
  }
}

/** Rendezvous hashing: whichever gateway is asked, the same for the same client, and only the clients of one that is gone change. */
function leaderFor(client: string, places: readonly Place[]): Place | undefined {
  const score = ({ name }: Place) => createHash('md5').update(`${client} ${name}`).digest('hex')
  const scored = places.map((place) => ({ place, score: score(place) }))
  return scored.sort((a, b) => (a.score < b.score ? 1 : -1))[0]?.place
}

function endpoint(address: string): Address {
  return parseAddress(address) ?? { host: address, port: 0 }
}

/** The same for an IPv4 client at every gateway, whether that listens on IPv6 or not. */
function clientOf(ip: string): string {
  return ip.replace(/^::ffff:/, '')
}

type Terms = Readonly<Record<string, string | undefined>>

/** `GET /metadata/v1/cluster?group=` and `POST /metadata/v1/watch` with `<group>=<term>` in a form. */
export function metadataRoutes(app: FastifyInstance, metadata: Metadata): void {
  const form = 'application/x-www-form-urlencoded'
  if (!app.hasContentTypeParser(form)) {
    app.addContentTypeParser(form, { parseAs: 'string' }, (_request, body, done) =>
      done(null, Object.fromEntries(new URLSearchParams(body as string)))
    )
  }
  app.get<{ Querystring: { group?: string } }>('/metadata/v1/cluster', (request, reply) => {
    reply.header('cache-control', 'no-store')
    // Java clients up to 2.4 break at an empty list.
    if (!metadata.open) return reply.code(503).send({ error: 'this gateway is not open yet' })
    return reply.send(metadata.cluster(String(request.query.group ?? ''), clientOf(request.ip)))
  })
  app.post<{ Querystring: Terms; Body: Terms | null }>('/metadata/v1/watch', (request, reply) => {
    const { timeout, ...groups } = { ...request.query, ...(request.body ?? {}) } as Terms
    // All groups are in the same gateways: the oldest term tells.
    const terms = Object.values(groups).map((term) => Number(term) || 0)
    const known = terms.length === 0 ? 0 : Math.min(...terms)
    return new Promise<FastifyReply>((resolve) => {
      const off = metadata.watch(known, waitOf(timeout), (changed) => resolve(reply.code(changed ? 200 : 304).send()))
      // Of the reply: the request is closed as soon as its body is read.
      reply.raw.once('close', off)
    })
  })
}

function waitOf(timeout: string | undefined): number {
  const ms = Number(timeout || WATCH_MS)
  return Number.isNaN(ms) ? WATCH_MS : Math.min(Math.max(ms, 0), WATCH_MS)
}
