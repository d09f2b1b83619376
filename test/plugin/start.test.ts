// The executable's start: what was compiled is kept in the user's own cache, and a user who has none is served all the same.
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { temporaryDirectory } from '../e2e/servers.ts'

const CLI = join(import.meta.dirname, '../../plugin/cli.ts')

function version(env: NodeJS.ProcessEnv) {
  const { NODE_COMPILE_CACHE: _, XDG_CACHE_HOME: __, ...rest } = process.env
  return spawnSync(process.execPath, [CLI, '--version'], { encoding: 'utf8', env: { ...rest, ...env } })
}

/** The files in a folder and below, with when each was written. */
function files(folder: string): string[] {
  const found = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  return found.map(({ parentPath, name }) => `${name} ${statSync(join(parentPath, name)).mtimeMs}`).sort()
}

test('what was compiled is kept under XDG_CACHE_HOME, or ~/.cache, and found at the next start', (t) => {
  t.timeout(30_000)
  for (const [variable, below] of [
    ['XDG_CACHE_HOME', ''],
    ['HOME', '.cache']
  ] as const) {
    const home = temporaryDirectory(t)
    t.regex(version({ [variable]: home }).stdout, /^\d+\.\d+\.\d+\n$/)
    const kept = files(join(home, below, 'fastify-seata'))
    t.true(kept.length > 50, `${kept.length} modules`)
    t.is(version({ [variable]: home }).status, 0)
    t.deepEqual(files(join(home, below, 'fastify-seata')), kept)
  }
})

test('a cache that cannot be written is no obstacle', (t) => {
  const file = join(temporaryDirectory(t), 'file')
  writeFileSync(file, '')
  const { status, stdout, stderr } = version({ XDG_CACHE_HOME: file })
  t.is(status, 0, stderr)
  t.regex(stdout, /^\d+\.\d+\.\d+\n$/)
})

test('a cache that others may write to is not used', (t) => {
  const home = temporaryDirectory(t)
  const cache = join(home, 'fastify-seata')
  mkdirSync(cache)
  chmodSync(cache, 0o777)
  t.is(version({ XDG_CACHE_HOME: home }).status, 0)
  t.deepEqual(files(cache), [])
})
