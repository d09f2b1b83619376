// The package as npm hands it out: packed, installed into an empty project, imported with its types, and run as a command.
import { type SpawnSyncReturns, spawn, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'ava'
import { temporaryDirectory } from '../e2e/servers.ts'

const root = join(import.meta.dirname, '../..')
const node = process.execPath

function run(command: string, args: string[], cwd: string): SpawnSyncReturns<string> {
  return spawnSync(command, args, { cwd, encoding: 'utf8', env: { ...process.env, npm_config_loglevel: 'error' } })
}

/** The first line that a program prints, or the first that fits; the program goes with the test. */
async function firstLine(
  t: { teardown(then: () => unknown): void },
  args: string[],
  cwd: string,
  env: NodeJS.ProcessEnv = {},
  fits: (line: string) => boolean = () => true
): Promise<string> {
  const child = spawn(node, args, { cwd, env: { ...process.env, ...env } })
  t.teardown(() => child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) if (fits(line)) return line
  return 'nothing'
}

const USER = `import Fastify from 'fastify'
import seata, { type SeataHealth, type SeataOptions } from 'fastify-seata'

const options: SeataOptions = { port: 0, kv: 'memory:', maxTransactions: 10 }
const app = Fastify()
await app.register(seata, options)
await app.ready()
const health: SeataHealth = app.seata.health()
const port: number = app.seata.address!.port
console.log(JSON.stringify({ ok: health.ok, listens: port > 0 }))
await app.close()
// @ts-expect-error: no such option
const wrong: SeataOptions = { prot: 1 }
void wrong
`

test('npm pack gives a package that works in an empty project: import, types and command', async (t) => {
  t.timeout(120_000)
  const directory = temporaryDirectory(t)
  const packed = run('npm', ['pack', '--pack-destination', directory], root)
  t.is(packed.status, 0, packed.stderr)
  const [tarball] = readdirSync(directory)
  const project = join(directory, 'project')
  mkdirSync(project)
  writeFileSync(join(project, 'package.json'), JSON.stringify({ name: 'user', type: 'module', private: true }))
  const installed = run(
    'npm',
    ['install', '--no-audit', '--no-fund', join(directory, tarball!), 'fastify@5', '@types/node@24'],
    project
  )
  t.is(installed.status, 0, installed.stderr)

  writeFileSync(join(project, 'user.ts'), USER)
  const ran = run(node, ['user.ts'], project)
  t.is(ran.stdout, '{"ok":true,"listens":true}\n', ran.stderr)

  const compilerOptions = { module: 'nodenext', target: 'es2024', strict: true, noEmit: true, types: ['node'] }
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['user.ts'] }))
  const checked = run(join(root, 'node_modules/.bin/tsc'), ['-p', '.'], project)
  t.is(checked.status, 0, checked.stdout)

  const [, readme] = /```ts\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))!
  writeFileSync(join(project, 'readme.ts'), readme!.replace('port: 8091', 'port: 0').replace('port: 3000', 'port: 0'))
  t.is(await firstLine(t, ['readme.ts'], project), 'true')
  cpSync(join(root, 'examples/plugin/app.ts'), join(project, 'app.ts'))
  const said = await firstLine(t, ['app.ts'], project, { PORT: '0', SEATA_PORT: '0' }, (line) => !line.startsWith('{'))
  t.regex(said, /^Seata on port \d+$/)

  const command = spawn(
    node,
    [join(project, 'node_modules/.bin/fastify-seata'), 'start', '--port', '0', '--http-port', '0'],
    {
      cwd: project
    }
  )
  t.teardown(() => command.kill('SIGKILL'))
  const line = await new Promise<string>((resolve) =>
    command.stdout.once('data', (chunk: Buffer) => resolve(chunk.toString()))
  )
  t.regex(line, /^fastify-seata \d+\.\d+\.\d+: Seata on 127\.0\.0\.1:\d+, .* store sqlite:\.\/data\n$/)
  command.kill('SIGTERM')
  t.is(await new Promise((resolve) => command.on('exit', resolve)), 0)
})
