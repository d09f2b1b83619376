// Prometheus scrapes a cluster with the settings of examples/tracing, and every query of every dashboard there returns data.
import { spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { parse, stringify } from 'yaml'
import { readArguments } from '../../plugin/arguments.ts'
import { Cluster } from '../e2e/cluster.ts'
import { Judge } from '../e2e/judge.ts'
import { Load } from '../e2e/load.ts'
import { freePort } from '../e2e/ports.ts'
import { temporaryDirectory } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'

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
  t.timeout(120_000)
  const cluster = new Cluster(t)
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
  const folder = temporaryDirectory(t)
  const file = join(folder, 'prometheus.yml')
  writeFileSync(file, stringify(here))
  const port = await freePort()
  const args = [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`]
  const prometheus = spawn('prometheus', args, { stdio: 'ignore' })
  t.teardown(() => prometheus.kill('SIGKILL'))
  const judge = new Judge()
  const load = new Load(gateways[0]!.port, judge, 3)
  t.teardown(() => load.stop())
  const running = load.run(8)
  const ask = async (expr: string) => {
    const query = encodeURIComponent(expr.replaceAll('$__rate_interval', '10s'))
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${query}`).catch(() => null)
    const answer = (await response?.json()) as
      | { status: string; data: { result: { value: [number, string] }[] } }
      | undefined
    return answer?.status === 'success' ? answer.data.result : []
  }
  // A node is gone: requests are parked and sent again.
  await eventually(() => load.done > 100, 'a load', 30_000)
  await cluster.nodes.get('n3')!.process.kill('SIGKILL')
  await eventually(() => load.done > 300, 'a load that goes on', 30_000)
  for (const name of readdirSync(join(EXAMPLE, 'grafana/dashboards'))) {
    const { title, panels } = JSON.parse(readFileSync(join(EXAMPLE, 'grafana/dashboards', name), 'utf8')) as Dashboard
    t.true(panels.length > 4)
    for (const { title: panel, targets } of panels) {
      for (const { expr } of targets) {
        const there = async () => (await ask(expr)).some(({ value }) => !Number.isNaN(Number(value[1])))
        await t.notThrowsAsync(eventually(there, `${title}: ${panel}: ${expr}`, 15_000))
      }
    }
  }
  t.is((await ask('sum(seata_gateway_requests_total) > 0')).length, 1)
  t.is((await ask('count(up == 1)'))[0]?.value[1], '4')
  const scraped = await (await fetch(`http://127.0.0.1:${ports[1]![0]}/metrics`)).text()
  const { stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: scraped, encoding: 'utf8' })
  // Seata's own label is in camelCase, and prom-client's own names end as they do.
  const known = /^(seata_(exception|transaction) label names|nodejs_active_\w+ non-counter)/
  const found = (stdout + stderr).split('\n').filter((line) => line !== '' && !known.test(line))
  t.deepEqual(found, [])
  load.stop()
  await running
  await load.close()
})

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
