// The etcd engine on a cluster of three real members: the conformance suite, and a writer under which the leader is killed and frozen.
import test, { type ExecutionContext } from 'ava'
import { writeSlot } from '../../tc-core/replication/slot.ts'
import { CHECKS } from '../../tc-core/storage/conformance.ts'
import { openStorage } from '../../tc-core/storage/open.ts'
import type { Lane, Storage, StorageError } from '../../tc-core/storage/port.ts'
import { EtcdServers } from './etcd.ts'

let servers: EtcdServers
let run = 0
test.before(async () => {
  servers = await EtcdServers.start()
})
test.after.always(() => servers?.stop())

async function open(t: ExecutionContext, url = servers.url): Promise<Storage> {
  const storage = await openStorage(url)
  t.teardown(() => storage.close())
  return storage
}

for (const check of CHECKS) {
  test.serial(`etcd: ${check.name}`, async (t) => {
    const prefix = `{check:${++run}}`
    await t.notThrowsAsync(
      check.run(
        () => open(t),
        (name) => `${prefix}:${name}`
      )
    )
  })
}

const valueAt = (i: number) => Buffer.alloc(2048, `${i}`)

/** Writes index after index as a leader does, and knows what was acknowledged. */
class Writer {
  readonly #lane: Lane
  readonly #prefix = `{writer:${++run}}:e:`
  readonly #log: (line: string) => void
  #stopped = false
  #done: Promise<void>
  #lastAck = performance.now()
  #next = 0
  /** The longest wait between two acknowledgements since it was last reset. */
  gap = 0
  longestCall = 0

  constructor(lane: Lane, log: (line: string) => void) {
    this.#lane = lane
    this.#log = log
    this.#done = this.#write()
  }

  get acknowledged(): number {
    return this.#next
  }

  async #write(): Promise<void> {
    const timed = timing(this.#lane, (ms) => (this.longestCall = Math.max(this.longestCall, ms)))
    const options = {
      lane: timed,
      sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
      onTrouble: (error: StorageError | null) => error && this.#log(`  ${error.message}`),
      abandoned: () => false
    }
    while (!this.#stopped) {
      const outcome = await writeSlot(options, this.#prefix + this.#next, valueAt(this.#next))
      if (outcome.kind !== 'written') throw new Error(`index ${this.#next} is ${outcome.kind}`)
      this.#next++
      const now = performance.now()
      this.gap = Math.max(this.gap, now - this.#lastAck)
      this.#lastAck = now
    }
  }

  /** Waits until `more` indexes are acknowledged from now on. */
  async goesOn(more: number): Promise<void> {
    const wanted = this.#next + more
    while (this.#next < wanted) {
      await Promise.race([this.#done, new Promise((resolve) => setTimeout(resolve, 5))])
      if (this.#stopped) throw new Error('the writer has stopped')
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#done
  }

  /** Indexes that were acknowledged and are not there, over another connection. */
  async lost(lane: Lane): Promise<number[]> {
    const lost: number[] = []
    for (let from = 0; from < this.#next; from += 100) {
      const indexes = Array.from({ length: Math.min(100, this.#next - from) }, (_, i) => from + i)
      const values = await lane.getMany(indexes.map((i) => this.#prefix + i))
      lost.push(...indexes.filter((index, i) => !values[i]?.equals(valueAt(index))))
    }
    return lost
  }
}

function timing(lane: Lane, took: (ms: number) => void): Lane {
  const timed = async <T>(call: Promise<T>): Promise<T> => {
    const began = performance.now()
    return call.finally(() => took(performance.now() - began))
  }
  return {
    setIfAbsent: (key, value) => timed(lane.setIfAbsent(key, value)),
    get: (key) => timed(lane.get(key)),
    getMany: (keys) => lane.getMany(keys),
    set: (key, value) => lane.set(key, value),
    delete: (keys) => lane.delete(keys)
  }
}

/** A store connected to this member: for the moment of the search the others are frozen. */
async function openOn(t: ExecutionContext, member: number): Promise<Storage> {
  const others = [0, 1, 2].filter((i) => i !== member)
  for (const i of others) servers.pause(i)
  try {
    return await open(t)
  } finally {
    for (const i of others) servers.resume(i)
  }
}

/** What is done to the leader under a writer, and undone afterwards. */
const harm: Record<string, { do(leader: number): unknown; undo(leader: number): unknown }> = {
  'is killed': { do: (leader) => servers.kill(leader), undo: (leader) => servers.restart(leader) },
  'is frozen': { do: (leader) => servers.pause(leader), undo: (leader) => servers.resume(leader) }
}

for (const [what, { do: harmIt, undo }] of Object.entries(harm)) {
  for (const side of ['its own', 'a follower’s'] as const) {
    test.serial(`the leader ${what} under a writer on ${side} connection: nothing acknowledged is lost`, async (t) => {
      const leader = await servers.leader(3)
      const storage = await openOn(t, side === 'its own' ? leader : (leader + 1) % 3)
      const writer = new Writer(storage.lane('0'), t.log)
      await writer.goesOn(200)
      writer.gap = 0
      await harmIt(leader)
      await writer.goesOn(200)
      const { gap, longestCall } = writer
      await undo(leader)
      await servers.leader(3)
      await writer.goesOn(200)
      await writer.stop()
      t.log(
        `${writer.acknowledged} acknowledged; next one after ${gap.toFixed()} ms; longest call ${longestCall.toFixed()} ms`
      )
      t.deepEqual(await writer.lost((await open(t)).lane('0')), [])
      t.true(longestCall < 2500)
      t.true(gap < 10_000)
    })
  }
}

test.serial(
  'with authentication on: the right password opens it, a lost token is renewed, a wrong password is refused',
  async (t) => {
    const name = 'root'
    const password = 'p@ss/word'
    await servers.ask(0, '/v3/auth/user/add', { name, password })
    await servers.ask(0, '/v3/auth/role/add', { name })
    await servers.ask(0, '/v3/auth/user/grant', { user: name, role: name })
    await servers.ask(0, '/v3/auth/enable', {})
    const login = (secret: string) => `etcd://${name}:${encodeURIComponent(secret)}@${servers.hosts}`
    const storage = await open(t, login(password))
    t.false(storage.url.includes('word'))
    const lane = storage.lane('0')
    t.true(await lane.setIfAbsent('{auth}:a', Buffer.from('a')))
    // Tokens live in memory: after a restart of all members none is known.
    for (const i of [0, 1, 2]) await servers.kill(i)
    for (const i of [0, 1, 2]) servers.restart(i)
    const options = {
      lane,
      sleep: (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
      onTrouble: () => {},
      abandoned: () => false
    }
    t.is((await writeSlot(options, '{auth}:b', Buffer.from('b'))).kind, 'written')
    t.deepEqual(await lane.get('{auth}:a'), Buffer.from('a'))
    await t.throwsAsync(openStorage(login('wrong')), { message: /refuses this user or password/ })
    await t.throwsAsync((await openStorage(servers.url)).lane('0').get('{auth}:a'), {
      message: /wants a user and a password/
    })
  }
)
