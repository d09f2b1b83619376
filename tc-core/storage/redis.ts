// The engine for Redis-compatible stores that keep several copies by consensus: RedisRaft, IceFireDB and others on uhaha, MemoryDB,
// ElastiCache with durability sync; and a plain Redis that flushes every write. One shard: one leader for all keys.
//
// Commands: SETNX, SET, GET, MGET, DEL, PING, AUTH, CLUSTER SLOTS, in RESP 2. That is what all of them have; none needs more to be safe.
//
// Reads are linearizable when the user says so (?reads=linearizable: right for RedisRaft with quorum reads, MemoryDB, ElastiCache), or when
// there is one copy only: one node in the URL, and one that does not answer CLUSTER SLOTS. Nothing in these commands tells an engine whose
// leader asks a quorum before it reads from one whose leader believes that it leads, so otherwise they are taken for stale. A store that
// was taken for a single copy is never left for another node, whatever it says.
import { SeataError } from '../wire/errors.ts'
import { type Lane, type Storage, StorageError } from './port.ts'
import { Channel } from './redis-channel.ts'
import { Connection, CredentialsRefused, NodeError, type Reply } from './redis-connection.ts'
import { Leader } from './redis-leader.ts'
import { leadersIn } from './redis-replies.ts'
import { REDIS_TUNING, type RedisTuning } from './redis-tuning.ts'
import { parseRedisUrl, type RedisAddress } from './redis-url.ts'

/** Values of at most 1 MiB: so many in one reply stay bounded, and replay reads 32 at a time. */
const KEYS_PER_READ = 8
const KEYS_PER_DELETE = 128

/** Rejects with SEATA_STORE_OPEN_FAILED when the address is wrong, no node answers, or a node refuses the credentials. */
export async function openRedis(url: string, tuning: RedisTuning = REDIS_TUNING): Promise<Storage> {
  const address = parseRedisUrl(url)
  const { first, leaders } = await look(address, tuning)
  if (leaders !== null && leaders.length > 1) {
    throw refused(address, `its slots have ${leaders.length} leaders, and a store has one shard`)
  }
  const single = address.nodes.length === 1 && leaders === null && address.reads === null
  const leader = new Leader(address.nodes, leaders?.[0] ?? first, !single)
  const connect = (node: string) => Connection.open(node, address, tuning)
  const channels = Array.from({ length: address.connections }, () => new Channel(leader, connect, tuning))
  return {
    url: address.url,
    linearizableReads: single || address.reads === 'linearizable',
    lane: (name) => new RedisLane(channels[placeOf(name) % channels.length]!),
    close: async () => {
      await Promise.all(channels.map((channel) => channel.close()))
    }
  }
}

/** Consecutive numbers, which fragments are, come to consecutive places. */
function placeOf(name: string): number {
  let place = 0
  for (const char of name) place = (place * 31 + char.codePointAt(0)!) % 2 ** 32
  return place
}

/** Asks one node after the other until one answers, each at least once. `leaders`: who leads by CLUSTER SLOTS, null where it is not answered. */
async function look(
  address: RedisAddress,
  tuning: RedisTuning
): Promise<{ first: string; leaders: readonly string[] | null }> {
  const end = performance.now() + tuning.openMs
  const said = new Map<string, string>()
  for (let i = 0; i < address.nodes.length || performance.now() < end; i++) {
    const node = address.nodes[i % address.nodes.length]!
    try {
      return await ask(node, address, tuning)
    } catch (error) {
      said.set(node, `${node}: ${(error as Error).message}`)
      if (error instanceof CredentialsRefused) break
    }
    await new Promise((resolve) => setTimeout(resolve, tuning.pauseMaxMs))
  }
  throw refused(address, [...said.values()].join('; '))
}

async function ask(node: string, address: RedisAddress, tuning: RedisTuning) {
  const connection = await Connection.open(node, address, tuning)
  try {
    await connection.send(['PING']).catch((error: Error) => {
      throw error.message.startsWith('NOAUTH') ? new CredentialsRefused(error.message) : error
    })
    const slots = await connection.send(['CLUSTER', 'SLOTS']).catch((error) => {
      if (error instanceof NodeError) return null
      throw error
    })
    return { first: node, leaders: slots === null ? null : leadersIn(slots, node) }
  } finally {
    connection.drop('closed')
  }
}

function refused(address: RedisAddress, why: string): SeataError {
  return new SeataError('SEATA_STORE_OPEN_FAILED', [address.url, why])
}

class RedisLane implements Lane {
  readonly #channel: Channel

  constructor(channel: Channel) {
    this.#channel = channel
  }

  async setIfAbsent(key: string, value: Uint8Array): Promise<boolean> {
    const reply = await this.#channel.call(false, ['SETNX', key, Buffer.from(value)])
    if (reply !== 0 && reply !== 1) throw strange('SETNX', reply)
    return reply === 1
  }

  async get(key: string): Promise<Buffer | null> {
    return bytesIn('GET', await this.#channel.call(true, ['GET', key]))
  }

  async getMany(keys: readonly string[]): Promise<(Buffer | null)[]> {
    const parts = parted(keys, KEYS_PER_READ)
    const last = parts.pop()
    const values = await Promise.all(parts.map((part) => this.#mget(part)))
    return last ? [...values.flat(), ...(await this.#mget(last))] : []
  }

  async #mget(keys: readonly string[]): Promise<(Buffer | null)[]> {
    const reply = await this.#channel.call(true, ['MGET', ...keys])
    if (!Array.isArray(reply) || reply.length !== keys.length) throw strange('MGET', reply)
    return reply.map((value) => bytesIn('MGET', value))
  }

  async set(key: string, value: Uint8Array): Promise<void> {
    await this.#channel.call(false, ['SET', key, Buffer.from(value)])
  }

  /** How many were deleted is not looked at: some engines count what they were asked for. */
  async delete(keys: readonly string[]): Promise<void> {
    await Promise.all(parted(keys, KEYS_PER_DELETE).map((part) => this.#channel.call(false, ['DEL', ...part])))
  }
}

function parted(keys: readonly string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(keys.length / size) }, (_, i) => keys.slice(i * size, (i + 1) * size))
}

function bytesIn(command: string, reply: Reply): Buffer | null {
  if (reply !== null && !Buffer.isBuffer(reply)) throw strange(command, reply)
  return reply
}

function strange(command: string, reply: Reply): StorageError {
  return new StorageError(`the answer to ${command} cannot be understood: ${String(reply).slice(0, 100)}`)
}
