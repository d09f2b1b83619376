// What the tests of the redis engine share: a stand-in and stores on it that end with the test, and the log's way to write.
import type { ExecutionContext } from 'ava'
import { writeSlot } from '../../tc-core/replication/slot.ts'
import type { Lane, Storage } from '../../tc-core/storage/port.ts'
import { openRedis } from '../../tc-core/storage/redis.ts'
import { REDIS_TUNING, type RedisTuning } from '../../tc-core/storage/redis-tuning.ts'
import { type Fault, StandIn, type StandInOptions } from './redis-stand-in.ts'

export const bytes = (text: string) => Buffer.from(text)
/** A slow machine is no fault of the engine: where a test does not wait for a deadline, there is none. */
export const PATIENT: RedisTuning = {
  ...REDIS_TUNING,
  connectMs: 20_000,
  commandMs: 20_000,
  operationMs: 30_000,
  openMs: 20_000
}

export async function start(t: ExecutionContext, options: StandInOptions = {}): Promise<StandIn> {
  const cluster = await StandIn.start(options)
  t.teardown(() => cluster.stop())
  return cluster
}

export async function open(t: ExecutionContext, url: string, tuning: Partial<RedisTuning> = {}): Promise<Storage> {
  const storage = await openRedis(url, { ...PATIENT, ...tuning })
  t.teardown(() => storage.close())
  return storage
}

export async function laneTo(t: ExecutionContext, cluster: StandIn, tuning?: Partial<RedisTuning>): Promise<Lane> {
  return (await open(t, `redis://${cluster.hosts}`, tuning)).lane('0')
}

/** As the log writes: again and again until the outcome is known. */
export function slot(lane: Lane, key: string, value: string) {
  const options = { lane, sleep: () => new Promise<void>(setImmediate), onTrouble: () => {}, abandoned: () => false }
  return writeSlot(options, key, bytes(value))
}

/** A fault that happens once, to the first command of this name. */
export function once(cluster: StandIn, name: string, fault: Fault): void {
  let left = 1
  cluster.fault = (command) => (command.name === name && left-- > 0 ? fault : null)
}
