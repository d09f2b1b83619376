// The HTTP side: health for load balancers and people, and the way to the HTTP sides of nodes.
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** What the health routes tell. */
export interface HealthSource {
  /** Why something is wrong, in words; empty when all is well. */
  troubles(): string[]
  /** Everything about the process's state, for people and tools. */
  detail(): object
}

/** `GET /health`: 200 and `"ok"` as Seata's server says it, or 503 and the reasons. `GET /health/detail`: the state in figures. */
export function healthRoutes(app: FastifyInstance, source: HealthSource): void {
  app.get('/health', (_request, reply) => {
    const reasons = source.troubles()
    reply.header('cache-control', 'no-store').type('application/json')
    if (reasons.length === 0) return reply.send('"ok"')
    return reply.code(503).send(JSON.stringify({ status: 'not_ok', reasons }))
  })
  app.get('/health/detail', (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return reply.code(source.troubles().length === 0 ? 200 : 503).send(source.detail())
  })
}

/** How long a node may take to answer, ms. */
const NODE_MS = 2_000

/** `/nodes/<name>/…`: what that node's HTTP side answers to `/…`. */
export function nodeRoutes(app: FastifyInstance, httpOf: (node: string) => string | undefined): void {
  const nodeOf = (request: FastifyRequest) => (request.params as { node: string }).node
  app.register(httpProxy, {
    upstream: '',
    prefix: '/nodes/:node',
    rewritePrefix: '/',
    undici: { connect: { timeout: NODE_MS }, headersTimeout: NODE_MS, bodyTimeout: NODE_MS },
    replyOptions: {
      getUpstream: (request) => `http://${httpOf(nodeOf(request as FastifyRequest))}`,
      onError: (reply, { error }) => {
        const status = (error as { statusCode?: number }).statusCode === 504 ? 504 : 502
        reply.code(status).send({ error: `node ${nodeOf((reply as FastifyReply).request)} does not answer` })
      }
    },
    preHandler: async (request: FastifyRequest, reply: FastifyReply) => {
      const node = nodeOf(request)
      if (httpOf(node) === undefined) return reply.code(404).send({ error: `there is no node ${node} in the cluster` })
      return undefined
    }
  })
}
