// The Go program: built from the Go module proxy, and run against a coordinator.
import { join } from 'node:path'
import { download, findTool } from './processes.ts'
import type { Stage } from './stage.ts'

const CLIENT = 'seata-go 1.2.0'

const SOURCES = join(import.meta.dirname, 'go')
const BUILD_MS = 400_000
const RUN_MS = 120_000

export async function runGo({ processes, folder, tally, matrix }: Stage, coordinator: string): Promise<void> {
  const program = join(folder, 'go-client')
  const build = { command: findTool('go'), args: ['build', '-o', program, '.'], cwd: SOURCES }
  await download(processes.run('build-go', build, BUILD_MS), 'the Go module proxy (or what GOPROXY names)')
  const onLine = (line: string) => {
    const passed = line.startsWith('ok ')
    if (!passed && !line.startsWith('FAILED ')) return
    matrix.count(CLIENT, 'tcc', passed)
    tally.line(line)
  }
  await processes.run('client-go', { command: program, args: [coordinator], cwd: folder, onLine }, RUN_MS)
}
