// A private MariaDB for one run: a free port, data in the run's own folder, no password, reachable from this machine only.
import { join } from 'node:path'
import { accepts, awaitReady, findTool, freePort, type Processes } from './processes.ts'

export interface Database {
  readonly port: number
  readonly user: string
  readonly password: string
}

const START_MS = 60_000

export async function startMariaDb(processes: Processes, folder: string): Promise<Database> {
  const data = join(folder, 'mariadb')
  const account = process.getuid?.() === 0 ? ['--user=root'] : []
  const install = ['--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal', '--skip-test-db']
  await processes.run(
    'mariadb-install',
    { command: findTool('mariadb-install-db'), args: [...install, ...account] },
    START_MS
  )

  const port = await freePort()
  const server = processes.start('mariadb', {
    command: findTool('mariadbd'),
    args: [
      '--no-defaults',
      ...account,
      `--datadir=${data}`,
      `--socket=${join(folder, 'mariadb.sock')}`,
      `--pid-file=${join(folder, 'mariadb.pid')}`,
      '--bind-address=127.0.0.1',
      `--port=${port}`,
      '--skip-name-resolve',
      '--innodb-flush-log-at-trx-commit=0'
    ]
  })
  await awaitReady(server, START_MS, async () => ((await accepts(port)) ? true : undefined))
  return { port, user: 'root', password: '' }
}
