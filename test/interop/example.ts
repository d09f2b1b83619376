// Runs examples/first-transaction as its page says, against the coordinator under test, and holds its words against what they should be.
import { cpSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { download, findTool, MAVEN } from './processes.ts'
import type { Stage } from './stage.ts'

const EXAMPLE = resolve(import.meta.dirname, '../../examples/first-transaction')
const RUN_MS = 300_000

const EXPECTED = [
  /^order of 3 in transaction \S+:\d+:\d+$/,
  /^ {2}stock: 3 reserved$/,
  /^ {2}stock: 3 taken from the shelf$/,
  /^committed$/,
  /^order of 5 in transaction \S+:\d+:\d+$/,
  /^ {2}stock: 5 reserved$/,
  /^ {2}stock: 5 back on the shelf$/,
  /^rolled back: the payment failed$/
]

export async function runExample({ processes, folder, tally }: Stage, coordinator: string): Promise<void> {
  const copy = join(folder, 'first-transaction')
  cpSync(EXAMPLE, copy, { recursive: true })
  const said: string[] = []
  const args = [
    '--batch-mode',
    '--quiet',
    '-Dstyle.color=never',
    'compile',
    'exec:exec',
    `-Dcoordinator=${coordinator}`
  ]
  const onLine = (line: string) => void said.push(stripVTControlCharacters(line))
  await download(processes.run('example', { command: findTool('mvn'), args, cwd: copy, onLine }, RUN_MS), MAVEN)
  for (const [i, expected] of EXPECTED.entries()) {
    const line = said[i] ?? 'nothing'
    tally.check(expected.test(line), `example: ${line.trim()}`)
  }
}
