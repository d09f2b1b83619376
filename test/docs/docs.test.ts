// The docs tell the truth: generated pages are fresh, links lead somewhere, commands exist, and what they show is what happens.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import { OPTIONS } from '../../plugin/options.ts'
import { openStorage } from '../../tc-core/storage/open.ts'
import { ERRORS } from '../../tc-core/wire/errors.ts'
import { clientsPage, configurationPage, errorsPage } from './generate.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const examples = readdirSync(join(root, 'examples')).map((name) => `examples/${name}/README.md`)
/** Where a file may be that ARCHITECTURE names without its room. */
const ROOMS = ['tc-core', 'gateway', 'test', ...readdirSync(join(root, 'tc-core')).map((room) => `tc-core/${room}`)]
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`), ...examples]

test('configuration.md, errors.md and the matrix of clients are what their tables say; npm run docs writes them', (t) => {
  t.is(read('docs/configuration.md'), configurationPage())
  t.is(read('docs/errors.md'), errorsPage())
  t.is(read('docs/clients.md'), clientsPage(read('docs/clients.md')))
  t.regex(read('docs/clients.md'), /\| Java 2\.6\.0 \|/)
  for (const { key } of OPTIONS) t.true(configurationPage().includes(`\`${key}\``), key)
  for (const code of Object.keys(ERRORS)) t.true(errorsPage().includes(code), code)
})

test('every link leads to a page that is there', (t) => {
  for (const page of pages) {
    for (const [, target] of read(page).matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      t.true(existsSync(join(root, dirname(page), target!)), `${page} links to ${target}`)
    }
  }
})

test('every npm script that a page names exists', (t) => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  for (const page of pages) {
    for (const [, name] of read(page).matchAll(
      /npm (?:run(?: -s)? )?(start|test(?::\w+)?|bench(?::\w+)?|docs|format|fuzz)\b/g
    )) {
      t.truthy(scripts[name!], `${page} names npm run ${name}`)
    }
  }
})

test('every file and folder that ARCHITECTURE names exists', (t) => {
  for (const [, name] of read('docs/ARCHITECTURE.md').matchAll(/`((?:[\w-]+\/)+[\w.-]*|[\w-]+\.ts)`/g)) {
    const places = [name!, ...ROOMS.map((room) => `${room}/${name}`)]
    t.true(
      places.some((place) => existsSync(join(root, place))),
      `${name}`
    )
  }
})

test('every limit and error has a test that names it', (t) => {
  const tests = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !name.startsWith('docs'))
    .map((name) => read(join('test', name)))
    .join('\n')
  for (const { key } of OPTIONS) if (/^max[A-Z]/.test(key)) t.true(tests.includes(key), `no test sets ${key}`)
})

test('every message that operating.md tells to look for is one that the product logs', (t) => {
  const rooms = ['plugin', 'gateway', 'tc-core'].flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).map((name) => join(room, name))
  )
  const code = rooms
    .filter((name) => name.endsWith('.ts'))
    .map(read)
    .join('\n')
  const [, section] = read('docs/operating.md').split('## Logs to look for')
  const cells = [...section!.matchAll(/^\| (`.+?`) \| \d/gm)].map(([, cell]) => cell!)
  const messages = cells.flatMap((cell) => [...cell.matchAll(/`(.+?)`/g)].map(([, message]) => message!))
  t.true(messages.length > 10)
  for (const message of messages) t.true(code.includes(`'${message}'`), message)
})

test('every option of a store that kv.md names is one that it takes, and none is left out', async (t) => {
  const [, redis] = read('docs/kv.md').split('## Redis-compatible stores')
  const named = [...redis!.split('**Reads.**')[0]!.matchAll(/^\| (`.+?`) \|/gm)].flatMap(([, cell]) =>
    cell!.split(', ')
  )
  const refusal = await t.throwsAsync(openStorage('redis://127.0.0.1?nothing=1'))
  const [, taken] = /options (.*)$/.exec(refusal!.message)!
  t.deepEqual(named.map((name) => name.replaceAll('`', '')).sort(), taken!.split(', ').sort())
})
