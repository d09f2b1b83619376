// What servers of ours tell of themselves: `GET /health/detail` of their logs and stores, `GET /metrics` of Node's memory and GC.
import type { Server } from './servers.ts'

/** Summed over all fragments and processes; null where nobody tells. */
export interface Counters {
  readonly appends: number | null
  readonly fsyncs: number | null
  readonly requests: number | null
  /** Sum of the indexes of the newest snapshots: it moves with each of them. */
  readonly snapshots: number | null
  readonly gcSeconds: number | null
  /** JavaScript's, garbage included. */
  readonly heapBytes: number | null
}

type Health = Pick<Counters, 'appends' | 'fsyncs' | 'requests' | 'snapshots'>
type Memory = Pick<Counters, 'gcSeconds' | 'heapBytes'>

const NO_HEALTH: Health = { appends: null, fsyncs: null, requests: null, snapshots: null }

export async function readCounters({ host, healthPorts }: Server): Promise<Counters> {
  const healths = await Promise.all(healthPorts.map((port) => readHealth(host, port)))
  const memories = await Promise.all(healthPorts.map((port) => readMemory(host, port)))
  return {
    appends: total(healths.map(({ appends }) => appends)),
    fsyncs: total(healths.map(({ fsyncs }) => fsyncs)),
    requests: total(healths.map(({ requests }) => requests)),
    snapshots: total(healths.map(({ snapshots }) => snapshots)),
    gcSeconds: total(memories.map(({ gcSeconds }) => gcSeconds)),
    heapBytes: total(memories.map(({ heapBytes }) => heapBytes))
  }
}

async function readHealth(host: string, port: number): Promise<Health> {
  try {
    const answer = await fetch(`http://${host}:${port}/health/detail`)
    const { fragments, fsyncs } = (await answer.json()) as {
      fragments: Readonly<Record<string, unknown>>[]
      fsyncs: number | null
    }
    const sum = (name: string) => total(fragments.map((fragment) => fragment[name]))
    return { appends: sum('appends'), fsyncs, requests: sum('requests'), snapshots: sum('snapshotIndex') }
  } catch {
    return NO_HEALTH
  }
}

async function readMemory(host: string, port: number): Promise<Memory> {
  try {
    const text = await (await fetch(`http://${host}:${port}/metrics`)).text()
    const sum = (name: string) =>
      total([...text.matchAll(new RegExp(`^${name}(?:\\{.*\\})? (\\S+)$`, 'gm'))].map(([, value]) => Number(value)))
    return { gcSeconds: sum('nodejs_gc_duration_seconds_sum'), heapBytes: sum('nodejs_heap_size_used_bytes') }
  } catch {
    return { gcSeconds: null, heapBytes: null }
  }
}

/** Of those that are numbers; null when none is. */
function total(values: readonly unknown[]): number | null {
  const numbers = values.filter((value) => typeof value === 'number')
  return numbers.length === 0 ? null : numbers.reduce((sum, value) => sum + value, 0)
}

/** Null also when it went back: a fragment has another leader since, and that counts from its own start. */
export function difference(after: number | null | undefined, before: number | null | undefined): number | null {
  return typeof after === 'number' && typeof before === 'number' && after >= before ? after - before : null
}
