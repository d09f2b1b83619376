#!/usr/bin/env node
// The command: fastify-seata start.
import { readFileSync } from 'node:fs'
import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { SeataError } from '../tc-core/wire/errors.ts'
import { helpText, readArguments } from './arguments.ts'
import seata from './index.ts'

const COMMANDS = 'fastify-seata start [options]   a coordinator in one process (start --help shows the options)\n'

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

async function start(args: readonly string[]): Promise<void> {
  const { help, config, unknownVariables } = readArguments(args, process.env)
  if (help) return void process.stdout.write(helpText())
  const { httpPort, logLevel, ...options } = config
  const app = Fastify({
    logger: { level: logLevel, stream: process.stderr },
    logController: new LogController({ disableRequestLogging: true })
  })
  for (const name of unknownVariables) app.log.warn(`the variable ${name} is not an option and is ignored`)
  await app.register(seata, options)
  await app.ready()
  await app.listen({ host: config.host, port: httpPort, listenTextResolver: () => 'HTTP listens' })
  stopOnSignals(app)
  const http = app.server.address()
  const httpAt = typeof http === 'object' && http ? at(http) : String(http)
  process.stdout.write(
    `fastify-seata ${version()}: Seata on ${at(app.seata.address!)}, HTTP on ${httpAt}, store ${app.seata.store}\n`
  )
}

function at({ address, port }: { address: string; port: number }): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
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
  if (command === 'start') return start(args)
  const asked = command === undefined || command === '--help' || command === '-h' || command === 'help'
  if (command === '--version') return void process.stdout.write(`${version()}\n`)
  process[asked ? 'stdout' : 'stderr'].write(asked ? COMMANDS : `${command} is not a command\n${COMMANDS}`)
  process.exitCode = asked ? 0 : 2
}

main(process.argv.slice(2)).catch((error: unknown) => {
  const known = error instanceof SeataError
  process.stderr.write(`fastify-seata: ${known ? error.message : (error as Error)?.message || error}\n`)
  process.exit(known && error.code === 'SEATA_OPTION_INVALID' ? 2 : 1)
})
