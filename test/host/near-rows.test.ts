// A gateway in front of real nodes learns where rows are guarded, and lets transactions begin there.
import test from 'ava'
import { BranchType } from '../../tc-core/wire/codes.ts'
import { lockHomes } from '../../tc-core/wire/lock-homes.ts'
import { fragmentOf } from '../../tc-core/wire/xid.ts'
import type { SeataClient } from '../client/client.ts'
import { TestCluster } from './cluster.ts'

const TABLES = ['account', 'orders', 'stock', 't5']

async function start(t: { teardown(then: () => unknown): void }, lockParts: number) {
  const cluster = new TestCluster(t, { fragments: 8, lockParts, replicas: 3 })
  for (const name of ['n1', 'n2']) await cluster.node(name)
  await cluster.settled()
  const { client } = await cluster.gateway()
  const c = await client()
  await c.registerRM('db')
  return c
}

/** Where the transaction began. */
async function buy(c: SeataClient, table: string, pk: number): Promise<number> {
  const { xid } = await c.begin(`buy ${table}`)
  await c.register(xid, 'db', BranchType.AT, `${table}:${pk}`)
  await c.commit(xid)
  return fragmentOf(xid)
}

test('transactions of one name begin at the home of their table, as soon as one of them has locked a row', async (t) => {
  const c = await start(t, 1)
  const homes = lockHomes({ fragments: 8, lockParts: 1 })
  for (const table of TABLES) {
    const home = homes.of('db', table, '')
    // One in 10 ms is followed: within this time one of these; and a begin may come to the home by chance.
    const followed = performance.now() + 50
    let pk = 0
    while ((await buy(c, table, ++pk)) !== home || performance.now() < followed) t.true(pk < 10_000)
    // What begins together elsewhere stays so for 100 ms: this is longer.
    const until = performance.now() + 400
    while (performance.now() < until) t.is(await buy(c, table, ++pk), home, table)
  }
})

test('where a table has many parts, they go on to be spread', async (t) => {
  const c = await start(t, 64)
  const places = new Set<number>()
  for (let pk = 0; places.size < 4; pk++) {
    t.true(pk < 10_000)
    places.add(await buy(c, 'account', pk))
  }
})
