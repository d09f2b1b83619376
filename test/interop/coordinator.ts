// The project's own coordinator for one run, started as its users start it, with its data in the run's own folder.
import { join, resolve } from 'node:path'
import { awaitReady, type Processes } from './processes.ts'

const REPOSITORY = resolve(import.meta.dirname, '../..')
/** The line in which `start` says where it serves Seata clients. */
const ADDRESS = /\bSeata on (\d+\.\d+\.\d+\.\d+:\d+)/i
const START_MS = 60_000

/** Answers the HOST:PORT for Seata clients. */
export function startCoordinator(processes: Processes, folder: string): Promise<string> {
  let address: string | undefined
  const coordinator = processes.start('coordinator', {
    command: process.execPath,
    args: [
      'plugin/cli.ts',
      'start',
      '--port',
      '0',
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
  return awaitReady(coordinator, START_MS, () => address)
}
