// examples/compose without containers (its README tells of a run in them): the file is read, and every process would start as it is told.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { parse } from 'yaml'
import { readArguments } from '../../plugin/arguments.ts'
import type { Config } from '../../plugin/config.ts'

interface Service {
  readonly command?: readonly ['node' | 'gateway']
  readonly environment: Record<string, string>
  readonly ports?: readonly string[]
  readonly depends_on?: Record<string, { readonly condition: string }>
  readonly healthcheck?: { readonly test: readonly string[] }
}

const text = readFileSync(join(import.meta.dirname, '../../examples/compose/compose.yaml'), 'utf8')
const { services } = parse(text, { merge: true }) as { services: Record<string, Service> }

function of(command: 'node' | 'gateway'): [string, Service, Config][] {
  return Object.entries(services).flatMap(([name, service]) => {
    if (service.command?.[0] !== command) return []
    const { config, unknownVariables } = readArguments(command, [], service.environment)
    if (unknownVariables.length > 0) throw new Error(`${name}: ${unknownVariables} are no options`)
    return [[name, service, config]]
  })
}

test('all members of etcd are in its cluster, compact their history, and are the store of every node', (t) => {
  const members = Object.keys(services).filter((name) => !services[name]!.command)
  t.is(members.length, 3)
  for (const name of members) {
    const { environment } = services[name]!
    t.is(environment.ETCD_NAME, name)
    t.is(environment.ETCD_INITIAL_CLUSTER, members.map((m) => `${m}=http://${m}:2380`).join(','))
    t.is(environment.ETCD_AUTO_COMPACTION_MODE, 'periodic')
    t.true(Number(environment.ETCD_QUOTA_BACKEND_BYTES) > 2 * 1024 ** 3)
  }
  for (const [, , { kv }] of of('node')) t.is(kv, `etcd://${members.map((m) => `${m}:2379`).join(',')}`)
})

test('every node has a name of its own, and tells others where it is', (t) => {
  const nodes = of('node')
  t.is(nodes.length, 3)
  for (const [name, , config] of nodes) {
    t.like(config, { name, host: name, link: `${name}:9091`, advertise: `${name}:9091`, httpPort: 7191 })
  }
})

test('every gateway knows all nodes, and tells clients the ports that it publishes', (t) => {
  const gateways = of('gateway')
  t.is(gateways.length, 2)
  const links = of('node').map(([, , { link }]) => link)
  for (const [, { ports }, config] of gateways) {
    t.is(config.nodes, links.join(','))
    t.is(config.advertise, `127.0.0.1:${config.port}`)
    t.deepEqual(
      ports,
      [config.port, config.httpPort].map((port) => `127.0.0.1:${port}:${port}`)
    )
  }
})

test('every service is checked, and waits for services that are there', (t) => {
  for (const [name, { healthcheck, depends_on: needs = {} }] of Object.entries(services)) {
    t.truthy(healthcheck?.test, name)
    for (const other of Object.keys(needs)) t.truthy(services[other], `${name} waits for ${other}`)
  }
})
