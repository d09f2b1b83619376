// Tracing put together: the SDK that the commands turn on by OpenTelemetry's own variables, and joining whatever SDK the process has.
import { DiagLogLevel, diag, isSpanContextValid, ROOT_CONTEXT, trace } from '@opentelemetry/api'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import { type Log, RateLimited } from '../tc-core/wire/log.ts'
import { KEEPS, type Keep, NO_TRACING, Tracing } from '../tc-core/wire/tracing.ts'
import type { Config } from './config.ts'
import type { Command } from './options.ts'
import { transactionIds } from './trace-ids.ts'

type Env = Readonly<Record<string, string | undefined>>

/** Spans that wait for their export, at most, and how long, ms: OpenTelemetry's own are 2048 and 5000. */
const QUEUE = 16_384
const BATCH = 1_024
const DELAY_MS = 1_000
const EXPORT_MS = 30_000
const DIAG_MS = 10_000

/** The package with an exporter of each protocol. */
const EXPORTERS: Readonly<Record<string, () => Promise<{ OTLPTraceExporter: new () => SpanExporter }>>> = {
  grpc: () => import('@opentelemetry/exporter-trace-otlp-grpc'),
  'http/protobuf': () => import('@opentelemetry/exporter-trace-otlp-proto'),
  'http/json': () => import('@opentelemetry/exporter-trace-otlp-http')
}

/** Whether OpenTelemetry's variables ask for traces: an endpoint, or an exporter by name. */
function isAsked(env: Env): boolean {
  const exporter = env.OTEL_TRACES_EXPORTER ?? ''
  if (env.OTEL_SDK_DISABLED?.toLowerCase() === 'true' || exporter === 'none') return false
  return exporter === 'otlp' || !!(env.OTEL_EXPORTER_OTLP_ENDPOINT || env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT)
}

/**
 * The SDK of a command, when the variables ask for one; resolves with what sends the last spans and ends it. Its packages are loaded only
 * then. What the exporters read of the variables themselves: endpoint, headers, timeout, compression, certificates.
 */
export async function startSdk(
  env: Env,
  command: Command,
  name: string,
  version: string,
  logger: Log
): Promise<() => Promise<void>> {
  if (!isAsked(env)) return async () => {}
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? env.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf'
  const load = EXPORTERS[protocol]
  if (!load) {
    logger.error({ protocol, known: Object.keys(EXPORTERS) }, 'the protocol of OTLP is not known: nothing is traced')
    return async () => {}
  }
  const brake = new RateLimited(DIAG_MS)
  const say = (text: string) => brake.pass(performance.now(), (held) => logger.warn({ held }, `OpenTelemetry: ${text}`))
  const ignore = () => {}
  diag.setLogger({ error: say, warn: say, info: ignore, debug: ignore, verbose: ignore }, DiagLogLevel.WARN)
  const { AlwaysOnSampler, BatchSpanProcessor, TracerProvider } = await import('@opentelemetry/sdk-trace')
  const { defaultResource, detectResources, envDetector, hostDetector, processDetector, resourceFromAttributes } =
    await import('@opentelemetry/resources')
  const { OTLPTraceExporter } = await load()
  const said = detectResources({ detectors: [hostDetector, processDetector, envDetector] })
  const service = command === 'start' ? 'fastify-seata' : `fastify-seata-${command}`
  const own = { 'service.name': service, 'service.version': version, 'service.instance.id': name }
  const provider = new TracerProvider({
    resource: defaultResource().merge(resourceFromAttributes(own)).merge(said),
    // Which transactions are traced is decided before there is a span; see joined.
    sampler: new AlwaysOnSampler(),
    idGenerator: transactionIds,
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter(),
        maxQueueSize: number(env.OTEL_BSP_MAX_QUEUE_SIZE, QUEUE),
        maxExportBatchSize: number(env.OTEL_BSP_MAX_EXPORT_BATCH_SIZE, BATCH),
        scheduledDelayMillis: number(env.OTEL_BSP_SCHEDULE_DELAY, DELAY_MS),
        exportTimeoutMillis: number(env.OTEL_BSP_EXPORT_TIMEOUT, EXPORT_MS)
      })
    ]
  })
  trace.setGlobalTracerProvider(provider)
  logger.info({ protocol, ratio: ratioOf(env) }, 'transactions are traced')
  return () => provider.shutdown().catch((error: Error) => say(error.message))
}

function number(text: string | undefined, byDefault: number): number {
  return text !== undefined && /^\d+$/.test(text.trim()) ? Number(text) : byDefault
}

/** The share of transactions that OTEL_TRACES_SAMPLER asks for, of those whose client says nothing. */
function ratioOf({ OTEL_TRACES_SAMPLER: sampler, OTEL_TRACES_SAMPLER_ARG: share = '' }: Env): number {
  if (sampler?.endsWith('always_off')) return 0
  if (!sampler?.endsWith('traceidratio')) return 1
  const ratio = Number(share)
  return share !== '' && ratio >= 0 && ratio <= 1 ? ratio : 1
}

/** Tracing by the SDK that this process has by now, the command's or the host app's; none, and nothing is traced. */
export function joined(config: Pick<Config, 'traceKeep' | 'traceSlow' | 'traceLimit'>, env: Env): Tracing {
  // Asked with a span that is never ended, and so never leaves.
  const asked = { traceId: '1'.repeat(32), spanId: '1'.repeat(16) }
  transactionIds.next = asked
  const probe = trace.getTracer('fastify-seata').startSpan('probe', { root: true }, ROOT_CONTEXT).spanContext()
  transactionIds.next = null
  if (!isSpanContextValid(probe)) return NO_TRACING
  const keep = config.traceKeep.split(',').filter((what): what is Keep => KEEPS.includes(what as Keep))
  return new Tracing({
    provider: trace.getTracerProvider(),
    ratio: ratioOf(env),
    perSecond: config.traceLimit,
    keep: env.OTEL_TRACES_SAMPLER === 'always_off' ? [] : keep,
    slowMs: config.traceSlow,
    ids: probe.spanId === asked.spanId ? transactionIds : null
  })
}
