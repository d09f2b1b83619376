// Seata's discovery over HTTP, for clients with `registry.type: raft`: who takes requests, and a wait for that to change.
// Every gateway serves every transaction, so each names itself the leader: clients are spread, and find another when it is gone.
import type { FastifyInstance, FastifyReply } from 'fastify'
import type { Place } from '../tc-core/wire/link.ts'

/** Java's own time for a watch, ms; its clients give up after 30 s. */
const WATCH_MS = 28_000
/** Watches that may wait at a time; one more is told that nothing changed. */
const MAX_WATCHES = 10_000

export class Metadata {
  #places: readonly Place[] = []
  /** Grows with every change; Unix ms, so that it grows over all gateways and starts. */
  #term = 0
  readonly #watches = new Set<() => void>()

  /** The gateways, this one first. */
  set(places: readonly Place[]): void {
    this.#places = places
    this.#term = Math.max(this.#term + 1, Date.now())
    for (const answer of [...this.#watches]) answer()
  }

  get term(): number {
    return this.#term
  }

  /** Exactly what every client version can read: one unknown property, and Java refuses it all. */
  cluster(group: string): object {
    const nodes = this.#places.map(({ transaction, control }, i) => ({
      control: endpoint(control),
      transaction: endpoint(transaction),
      group: group || 'default',
      role: i === 0 ? 'LEADER' : 'FOLLOWER'
    }))
    return { nodes, storeMode: 'raft', term: this.#term }
  }

  /** Calls `answer` once: with true as soon as the term is above `known`, with false after `ms`. Returns what calls it off. */
  watch(known: number, ms: number, answer: (changed: boolean) => void): () => void {
    if (this.#term > known) {
      answer(true)
      return () => {}
    }
    if (this.#watches.size >= MAX_WATCHES) {
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
    const timer = setTimeout(() => end(false), ms)
    this.#watches.add(changed)
    return off
  }

  /** Lets everybody go who waits. */
  close(): void {
    for (const answer of [...this.#watches]) answer()
  }
}

function endpoint(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':')
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(address.slice(colon + 1)) }
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
  app.get<{ Querystring: { group?: string } }>('/metadata/v1/cluster', (request, reply) =>
    reply.header('cache-control', 'no-store').send(metadata.cluster(request.query.group ?? ''))
  )
  app.post<{ Querystring: Terms; Body: Terms | null }>('/metadata/v1/watch', (request, reply) => {
    const { timeout, ...query } = request.query
    const { timeout: inForm, ...groups } = { ...query, ...(request.body ?? {}) } as Terms
    const known = Math.max(0, ...Object.values(groups).map((term) => Number(term) || 0))
    const ms = Math.min(Math.max(Number(timeout ?? inForm ?? WATCH_MS) || WATCH_MS, 0), WATCH_MS)
    return new Promise<FastifyReply>((resolve) => {
      const off = metadata.watch(known, ms, (changed) => resolve(reply.code(changed ? 200 : 304).send()))
      request.raw.once('close', () => {
        if (request.raw.destroyed && !reply.sent) off()
      })
    })
  })
}
