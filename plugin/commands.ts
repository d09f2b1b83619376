// The commands: fastify-seata start, node, gateway, kv-check, and what changes the nodes of a cluster: drain, leave, promote.
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { formatAddress } from '../tc-core/wire/address.ts'
import { SeataError } from '../tc-core/wire/errors.ts'
import { helpText, readArguments } from './arguments.ts'
import type { Config } from './config.ts'
import { keepYoungSmall } from './heap.ts'
import type {} from './index.ts'
import { kvCheck } from './kv-check.ts'
import { MEMBER_HELP, memberCommand } from './member-command.ts'
import { MEMBER_ACTIONS } from './member-routes.ts'
import { addressOf, startNode } from './node-command.ts'
import type { Command } from './options.ts'
import { startSdk } from './telemetry.ts'

const COMMANDS = `fastify-seata start [options]     a coordinator in one process
fastify-seata node [options]      a node of a cluster
fastify-seata gateway [options]   a gateway of a cluster
fastify-seata kv-check URL        whether a store keeps what the log needs
fastify-seata drain NAME          move everything from a node to the others
fastify-seata leave NAME          remove a node from the cluster for good
fastify-seata promote NAME        let a learner, or a drained node, lead again
Each shows its options with --help.
`

function version(): string {
  // From source the package lies one folder up, compiled two.
  for (const path of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version
    } catch {
      // the other one
    }
  }
  return 'unknown'
}

async function run(command: Command, args: readonly string[]): Promise<void> {
  const { help, config, unknownVariables } = readArguments(command, args, process.env)
  if (help) return void process.stdout.write(helpText(command))
  const app = Fastify({
    logger: { level: config.logLevel, stream: process.stderr },
    logController: new LogController({ disableRequestLogging: true })
  })
  for (const name of unknownVariables) app.log.warn(`the variable ${name} is not an option and is ignored`)
  stopOnSignals(app)
  const stopSdk = await startSdk(
    process.env,
    command,
    config.name || `${hostname()}:${process.pid}`,
    version(),
    app.log
  )
  app.addHook('onClose', stopSdk)
  const line = command === 'node' ? await node(config, app) : await front(config, app)
  process.stdout.write(`fastify-seata ${version()}: ${line}\n`)
}

/** Of start and gateway: what takes clients. */
async function front(config: Config, app: FastifyInstance): Promise<string> {
  // Not loaded where it is not needed: a node has no gateway, and a third fewer modules without.
  const { default: seata } = await import('./index.ts')
  const { httpPort, logLevel, ...options } = config
  await app.register(seata, options)
  await app.ready()
  await app.listen({ host: config.host, port: httpPort, listenTextResolver: () => 'HTTP listens' })
  return `Seata on ${formatAddress(app.seata.address!)}, HTTP on ${addressOf(app)}, store ${app.seata.store}`
}

async function node(config: Config, app: FastifyInstance): Promise<string> {
  keepYoungSmall()
  const { link, http, store } = await startNode(config, app)
  return `node, links on ${link}, HTTP on ${http}, store ${store}`
}

/** The first signal ends it in order, a second one at once. */
function stopOnSignals(app: FastifyInstance): void {
  let stopping = false
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) process.exit(1)
      stopping = true
      app.log.info({ signal }, 'stops')
      app.close().then(
        () => process.exit(0),
        (error: unknown) => {
          app.log.error({ err: error }, 'could not stop in order')
          process.exit(1)
        }
      )
    })
  }
}

async function main([command, ...args]: string[]): Promise<void> {
  if (command === 'start' || command === 'node' || command === 'gateway') return run(command, args)
  const action = MEMBER_ACTIONS.find((name) => name === command)
  if (action) {
    const help = args.includes('--help') || args.includes('-h')
    process.stdout.write(help ? MEMBER_HELP : `${await memberCommand(action, args, process.env)}\n`)
    return
  }
  const url = args[0]
  if (command === 'kv-check' && url !== undefined && !url.startsWith('-')) {
    process.exitCode = (await kvCheck(url, (line) => void process.stdout.write(`${line}\n`))) ? 0 : 1
    return
  }
  const asked = command === undefined || ['--help', '-h', 'help', 'kv-check'].includes(command)
  if (command === '--version') return void process.stdout.write(`${version()}\n`)
  process[asked ? 'stdout' : 'stderr'].write(asked ? COMMANDS : `${command} is not a command\n${COMMANDS}`)
  process.exitCode = asked ? 0 : 2
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const known = error instanceof SeataError
  process.stderr.write(`fastify-seata: ${known ? error.message : (error as Error)?.message || error}\n`)
  process.exit(known && error.code === 'SEATA_OPTION_INVALID' ? 2 : 1)
})
