// `GET /metrics`: the figures of this process in Prometheus' form, or in that of OpenMetrics, which has exemplars, for whoever asks for it.
// prom-client writes them, and watches Node's event loop, memory and GC.
import type { FastifyInstance } from 'fastify'
import { collectDefaultMetrics, type OpenMetricsContentType, Registry } from 'prom-client'
import type { Family, Sample } from '../tc-core/wire/figures.ts'

const OPEN_METRICS = 'application/openmetrics-text'

/** A family in the shape in which prom-client asks its own metrics. */
function metricOf({ name, help, type, samples }: Family): Metric {
  const values = () => samples().map(({ suffix = '', ...sample }) => ({ ...sample, metricName: name + suffix }))
  return {
    name,
    help,
    type,
    aggregator: 'sum',
    get: async () => ({ name, help, type, aggregator: 'sum', values: values() })
  }
}

/** What the library asks a metric for; its types call these types by number. */
interface Metric {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly aggregator: string
  get(): Promise<{ readonly values: readonly Omit<Sample, 'suffix'>[] }>
}

/** The same metric as OpenMetrics names it: a counter without `_total`, which is only in its samples. */
function openMetricOf(metric: Metric): Metric {
  const { help, type, aggregator } = metric
  if (type !== 'counter') return metric
  const name = metric.name.replace(/_total$/, '')
  const get = async () => {
    const values = (await metric.get()).values.map(({ labels, value }) => ({ labels, value }))
    return { name, help, type, aggregator, values }
  }
  return { name, help, type, aggregator, get }
}

export function metricsRoutes(app: FastifyInstance, families: readonly Family[]): void {
  const registry = new Registry()
  for (const family of families) registry.registerMetric(metricOf(family) as never)
  collectDefaultMetrics({ register: registry })
  const open = new Registry<OpenMetricsContentType>()
  open.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  for (const metric of registry.getMetricsAsArray())
    open.registerMetric(openMetricOf(metric as unknown as Metric) as never)
  app.get('/metrics', async (request, reply) => {
    const chosen = request.headers.accept?.includes(OPEN_METRICS) ? open : registry
    reply.header('cache-control', 'no-store').type(chosen.contentType)
    return chosen.metrics()
  })
}
