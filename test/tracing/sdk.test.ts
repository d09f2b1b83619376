// The SDK of the command: turned on by OpenTelemetry's variables, over each protocol of OTLP, and all spans sent before the end.
import test from 'ava'
import { connect, ServerProcess } from '../e2e/servers.ts'
import { Receiver } from './receiver.ts'

async function run(t: Parameters<typeof connect>[0], env: NodeJS.ProcessEnv): Promise<ServerProcess> {
  const args = ['start', '--kv', 'memory:', '--port', '0', '--http-port', '0']
  const server = new ServerProcess(t, args, env)
  const { port } = await server.ready()
  const tm = await connect(t, { port })
  await tm.registerTM()
  const { xid } = await tm.begin()
  await tm.commit(xid)
  await server.kill('SIGTERM')
  return server
}

for (const protocol of ['grpc', 'http/protobuf', 'http/json'] as const) {
  test(`spans leave over ${protocol}, the last ones when the process stops`, async (t) => {
    const receiver = await Receiver.start(t)
    const { httpPort, grpcPort } = receiver
    await run(t, {
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${protocol === 'grpc' ? grpcPort : httpPort}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: protocol,
      OTEL_SERVICE_NAME: 'coordinator',
      OTEL_RESOURCE_ATTRIBUTES: 'service.instance.id=one'
    })
    t.deepEqual(Object.keys(receiver.requests), [protocol])
    t.is(receiver.spans.filter(({ name, from }) => name === 'seata.transaction' && from === 'one').length, 1)
  })
}

test('what the variables say counts: no traces, another share, a protocol that is none', async (t) => {
  const receiver = await Receiver.start(t)
  const OTEL_EXPORTER_OTLP_ENDPOINT = receiver.endpoint
  await run(t, { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED: 'true' })
  await run(t, { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_EXPORTER: 'none' })
  await run(t, { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER: 'parentbased_always_off' })
  const OTEL_TRACES_SAMPLER = 'parentbased_traceidratio'
  await run(t, { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER, OTEL_TRACES_SAMPLER_ARG: '0' })
  const server = await run(t, { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_PROTOCOL: 'carrier-pigeon' })
  t.regex(server.stderr, /carrier-pigeon/)
  t.deepEqual(receiver.spans, [])
})

test('a collector that is not there stops nobody, and is named in the log', async (t) => {
  const server = await run(t, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_TIMEOUT: '300' })
  t.regex(server.stderr, /OpenTelemetry: /)
})
