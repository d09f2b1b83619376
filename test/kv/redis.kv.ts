// The redis engine on a real redis-server: the conformance suite, kill -9 under writers that lose nothing, credentials and TLS.
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { writeSlot } from '../../tc-core/replication/slot.ts'
import { CHECKS } from '../../tc-core/storage/conformance.ts'
import { openStorage } from '../../tc-core/storage/open.ts'
import type { Storage } from '../../tc-core/storage/port.ts'
import { selfSigned } from '../storage/self-signed.ts'
import { RedisServer } from './redis-server.ts'

async function start(t: ExecutionContext, ...how: Parameters<typeof RedisServer.start>): Promise<RedisServer> {
  const server = await RedisServer.start(...how)
  t.teardown(() => server.end())
  return server
}

/** Waits for the server: opening tries until it answers. */
async function open(t: ExecutionContext, url: string): Promise<Storage> {
  const storage = await openStorage(url)
  t.teardown(() => storage.close())
  return storage
}

for (const check of CHECKS) {
  test.serial(`redis-server: ${check.name}`, async (t) => {
    const { port } = await start(t)
    await t.notThrowsAsync(
      check.run(
        () => open(t, `redis://127.0.0.1:${port}`),
        (name) => `{check}:${name}`
      )
    )
  })
}

test.serial(
  'killed again and again under writers that try until they know: nothing that was acknowledged is lost',
  async (t) => {
    const KILLS = 5
    const WRITERS = 8
    const BETWEEN_KILLS = 400
    const server = await start(t)
    const storage = await open(t, `redis://127.0.0.1:${server.port}`)
    const written = new Map<string, Buffer>()
    let troubles = 0
    let kills = 0
    let killing: Promise<void> | null = null

    const killWhenDue = () => {
      if (killing || kills === KILLS || written.size < (kills + 1) * BETWEEN_KILLS) return
      kills++
      killing = server
        .kill()
        .then(() => server.start())
        .then(() => {
          killing = null
        })
    }
    await Promise.all(
      Array.from({ length: WRITERS }, async (_, w) => {
        const options = {
          lane: storage.lane(String(w)),
          sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
          onTrouble: (error: Error | null) => (troubles += error ? 1 : 0),
          abandoned: () => false
        }
        for (let i = 0; kills < KILLS || killing; i++) {
          const key = `{f${w}}:e:${i}`
          const value = Buffer.from(`${key} `.repeat(100))
          const outcome = await writeSlot(options, key, value)
          t.is(outcome.kind, 'written', key)
          written.set(key, value)
          killWhenDue()
        }
      })
    )
    await server.kill()
    await server.start()
    const reader = await open(t, `redis://127.0.0.1:${server.port}`)
    const keys = [...written.keys()]
    const values = await reader.lane('reader').getMany(keys)
    const lost = keys.filter((key, i) => !values[i]?.equals(written.get(key)!))
    t.deepEqual(lost, [])
    t.true(written.size >= KILLS * BETWEEN_KILLS)
    t.true(troubles >= KILLS)
    t.log(`${written.size} writes acknowledged, ${kills} kills, ${troubles} unknown outcomes`)
  }
)

test.serial('credentials: a password alone, a user with one, and wrong ones', async (t) => {
  const acl = '--user default off --user seata on >geheim ~* +@all'.split(' ')
  const withUser = await start(t, acl)
  const alone = await start(t, ['--requirepass', 'geheim'])
  for (const url of [`redis://seata:geheim@127.0.0.1:${withUser.port}`, `redis://:geheim@127.0.0.1:${alone.port}`]) {
    const storage = await open(t, url)
    t.true(await storage.lane('0').setIfAbsent('k', Buffer.from('v')))
    t.true(storage.linearizableReads)
  }
  const code = 'SEATA_STORE_OPEN_FAILED'
  await t.throwsAsync(openStorage(`redis://:wrong@127.0.0.1:${alone.port}`), { code, message: /WRONGPASS/ })
  await t.throwsAsync(openStorage(`redis://127.0.0.1:${alone.port}`), { code, message: /NOAUTH/ })
})

test.serial('TLS, both sides with a certificate', async (t) => {
  const { key, cert } = selfSigned()
  const files = { 'key.pem': key, 'cert.pem': cert, 'ca.pem': cert }
  const named = ['--tls-key-file', 'key.pem', '--tls-cert-file', 'cert.pem', '--tls-ca-cert-file', 'ca.pem']
  const server = await start(t, ['--tls-port', '{port}', ...named], files)
  const query = ['ca', 'cert', 'key'].map((name) => `${name}=${join(server.directory, name)}.pem`).join('&')
  const storage = await open(t, `rediss://127.0.0.1:${server.port}?${query}`)
  const large = Buffer.alloc(1024 * 1024, 7)
  t.true(await storage.lane('0').setIfAbsent('k', large))
  t.true((await storage.lane('1').get('k'))?.equals(large))
})
