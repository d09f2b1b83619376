// Prometheus scrapes a cluster with the settings of examples/tracing: every query of every dashboard there returns data, and latencies lead
// to traces.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { parse } from 'yaml'
import { readArguments } from '../../plugin/arguments.ts'
import { Cluster } from '../e2e/cluster.ts'
import { Judge } from '../e2e/judge.ts'
import { Load } from '../e2e/load.ts'
import { eventually } from '../host/harness.ts'
import { Receiver } from '../tracing/receiver.ts'
import { Prometheus, promtool } from './prometheus.ts'

const EXAMPLE = join(import.meta.dirname, '../../examples/tracing')

interface Settings {
  global: { scrape_interval: string }
  scrape_configs: { static_configs: { targets: string[]; labels: Record<string, string> }[] }[]
}

interface Dashboard {
  readonly title: string
  readonly panels: { readonly title: string; readonly targets: { readonly expr: string }[] }[]
}

const settings = () => parse(readFileSync(join(EXAMPLE, 'prometheus.yml'), 'utf8')) as Settings

test('Prometheus finds what it scrapes good, and every query of every dashboard returns data', async (t) => {
  t.timeout(180_000)
  const receiver = await Receiver.start(t)
  const cluster = new Cluster(t, undefined, [], { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint })
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const gateways = [await cluster.gateway(), await cluster.gateway()]
  await cluster.settled()
  const here = settings()
  here.global.scrape_interval = '1s'
  const ports = [[...cluster.nodes.values()].map(({ httpPort }) => httpPort), gateways.map(({ httpPort }) => httpPort)]
  for (const [i, config] of here.scrape_configs[0]!.static_configs.entries()) {
    t.is(config.targets.length, ports[i]!.length)
    config.targets = ports[i]!.map((port) => `127.0.0.1:${port}`)
  }
  const prometheus = await Prometheus.start(t, here)
  const load = new Load(gateways[0]!.port, new Judge(), 3)
  t.teardown(() => load.kill())
  const running = load.run(8)
  // A node is gone: requests are parked and sent again.
  await eventually(() => load.done > 100, 'a load', 30_000)
  await cluster.nodes.get('n3')!.process.kill('SIGKILL')
  await eventually(() => load.done > 300, 'a load that goes on', 30_000)
  for (const name of readdirSync(join(EXAMPLE, 'grafana/dashboards'))) {
    const { title, panels } = JSON.parse(readFileSync(join(EXAMPLE, 'grafana/dashboards', name), 'utf8')) as Dashboard
    t.true(panels.length > 4)
    for (const { title: panel, targets } of panels) {
      for (const { expr } of targets) {
        const there = async () => (await prometheus.values(expr.replaceAll('$__rate_interval', '1m'))).some(isNumber)
        await eventually(there, `${title}: ${panel}: ${expr}`, 15_000)
      }
    }
  }
  await eventually(async () => (await prometheus.values('sum(seata_gateway_requests_total) > 0')).length === 1)
  await eventually(async () => (await prometheus.values('count(up == 1)'))[0] === 4, 'four of five that are up')
  for (const metric of ['seata_gateway_request_duration_seconds_bucket', 'seata_log_append_duration_seconds_bucket']) {
    const found = async () => (await prometheus.traces(metric)).filter((id) => receiver.traces.has(id))
    await eventually(async () => (await found()).length > 0, `${metric}: an exemplar with its trace`, 15_000)
  }
  const scraped = await (await fetch(`http://127.0.0.1:${ports[1]![0]}/metrics`)).text()
  // Seata's own label is in camelCase, and prom-client's own names end as they do.
  const known = /^(seata_(exception|transaction) label names|nodejs_active_\w+ non-counter)/
  t.deepEqual(
    promtool(scraped).filter((line) => !known.test(line)),
    []
  )
  load.stop()
  await running
  await load.close()
})

const isNumber = (value: number) => !Number.isNaN(value)

test('the overlay of the example names services and ports that are there, and options that are', (t) => {
  const base = parse(readFileSync(join(EXAMPLE, '../compose/compose.yaml'), 'utf8'), { merge: true })
  const overlay = parse(readFileSync(join(EXAMPLE, 'compose.yaml'), 'utf8'), { merge: true })
  for (const name of readFileSync(join(EXAMPLE, '.env'), 'utf8').trim().split('=')[1]!.split(':'))
    t.notThrows(() => readFileSync(join(EXAMPLE, name)), name)
  for (const [name, { environment, volumes = [] }] of Object.entries<any>(overlay.services)) {
    const below = base.services[name]
    if (below)
      t.deepEqual(readArguments(below.command[0], [], { ...below.environment, ...environment }).unknownVariables, [])
    for (const volume of volumes) {
      const [path = ''] = String(volume).split(':')
      t.notThrows(() => readdirOrFile(join(EXAMPLE, '../compose', path)), path)
    }
  }
  for (const { targets } of settings().scrape_configs[0]!.static_configs) {
    for (const target of targets) {
      const [name = '', port] = target.split(':')
      t.is(base.services[name].environment.SEATA_HTTP_PORT ?? '7191', port)
    }
  }
})

function readdirOrFile(path: string): unknown {
  return path.endsWith('.yml') ? readFileSync(path) : readdirSync(path)
}
