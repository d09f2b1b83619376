// Health over HTTP, for load balancers and people.
import type { FastifyInstance } from 'fastify'

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
