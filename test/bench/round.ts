// One round: the load program against one server, and what the server's processes spent over the measured window.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Alone } from './alone.ts'
import { type Counters, difference, readCounters } from './counters.ts'
import type { LoadResult } from './load.ts'
import { machineBusySeconds, type ProcessSample, sampleProcesses } from './proc.ts'
import type { Server } from './servers.ts'

export interface RoundOptions {
  readonly workload: string
  readonly callers: number | null
  readonly connections: number | null
  readonly merge: boolean
  readonly rate: number | null
  readonly shed: boolean
  /** Transactions to leave alive before it begins. */
  readonly held: number
  readonly warmup: number
  readonly seconds: number
}

export interface Round extends LoadResult, Counters {
  readonly server: string
  /** The rounds of all servers with the same number were run one after the other: a pair. */
  readonly round: number
  /** Over the window; null when the server's processes are not known. */
  readonly serverCpuSeconds: number | null
  /** The same by what the processes are: gateway, node, store. */
  readonly roleCpuSeconds: Readonly<Record<string, number | null>>
  /** CPU seconds in the window of neither the servers nor the load program, stolen time included: noise. */
  readonly elsewhereCpuSeconds: number | null
  /** At the end of the window. */
  readonly memory: ProcessSample | null
  /** Just before it; earlier results do not have it. */
  readonly alone?: Alone
}

interface Sample {
  readonly machine: number
  readonly process: ProcessSample | null
  readonly roles: Readonly<Record<string, ProcessSample | null>>
  readonly counters: Counters
}

async function sample(server: Server): Promise<Sample> {
  const machine = machineBusySeconds()
  const roles = Object.entries(server.roles ?? {}).map(([role, pids]) => [role, sampleProcesses(pids)])
  return {
    machine,
    process: sampleProcesses(server.pids),
    roles: Object.fromEntries(roles) as Sample['roles'],
    counters: await readCounters(server)
  }
}

/**
 * The load program's pauses would count as the server's: its old heap is not collected in a window, and for its young one it waits for no
 * helper, who would have to wait for a core.
 */
const COLLECTOR = ['--initial-old-space-size=1024', '--no-parallel-scavenge']

function loadArguments(server: Server, o: RoundOptions): string[] {
  const args = [join(import.meta.dirname, 'load.ts'), '--host', server.host, '--port', String(server.port)]
  for (const name of ['workload', 'callers', 'connections', 'rate', 'held', 'warmup', 'seconds'] as const) {
    if (o[name] !== null) args.push(`--${name}`, String(o[name]))
  }
  if (!o.merge) args.push('--no-merge')
  if (o.shed) args.push('--shed')
  return args
}

/**
 * Runs the load program; throws when it gives no result, and leaves its errors in the result.
 * @param onEvent hears when the window begins and ends
 */
export async function runRound(
  server: Server,
  o: RoundOptions,
  round = 1,
  onEvent: (event: string) => void = () => {}
): Promise<Round> {
  const child = spawn(process.execPath, [...COLLECTOR, ...loadArguments(server, o)], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const samples: Promise<Sample>[] = []
  let load: LoadResult | null = null
  for await (const line of createInterface({ input: child.stdout })) {
    const message = JSON.parse(line) as LoadResult | { event: string }
    if ('event' in message) {
      samples.push(sample(server))
      onEvent(message.event)
    } else load = message
  }
  process.off('exit', kill)
  if (load === null) throw new Error(`the load program gave no result against ${server.name}`)
  const [before, after] = await Promise.all(samples)
  const cpu = (of: (s: Sample) => ProcessSample | null | undefined) =>
    difference(after && of(after)?.cpuSeconds, before && of(before)?.cpuSeconds)
  const serverCpuSeconds = cpu((s) => s.process)
  const busy = difference(after?.machine, before?.machine)
  const roles = Object.keys(server.roles ?? {}).map((role) => [role, cpu((s) => s.roles[role])])
  const counter = (name: keyof Counters) => difference(after?.counters[name], before?.counters[name])
  return {
    ...load,
    server: server.name,
    round,
    serverCpuSeconds,
    roleCpuSeconds: Object.fromEntries(roles) as Round['roleCpuSeconds'],
    elsewhereCpuSeconds: busy === null || serverCpuSeconds === null ? null : busy - serverCpuSeconds - load.cpuSeconds,
    memory: after?.process ?? null,
    appends: counter('appends'),
    fsyncs: counter('fsyncs'),
    requests: counter('requests'),
    snapshots: counter('snapshots'),
    gcSeconds: counter('gcSeconds'),
    heapBytes: after?.counters.heapBytes ?? null
  }
}
