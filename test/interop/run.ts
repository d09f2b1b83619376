// Proof with real Java clients: runs Apache Seata's own client jars, several versions of them, against the coordinator, with a
// MariaDB of its own for AT. Prints one line for each check, and "N passed, N failed" over everything as the last one.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { startCoordinator } from './coordinator.ts'
import { runExample } from './example.ts'
import { JavaClient } from './java-client.ts'
import { type Database, startMariaDb } from './mariadb.ts'
import { findTool, InteropError, Processes } from './processes.ts'

const USAGE = `node test/interop/run.ts [options]
  --versions A,B      versions of seata-all; default 1.6.1,2.6.0
  --server HOST:PORT  a coordinator that already runs; default: the project's own is started
  --skip A,B          scenarios to leave out: tm, tcc, at, lock, timeout, order
  --logs DIR          keep the logs of all programs there`

const TOOLS = ['java', 'javac', 'mvn', 'mariadbd', 'mariadb-install-db']
const SUMMARY = /^\d+ passed, \d+ failed$/

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

class Tally {
  passed = 0
  failed = 0

  line(text: string): void {
    if (SUMMARY.test(text)) return
    if (text.startsWith('ok ')) this.passed++
    else if (text.startsWith('FAILED ')) this.failed++
    console.log(text)
  }

  fail(what: string, reason: unknown): void {
    const text = reason instanceof InteropError ? reason.message : reason instanceof Error ? reason.stack : reason
    this.line(`FAILED ${what}: ${text}`)
  }
}

export interface Stage {
  readonly processes: Processes
  readonly folder: string
  readonly database: Database
  readonly coordinator: string
}

async function runVersion(version: string, stage: Stage, skip: readonly string[], tally: Tally): Promise<void> {
  const client = new JavaClient(stage.processes, stage.folder, version)
  await client.build()
  let ended = false
  const failedBefore = tally.failed
  try {
    await client.run(stage.coordinator, stage.database, skip, (line) => {
      ended ||= SUMMARY.test(line)
      tally.line(line)
    })
  } catch (error) {
    // A program that came to its end has said what failed; one that broke off has not.
    if (!ended || tally.failed === failedBefore) throw error
    console.log('what Seata logged: --logs DIR')
  }
}

async function run(processes: Processes, folder: string, options: Options, tally: Tally): Promise<void> {
  for (const tool of TOOLS) findTool(tool)
  const [database, coordinator] = await Promise.all([
    startMariaDb(processes, folder),
    options.server ?? startCoordinator(processes, folder)
  ])
  console.log(`coordinator ${coordinator}`)
  const stage: Stage = { processes, folder, database, coordinator }
  console.log('examples/first-transaction')
  await runExample(stage, (line) => tally.line(line)).catch((error) => tally.fail('example', error))
  for (const version of options.versions) {
    console.log(`seata-all ${version}`)
    await runVersion(version, stage, options.skip, tally).catch((error) => tally.fail(version, error))
  }
}

async function main(): Promise<never> {
  const options = readOptions()
  const folder = mkdtempSync(join(tmpdir(), 'seata-interop-'))
  const logs = resolve(options.logs ?? join(folder, 'logs'))
  mkdirSync(logs, { recursive: true })
  const processes = new Processes(logs)
  // However the run ends, nothing of it stays.
  process.on('exit', () => {
    processes.killAll()
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  })
  process.on('SIGINT', () => process.exit(130))
  process.on('SIGTERM', () => process.exit(143))
  process.on('SIGHUP', () => process.exit(129))

  const tally = new Tally()
  await run(processes, folder, options, tally).catch((error) => tally.fail('setup', error))
  await processes.end()
  console.log(`${tally.passed} passed, ${tally.failed} failed`)
  process.exit(tally.failed === 0 && tally.passed > 0 ? 0 : 1)
}

await main()
