// Proof with real Java clients: runs Apache Seata's own client jars, several versions of them, against the coordinator and against a
// cluster, with a MariaDB of its own for AT. Prints one line for each check, and "N passed, N failed" over everything as the last one.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ClusterUnderTest } from './cluster.ts'
import { runAtCluster, runDiscovery } from './cluster-rounds.ts'
import { startCoordinator } from './coordinator.ts'
import { runExample } from './example.ts'
import { JavaClient } from './java-client.ts'
import { startMariaDb } from './mariadb.ts'
import { findTool, Processes } from './processes.ts'
import { runClient, type Stage } from './stage.ts'
import { Tally } from './tally.ts'

const USAGE = `node test/interop/run.ts [options]
  --versions A,B      versions of seata-all; default 1.6.1,2.6.0
  --server HOST:PORT  a coordinator that already runs; default: the project's own is started, and then a cluster of it
  --skip A,B          scenarios to leave out: tm, tcc, at, gateways, lock, timeout, order
  --logs DIR          keep the logs of all programs there`

const TOOLS = ['java', 'javac', 'mvn', 'mariadbd', 'mariadb-install-db']

interface Options {
  readonly versions: readonly string[]
  readonly server: string | undefined
  readonly skip: readonly string[]
  readonly logs: string | undefined
}

function parseOptions(): Options | 'help' {
  const { values } = parseArgs({
    options: {
      versions: { type: 'string', default: '1.6.1,2.6.0' },
      server: { type: 'string' },
      skip: { type: 'string', default: '' },
      logs: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return 'help'
  const list = (text: string) => text.split(',').filter((part) => part !== '')
  return { server: values.server, logs: values.logs, versions: list(values.versions), skip: list(values.skip) }
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

async function run(stage: Stage, cluster: ClusterUnderTest, options: Options): Promise<void> {
  const { processes, folder, tally } = stage
  const coordinator = options.server ?? (await startCoordinator(processes, folder))
  console.log(`coordinator ${coordinator}\nexamples/first-transaction`)
  await runExample(stage, coordinator).catch((error) => tally.fail('example', error))
  const built: JavaClient[] = []
  for (const version of options.versions) {
    console.log(`seata-all ${version}`)
    const client = new JavaClient(processes, folder, version)
    const round = { name: 'one', coordinator, skipped: [...options.skip, 'gateways'] }
    try {
      await client.build()
      built.push(client)
      await runClient(client, stage, round)
    } catch (error) {
      tally.fail(version, error)
    }
  }
  if (options.server !== undefined) return
  await cluster.start()
  for (const [round, client] of built.entries()) {
    console.log(`seata-all ${client.version} at a cluster of three nodes and two gateways, ${cluster.grouplist}`)
    const failed = (error: unknown) => tally.fail(`${client.version} at a cluster`, error)
    await runAtCluster(client, stage, cluster, options.skip, round).catch(failed)
    await runDiscovery(client, stage, cluster, options.skip).catch(failed)
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
  try {
    for (const tool of TOOLS) findTool(tool)
    const database = await startMariaDb(processes, folder)
    await run({ processes, folder, database, tally }, cluster, options)
  } catch (error) {
    tally.fail('setup', error)
  }
  await processes.end()
  console.log(`${tally.passed} passed, ${tally.failed} failed`)
  process.exit(tally.failed === 0 && tally.passed > 0 ? 0 : 1)
}

await main()
