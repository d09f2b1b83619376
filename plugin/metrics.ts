// `GET /metrics`: the figures of this process in Prometheus' form. prom-client writes them, and watches Node's event loop, memory and GC.
import type { FastifyInstance } from 'fastify'
import { collectDefaultMetrics, type Metric, Registry } from 'prom-client'
import type { Family } from '../tc-core/wire/figures.ts'

/** A family in the shape in which prom-client asks its own metrics. */
function metricOf({ name, help, type, samples }: Family) {
  const values = () => samples().map(({ labels, value, suffix = '' }) => ({ labels, value, metricName: name + suffix }))
  return {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values: values() })
  }
}

export function metricsRoutes(app: FastifyInstance, families: readonly Family[]): void {
  const registry = new Registry()
  for (const family of families) registry.registerMetric(metricOf(family) as unknown as Metric)
  collectDefaultMetrics({ register: registry })
  app.get('/metrics', async (_request, reply) => {
    reply.header('cache-control', 'no-store').type(registry.contentType)
    return registry.metrics()
  })
}
