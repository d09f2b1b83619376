// Folds a CPU profile of V8 into rooms: whose code was running, the garbage collector's and Node's own apart.

export interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
  }[]
  readonly samples: readonly number[]
  /** µs of the machine's monotonic clock, as process.hrtime tells it. */
  readonly startTime: number
  /** µs between samples. */
  readonly timeDeltas: readonly number[]
}

export interface Folded {
  /** µs by room, and by function. */
  readonly rooms: ReadonlyMap<string, number>
  readonly functions: ReadonlyMap<string, number>
}

/** By a part of the file's path; the first that fits. */
const PLACES: readonly (readonly [part: string, room: string])[] = [
  ['/tc-core/wire/', 'wire'],
  ['/tc-core/core/', 'core'],
  ['/tc-core/replication/', 'log and host'],
  ['/tc-core/host/', 'log and host'],
  ['/tc-core/scheduler/', 'log and host'],
  ['/tc-core/storage/', 'storage'],
  ['/gateway/', 'gateway'],
  ['/plugin/', 'plugin'],
  ['/node_modules/', 'libraries']
]
const NATIVE = 'Node and sockets, native'
const NODE = "Node's JavaScript"
const GC = 'garbage collector'
export const ROOMS = ['wire', 'core', 'log and host', 'storage', 'gateway', 'plugin', 'libraries', NODE, NATIVE, GC]

function roomOf(name: string, url: string): string | null {
  if (name === '(idle)' || name === '(root)') return null
  // The database's threads wait in Atomics.wait, which to the profiler is work.
  if (name === 'wait' && url.includes('/sqlite-protocol.')) return null
  if (name === '(garbage collector)') return GC
  if (url.startsWith('node:sqlite')) return 'storage'
  if (url.startsWith('node:')) return NODE
  if (url === '') return NATIVE
  return PLACES.find(([part]) => url.includes(part))?.[1] ?? 'libraries'
}

/** What was sampled between two µs of the monotonic clock. */
export function fold({ nodes, samples, startTime, timeDeltas }: Profile, from: number, to: number): Folded {
  const places = new Map(
    nodes.map(({ id, callFrame: { functionName, url, lineNumber } }) => {
      const file = url.split('/').slice(-2).join('/')
      return [id, { room: roomOf(functionName, url), where: `${functionName} ${file}:${lineNumber + 1}` }] as const
    })
  )
  const rooms = new Map<string, number>()
  const functions = new Map<string, number>()
  let at = startTime
  // A sample stands for the time until the next one.
  for (const [i, id] of samples.entries()) {
    at += timeDeltas[i]!
    const us = timeDeltas[i + 1] ?? 0
    const { room, where } = places.get(id)!
    if (room === null || at < from || at > to) continue
    rooms.set(room, (rooms.get(room) ?? 0) + us)
    functions.set(where, (functions.get(where) ?? 0) + us)
  }
  return { rooms, functions }
}
