// The engine for clusters: etcd's v3 API over gRPC. Writes go through its consensus, reads ask its leader: all is linearizable.
import { SeataError } from '../wire/errors.ts'
import { readEtcdUrl } from './etcd-address.ts'
import { EtcdCluster, storageError } from './etcd-cluster.ts'
import { EtcdGroups } from './etcd-group.ts'
import * as messages from './etcd-messages.ts'
import { RPC } from './etcd-messages.ts'
import { LaneQueue } from './lane-queue.ts'
import { type Lane, type Storage, StorageError } from './port.ts'

/** Ms in which a call ends, well or not. */
const CALL_MS = 2000
/** Ms for which a cluster that is just starting or electing is waited for at the start. */
const OPEN_MS = 5000
const OPEN_PAUSE_MS = 100
/** Calls that wait at the same time; one more is refused. */
const MAX_CALLS = 1024
/** Keys of one transaction: etcd allows 128 operations, and the answer has to arrive within a call's time. */
const KEYS_AT_ONCE = 32
const DELETES_AT_ONCE = 128
/** etcd's default of --max-request-bytes, less what it wraps around a request. */
const MAX_REQUEST_BYTES = 1536 * 1024 - 512

/** Rejects with SEATA_STORE_OPEN_FAILED when no member answers, or none takes the login. */
export async function openEtcd(address: string): Promise<Storage> {
  const parts = readEtcdUrl(address)
  const storage = new EtcdStorage(parts.url, new EtcdCluster(parts))
  try {
    await storage.connect(performance.now() + OPEN_MS)
  } catch (error) {
    await storage.close()
    throw new SeataError('SEATA_STORE_OPEN_FAILED', [parts.url, (error as Error).message], error)
  }
  return storage
}

class EtcdStorage implements Storage {
  readonly url: string
  readonly linearizableReads = true
  readonly #cluster: EtcdCluster
  readonly #groups: EtcdGroups
  #calls = 0
  #closing: Promise<void> | null = null
  #onIdle = () => {}

  constructor(url: string, cluster: EtcdCluster) {
    this.url = url
    this.#cluster = cluster
    this.#groups = new EtcdGroups(cluster, MAX_REQUEST_BYTES)
  }

  /** Tries until `end`, as long as nobody answers; what a member answers is final. */
  async connect(end: number): Promise<void> {
    for (;;) {
      try {
        return await this.#cluster.connect(performance.now() + CALL_MS)
      } catch (error) {
        const nobody = (error as StorageError).cause instanceof AggregateError
        if (!nobody || performance.now() >= end) throw error
        await new Promise((resolve) => setTimeout(resolve, OPEN_PAUSE_MS))
      }
    }
  }

  lane(): Lane {
    return new EtcdLane(this)
  }

  /** Counts a call until it has ended; every call ends within {@link CALL_MS}. */
  async run<T>(queue: LaneQueue, kind: 'read' | 'write', work: (cluster: EtcdCluster, end: number) => Promise<T>) {
    if (this.#closing) throw new StorageError('the store is closed')
    if (this.#calls >= MAX_CALLS) throw new StorageError(`${MAX_CALLS} calls wait for etcd, and that is the limit`)
    const end = performance.now() + CALL_MS
    this.#calls++
    try {
      await queue.enter(kind)
      try {
        return await work(this.#cluster, end)
      } finally {
        queue.leave(kind)
      }
    } catch (error) {
      // Bytes that are no message throw RangeError.
      throw storageError(error)
    } finally {
      if (--this.#calls === 0) this.#onIdle()
    }
  }

  setIfAbsent(queue: LaneQueue, key: string, value: Uint8Array): Promise<boolean> {
    const request = fitting(messages.putIfAbsentRequest(key, value), value)
    return this.run(queue, 'write', (_, end) => this.#groups.write(key, request, end))
  }

  /** Waits for the calls on the way: they end by themselves. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#calls > 0) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    this.#cluster.close()
  }
}

class EtcdLane implements Lane {
  readonly #storage: EtcdStorage
  readonly #queue = new LaneQueue()

  constructor(storage: EtcdStorage) {
    this.#storage = storage
  }

  async setIfAbsent(key: string, value: Uint8Array): Promise<boolean> {
    return this.#storage.setIfAbsent(this.#queue, key, value)
  }

  async set(key: string, value: Uint8Array): Promise<void> {
    const request = fitting(messages.putRequest(key, value), value)
    await this.#storage.run(this.#queue, 'write', (cluster, end) => cluster.call(RPC.put, request, false, end))
  }

  async delete(keys: readonly string[]): Promise<void> {
    const requests = inParts(keys, DELETES_AT_ONCE).map(messages.deletesRequest)
    await this.#storage.run(this.#queue, 'write', async (cluster, end) => {
      for (const request of requests) await cluster.call(RPC.txn, request, false, end)
    })
  }

  get(key: string): Promise<Buffer | null> {
    const request = messages.rangeRequest(key)
    return this.#storage.run(this.#queue, 'read', async (cluster, end) =>
      messages.valueIn(await cluster.call(RPC.range, request, true, end))
    )
  }

  getMany(keys: readonly string[]): Promise<(Buffer | null)[]> {
    const requests = inParts(keys, KEYS_AT_ONCE).map(messages.rangesRequest)
    return this.#storage.run(this.#queue, 'read', async (cluster, end) => {
      const values: (Buffer | null)[] = []
      for (const request of requests) {
        values.push(...messages.valuesIn(await cluster.call(RPC.txn, request, true, end)))
      }
      if (values.length !== keys.length) throw new StorageError(`etcd gave ${values.length} of ${keys.length} values`)
      return values
    })
  }
}

function fitting(request: Buffer, value: Uint8Array): Buffer {
  if (request.length <= MAX_REQUEST_BYTES) return request
  throw new StorageError(`a value of ${value.length} bytes is too large: etcd takes requests of at most 1.5 MiB`)
}

function inParts(keys: readonly string[], size: number): string[][] {
  return Array.from({ length: Math.ceil(keys.length / size) }, (_, i) => keys.slice(i * size, (i + 1) * size))
}
