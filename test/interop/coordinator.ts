// The project's own coordinator for one run, started as its users start it, with its data in the run's own folder; it can be restarted.
import { join, resolve } from 'node:path'
import { awaitReady, type Processes, type RunningProgram } from './processes.ts'

const REPOSITORY = resolve(import.meta.dirname, '../..')
/** The line in which `start` says where it serves Seata clients. */
const ADDRESS = /\bSeata on (\d+\.\d+\.\d+\.\d+:\d+)/i
const START_MS = 60_000

export interface Coordinator {
  /** HOST:PORT for Seata clients. */
  readonly address: string
  /** Ends it in order, and starts it again on the same data, at the same port. */
  restart(): Promise<void>
}

export async function startCoordinator(processes: Processes, folder: string): Promise<Coordinator> {
  let running = await start(processes, folder, '0')
  const { address } = running
  const port = address.slice(address.lastIndexOf(':') + 1)
  return {
    address,
    async restart() {
      await running.program.end()
      running = await start(processes, folder, port)
    }
  }
}

async function start(
  processes: Processes,
  folder: string,
  port: string
): Promise<{ address: string; program: RunningProgram }> {
  let address: string | undefined
  const program = processes.start('coordinator', {
    command: process.execPath,
    args: [
      'plugin/cli.ts',
      'start',
      '--port',
      port,
      '--http-port',
      '0',
      '--kv',
      `sqlite:${join(folder, 'coordinator')}`
    ],
    cwd: REPOSITORY,
    onLine: (line) => {
      address ??= ADDRESS.exec(line)?.[1]
    }
  })
  return { program, address: await awaitReady(program, START_MS, () => address) }
}
