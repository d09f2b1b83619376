// The shape of the house: which room may import which, and what every file owes its reader.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'
import test from 'ava'

const root = join(import.meta.dirname, '../..')

/** A room and the rooms that it may import besides itself. Everybody may import wire: bytes, errors, limits, the log's form. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'tc-core/wire': [],
  'tc-core/core': ['tc-core/wire'],
  'tc-core/storage': ['tc-core/wire'],
  'tc-core/replication': ['tc-core/core', 'tc-core/storage/port.ts', 'tc-core/wire'],
  'tc-core/scheduler': ['tc-core/wire'],
  'tc-core/host': ['tc-core/core', 'tc-core/replication', 'tc-core/scheduler', 'tc-core/storage', 'tc-core/wire'],
  gateway: ['tc-core/wire'],
  plugin: ['gateway', 'tc-core/host', 'tc-core/wire']
}

/** What a room may take from npm. Node's own modules are free, but for the core. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  'tc-core/wire': ['@napi-rs/lzma', '@opentelemetry/api', 'hashring', 'protobufjs', 'seek-bzip'],
  'tc-core/storage': ['@grpc/grpc-js', 'lmdb', 'protobufjs', 'redis'],
  'tc-core/host': ['@opentelemetry/api'],
  gateway: ['@fastify/http-proxy', '@opentelemetry/api', 'fastify', 'hashring'],
  plugin: [
    '@opentelemetry/api',
    '@opentelemetry/exporter-trace-otlp-grpc',
    '@opentelemetry/exporter-trace-otlp-http',
    '@opentelemetry/exporter-trace-otlp-proto',
    '@opentelemetry/resources',
    '@opentelemetry/sdk-trace',
    'ajv',
    'fastify',
    'fastify-plugin',
    'prom-client',
    'yaml'
  ]
}

/** Modules of Node that would make the core do things or depend on chance or time. */
const CORE_MODULES = ['node:crypto']

const TOP_LEVEL = [
  'LICENSE',
  'README.md',
  'docs',
  'examples',
  'gateway',
  'package-lock.json',
  'package.json',
  'plugin',
  'tc-core',
  'test',
  'tsconfig.json'
]
const MADE = ['node_modules', 'dist', 'data']

function sources(directory: string): string[] {
  const entries = readdirSync(join(root, directory), { recursive: true, encoding: 'utf8' })
  return entries.filter((name) => name.endsWith('.ts')).map((name) => join(directory, name))
}

function imports(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!)
}

function roomOf(file: string): string {
  const rooms = Object.keys(MAY_IMPORT).filter((room) => file === room || file.startsWith(`${room}/`))
  const [room] = rooms.sort((a, b) => b.length - a.length)
  if (!room) throw new Error(`${file} is in no room`)
  return room
}

const shipped = ['plugin', 'gateway', 'tc-core'].flatMap(sources)

test('every import stays within what its room may import', (t) => {
  for (const file of shipped) {
    const room = roomOf(file)
    for (const specifier of imports(file)) {
      if (!specifier.startsWith('.')) continue
      const target = relative(root, normalize(join(root, dirname(file), specifier)))
      const allowed = [room, ...MAY_IMPORT[room]!].some((place) => target === place || target.startsWith(`${place}/`))
      t.true(allowed, `${file} imports ${target}`)
    }
  }
})

test('packages are taken only by the rooms that need them', (t) => {
  for (const file of shipped) {
    for (const specifier of imports(file)) {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) continue
      const name = specifier.startsWith('@') ? specifier.split('/').slice(0, 2).join('/') : specifier.split('/')[0]!
      t.true((PACKAGES[roomOf(file)] ?? []).includes(name), `${file} imports ${specifier}`)
    }
  }
})

test('the core is pure: no clock, chance, socket, timer or waiting in it', (t) => {
  for (const file of sources('tc-core/core')) {
    const text = readFileSync(join(root, file), 'utf8')
    for (const specifier of imports(file)) {
      if (specifier.startsWith('node:')) t.true(CORE_MODULES.includes(specifier), `${file} imports ${specifier}`)
    }
    const impure =
      /\b(await|async|Promise|setTimeout|setImmediate|setInterval|queueMicrotask|Date\.now|new Date|performance|Math\.random|randomBytes|randomInt|process\.)\b/
    const code = text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
    t.notRegex(code, impure, file)
  }
})

test('every file says in its first line what it is for, and none has more than 400 lines', (t) => {
  for (const file of [...shipped, ...sources('test'), ...sources('examples')]) {
    if (file.includes('node_modules')) continue
    const lines = readFileSync(join(root, file), 'utf8').split('\n')
    const first = lines[0]!.startsWith('#!') ? lines[1]! : lines[0]!
    t.regex(first, /^\/\/ .{20,}/, file)
    t.true(lines.length <= 401, `${file} has ${lines.length} lines`)
  }
})

test('the top level is what was agreed', (t) => {
  const found = readdirSync(root).filter(
    (name) => !name.startsWith('.') && !MADE.includes(name) && !name.endsWith('.tgz')
  )
  t.deepEqual(found.sort(), TOP_LEVEL)
})

test('a breach of the import rules is seen', (t) => {
  t.is(roomOf('tc-core/core/modes/saga.ts'), 'tc-core/core')
  t.is(roomOf('plugin/index.ts'), 'plugin')
  t.false(MAY_IMPORT.gateway!.some((place) => 'tc-core/core/state.ts'.startsWith(`${place}/`)))
  t.throws(() => roomOf('elsewhere/x.ts'))
})
