// The way to the HTTP sides of nodes.
import httpProxy from '@fastify/http-proxy'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

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
