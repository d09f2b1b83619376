// The docs tell the truth: generated pages are fresh, links lead somewhere, commands exist, and what they show is what happens.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import test from 'ava'
import { OPTIONS } from '../../plugin/options.ts'
import { ERRORS } from '../../tc-core/wire/errors.ts'
import { configurationPage, errorsPage } from './generate.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const examples = readdirSync(join(root, 'examples')).map((name) => `examples/${name}/README.md`)
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`), ...examples]

test('configuration.md and errors.md are what their tables say; npm run docs writes them', (t) => {
  t.is(read('docs/configuration.md'), configurationPage())
  t.is(read('docs/errors.md'), errorsPage())
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
    for (const [, name] of read(page).matchAll(/npm (?:run(?: -s)? )?(start|test(?::\w+)?|bench|docs|format)\b/g)) {
      t.truthy(scripts[name!], `${page} names npm run ${name}`)
    }
  }
})

test('every file and folder that ARCHITECTURE names exists', (t) => {
  for (const [, name] of read('docs/ARCHITECTURE.md').matchAll(/`((?:[\w-]+\/)+[\w.-]*|[\w-]+\.ts)`/g)) {
    const places = [
      name!,
      ...['tc-core', 'gateway', 'tc-core/core', 'tc-core/host', 'tc-core/replication', 'tc-core/wire', 'test'].map(
        (room) => `${room}/${name}`
      )
    ]
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
