// The plugin in somebody's app: its options, its decorator, its routes, and its place in the app's life.
import { Ajv } from 'ajv'
import test from 'ava'
import Fastify from 'fastify'
import { readArguments } from '../../plugin/arguments.ts'
import { configure, suggestion } from '../../plugin/config.ts'
import seata, { type SeataOptions } from '../../plugin/index.ts'
import { flagOf, OPTIONS, schemaOf, variableOf } from '../../plugin/options.ts'
import { GlobalStatus } from '../../tc-core/wire/codes.ts'
import { SeataError } from '../../tc-core/wire/errors.ts'
import { connect, startApp, temporaryDirectory } from '../e2e/servers.ts'

test('it listens when the app is ready, not before, and is gone when the app is closed', async (t) => {
  const app = Fastify()
  app.register(seata, { port: 0, kv: 'memory:' })
  app.get('/mine', async () => 'mine')
  await app.ready()
  const { port } = app.seata.address!
  const client = await connect(t, { port })
  await client.registerTM()
  const { xid } = await client.begin()
  t.is((await client.commit(xid)).globalStatus, GlobalStatus.Committed)
  t.is((await app.inject('/mine')).body, 'mine')
  await app.close()
  await t.throwsAsync(connect(t, { port }), { message: /ECONNREFUSED/ })
})

test('app.seata tells the address, the store and the health', async (t) => {
  const { app } = await startApp(t)
  t.is(app.seata.store, 'memory:')
  t.is(app.seata.address!.address, '127.0.0.1')
  t.like(app.seata.health(), { ok: true, connections: 0, parked: 0 })
  t.like(app.seata.health().fragments[0], { fragment: 0, role: 'leader', transactions: 0, trouble: null })
})

test('health routes, under a prefix if the app wants', async (t) => {
  const { app } = await startApp(t, { prefix: '/tc' })
  t.is((await app.inject('/health')).statusCode, 404)
  const health = await app.inject('/tc/health')
  t.is(health.statusCode, 200)
  t.is(health.body, '"ok"')
  t.is(health.headers['cache-control'], 'no-store')
  t.like((await app.inject('/tc/health/detail')).json(), { ok: true, store: 'memory:' })
})

test('wrong options reject the registration with a code and every mistake', async (t) => {
  const app = Fastify()
  const wrong = { port: 99999, kv: 'nothing', prot: 1 } as unknown as SeataOptions
  const error = await t.throwsAsync(async () => void (await app.register(seata, wrong)), { instanceOf: SeataError })
  t.is(error!.code, 'SEATA_OPTION_INVALID')
  for (const text of ['port is 99999', 'kv is "nothing"', 'prot is not an option, did you mean port?']) {
    t.true(error!.message.includes(text), error!.message)
  }
})

test("options of the command alone are not the plugin's", (t) => {
  t.throws(() => configure({ httpPort: 1 }, 'plugin'), { message: /httpPort is not an option/ })
  t.is(configure({ httpPort: 1 }, 'start').httpPort, 1)
})

test('a port that is taken rejects ready, and the app can be closed', async (t) => {
  const { port } = await startApp(t)
  const app = Fastify()
  app.register(seata, { port, kv: 'memory:' })
  await t.throwsAsync(async () => void (await app.ready()), { message: /EADDRINUSE/ })
  await t.notThrowsAsync(async () => app.close())
})

test('a second registration in one app is refused by its decorator', async (t) => {
  const { app } = await startApp(t)
  t.true(app.hasDecorator('seata'))
  const other = Fastify()
  other.register(seata, { port: 0, kv: 'memory:' })
  other.register(seata, { port: 0, kv: 'memory:' })
  await t.throwsAsync(async () => void (await other.ready()), { any: true, code: 'FST_ERR_DEC_ALREADY_PRESENT' })
  await other.close()
})

test('what one app stored, the next finds', async (t) => {
  const kv = `sqlite:${temporaryDirectory(t)}`
  const first = Fastify()
  await first.register(seata, { port: 0, kv })
  await first.ready()
  const client = await connect(t, { port: first.seata.address!.port })
  await client.registerTM()
  const { xid } = await client.begin()
  await first.close()
  const { client: again } = await startApp(t, { kv })
  const later = await again()
  await later.registerTM()
  t.is((await later.status(xid)).globalStatus, GlobalStatus.Begin)
})

test('every option has one flag and one variable, a default that is allowed, and words', (t) => {
  t.is(new Set(OPTIONS.map(flagOf)).size, OPTIONS.length)
  t.is(new Set(OPTIONS.map(variableOf)).size, OPTIONS.length)
  t.notThrows(() => configure({}, 'start'))
  for (const option of OPTIONS) t.regex(option.doc, /^[A-Z].*\.$/, option.key)
})

test('the schemas that are made of the option table are schemas', (t) => {
  for (const kind of ['plugin', 'start', 'node', 'gateway'] as const)
    t.notThrows(() => new Ajv({ strict: true, validateSchema: true }).compile(schemaOf(kind)), kind)
})

test('every option is read from its flag and from its variable', (t) => {
  for (const option of OPTIONS) {
    const command = option.of?.[0] ?? 'start'
    const others = command === 'gateway' && option.key !== 'nodes' ? ['--nodes', 'n:1'] : []
    const value =
      option.type === 'boolean'
        ? 'true'
        : option.type === 'integer'
          ? String(option.maximum)
          : (option.values?.[0] ?? sample(option.key))
    const flag = option.type === 'boolean' ? [flagOf(option)] : [flagOf(option), value]
    const byFlag = readArguments(command, [...flag, ...others], {}).config as unknown as Record<string, unknown>
    const byVariable = readArguments(command, others, { [variableOf(option)]: value }).config as unknown as Record<
      string,
      unknown
    >
    t.is(String(byFlag[option.key]), value, flagOf(option))
    t.is(String(byVariable[option.key]), value, variableOf(option))
  }
})

function sample(key: string): string {
  return {
    host: '0.0.0.0',
    advertise: 'seata.example:8091',
    kv: 'sqlite:/var/lib/seata',
    cluster: 'c1',
    clusterKey: 'only we know',
    name: 'n1',
    link: 'n1:9091',
    traceKeep: 'rollback,slow',
    nodes: 'a:9091,b:9091'
  }[key]!
}

test('a misspelt option is told its neighbour, a foreign one is not', (t) => {
  t.is(suggestion('prot'), ', did you mean port?')
  t.is(suggestion('httport'), ', did you mean httpPort?')
  t.is(suggestion('somethingElse'), '')
})
