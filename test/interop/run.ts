// Proof with real Java clients: runs Apache Seata's own client jars, several versions of them, against the coordinator and against a
// cluster, with a MariaDB of its own for AT. Prints one line for each check, and "N passed, N failed" over everything as the last one.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ClusterUnderTest } from './cluster.ts'
import { runAtCluster, runDiscovery } from './cluster-rounds.ts'
import { type Coordinator, startCoordinator } from './coordinator.ts'
import { runExample } from './example.ts'
import { GoClient } from './go-client.ts'
import { JavaClient } from './java-client.ts'
import { startMariaDb } from './mariadb.ts'
import { Matrix } from './matrix.ts'
import { findTool, Processes } from './processes.ts'
import {
  ALL_VERSIONS,
  allBut,
  CI_VERSIONS,
  CLUSTER_VERSIONS,
  SCENARIOS,
  SETTING_SCENARIOS,
  SETTINGS,
  type Setting,
  settingsOf
} from './rounds.ts'
import { runClient, type Stage } from './stage.ts'
import { Tally } from './tally.ts'

const USAGE = `node test/interop/run.ts [options]
  --versions A,B      versions of seata-all; default ${CI_VERSIONS.join()}
  --all               every version, every setting, and all of them through a cluster; writes test/interop/matrix.json
  --server HOST:PORT  a coordinator that already runs; default: the project's own is started, and then a cluster of it
  --skip A,B          what to leave out: ${SCENARIOS.join(', ')}, go, cluster, settings, or some: ${SETTINGS.map(({ feature }) => feature).join(', ')}
  --logs DIR          keep the logs of all programs there`

const TOOLS = ['java', 'javac', 'mvn', 'mariadbd', 'mariadb-install-db', 'go']

interface Options {
  readonly versions: readonly string[]
  readonly server: string | undefined
  readonly all: boolean
  readonly skip: readonly string[]
  readonly logs: string | undefined
}

function parseOptions(): Options | 'help' {
  const { values } = parseArgs({
    options: {
      versions: { type: 'string' },
      all: { type: 'boolean', default: false },
      server: { type: 'string' },
      skip: { type: 'string', default: '' },
      logs: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return 'help'
  const list = (text: string) => text.split(',').filter((part) => part !== '')
  const { server, logs, all, versions, skip } = values
  const chosen = versions === undefined ? (all ? ALL_VERSIONS : CI_VERSIONS) : list(versions)
  return { server, logs, all, versions: chosen, skip: list(skip) }
}

function readOptions(): Options {
  try {
    const options = parseOptions()
    if (options !== 'help') return options
    console.log(USAGE)
    process.exit(0)
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`)
    process.exit(2)
  }
}

/** What each part took. */
const took: string[] = []

async function timed<T>(part: string, work: () => Promise<T>): Promise<T> {
  const from = performance.now()
  try {
    return await work()
  } finally {
    took.push(`${part} ${Math.round((performance.now() - from) / 1000)} s`)
  }
}

/** Ends the coordinator under the client's open transaction, and starts it again. */
const RESTART_LINE = 'ok reconnect: status before the restart'

async function runVersion(
  client: JavaClient,
  stage: Stage,
  options: Options,
  at: { address: string; coordinator: Coordinator | null },
  settings: readonly Setting[]
): Promise<void> {
  const { skip } = options
  const skipped = [...skip, 'gateways', ...(at.coordinator ? [] : ['reconnect'])]
  const line = (text: string, say: (text: string) => void) => {
    if (!text.startsWith(RESTART_LINE)) return
    at.coordinator?.restart().then(
      () => say('\n'),
      (error) => stage.tally.fail('restart', error)
    )
  }
  if (SCENARIOS.some((scenario) => !skipped.includes(scenario))) {
    await runClient(client, stage, { name: 'one', coordinator: at.address, skipped }, { line })
  }
  for (const { feature, properties, needs, scenarios } of settings) {
    if (skip.includes('settings') || skip.includes(feature)) continue
    console.log(`seata-all ${client.version}, ${feature}`)
    const name = feature.replaceAll(' ', '-')
    const round = {
      name,
      feature,
      coordinator: at.address,
      properties,
      skipped: allBut(...(scenarios ?? SETTING_SCENARIOS))
    }
    const offered = await runClient(client, stage, needs === undefined ? round : { ...round, needs })
    if (!offered) console.log('not offered')
  }
}

/** Null when it could not be built. */
async function runGo(stage: Stage, address: string): Promise<GoClient | null> {
  console.log('seata-go 1.2.0')
  const go = new GoClient(stage)
  try {
    await timed('go built', () => go.build())
  } catch (error) {
    stage.tally.fail('go', error)
    return null
  }
  await timed('go', () => go.run(address).catch((error) => stage.tally.fail('go', error)))
  return go
}

async function run(stage: Stage, cluster: ClusterUnderTest, options: Options): Promise<void> {
  const { processes, folder, tally } = stage
  const { versions, skip, all } = options
  const coordinator = options.server === undefined ? await startCoordinator(processes, folder) : null
  const address = options.server ?? coordinator!.address
  console.log(`coordinator ${address}\nexamples/first-transaction`)
  await timed('example', () => runExample(stage, address).catch((error) => tally.fail('example', error)))
  const go = skip.includes('go') ? null : await runGo(stage, address)
  const built: JavaClient[] = []
  for (const [i, version] of versions.entries()) {
    console.log(`seata-all ${version}`)
    const client = new JavaClient(processes, folder, version)
    try {
      await timed(`${version} built`, () => client.build())
      built.push(client)
      const settings = settingsOf(i, versions.length, all)
      await timed(version, () => runVersion(client, stage, options, { address, coordinator }, settings))
    } catch (error) {
      tally.fail(version, error)
    }
    // A long run that is broken off has shown something, too.
    if (all) stage.matrix.save()
  }
  if (options.server !== undefined || skip.includes('cluster')) return
  await timed('cluster started', () => cluster.start())
  if (go) {
    console.log('seata-go 1.2.0 at one gateway of a cluster')
    await timed('go at a cluster', () =>
      go.runAtCluster(cluster).catch((error) => tally.fail('go at a cluster', error))
    )
  }
  const clustered = all ? built : built.filter(({ version }) => CLUSTER_VERSIONS.includes(version))
  for (const [round, client] of clustered.entries()) {
    console.log(`seata-all ${client.version} at a cluster of three nodes and two gateways, ${cluster.grouplist}`)
    const failed = (error: unknown) => tally.fail(`${client.version} at a cluster`, error)
    await timed(`${client.version} at a cluster`, () => runAtCluster(client, stage, cluster, skip, round).catch(failed))
    await timed(`${client.version} raft`, () => runDiscovery(client, stage, cluster, skip).catch(failed))
    if (all) stage.matrix.save()
  }
}

async function main(): Promise<never> {
  const options = readOptions()
  const folder = mkdtempSync(join(tmpdir(), 'seata-interop-'))
  const logs = resolve(options.logs ?? join(folder, 'logs'))
  mkdirSync(logs, { recursive: true })
  const processes = new Processes(logs)
  const cluster = new ClusterUnderTest(folder)
  // However the run ends, nothing of it stays.
  process.on('exit', () => {
    processes.killAll()
    cluster.killAll()
    if (options.logs !== undefined) cluster.writeLogs(logs)
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  })
  process.on('SIGINT', () => process.exit(130))
  process.on('SIGTERM', () => process.exit(143))
  process.on('SIGHUP', () => process.exit(129))

  const tally = new Tally()
  const matrix = new Matrix()
  try {
    for (const tool of TOOLS) findTool(tool)
    const database = await timed('MariaDB', () => startMariaDb(processes, folder))
    await run({ processes, folder, database, tally, matrix }, cluster, options)
    if (options.all) matrix.save()
  } catch (error) {
    tally.fail('setup', error)
  }
  await processes.end()
  console.log(`took: ${took.join(', ')}`)
  console.log(`${tally.passed} passed, ${tally.failed} failed`)
  process.exit(tally.failed === 0 && tally.passed > 0 ? 0 : 1)
}

await main()
