// One round: the load program against one server, and what the server process spent over the measured window.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { LoadResult } from './load.ts'
import { machineBusySeconds, type ProcessSample, sampleProcesses } from './proc.ts'
import type { Server } from './servers.ts'

export interface RoundOptions {
  readonly workload: string
  readonly callers: number | null
  readonly connections: number
  readonly merge: boolean
  readonly warmup: number
  readonly seconds: number
}

/** What a server of ours tells of its storage at `GET /health/detail`, summed over its fragments. */
interface Counters {
  readonly appends: number | null
  readonly fsyncs: number | null
  readonly requests: number | null
}

export interface Round extends LoadResult {
  readonly server: string
  /** Over the window; null when the server's processes are not known. */
  readonly serverCpuSeconds: number | null
  /** CPU seconds in the window of neither the servers nor the load program, stolen time included: noise. */
  readonly elsewhereCpuSeconds: number | null
  /** At the end of the window. */
  readonly memory: ProcessSample | null
  readonly appends: number | null
  readonly fsyncs: number | null
  readonly requests: number | null
}

interface Sample {
  readonly machine: number
  readonly process: ProcessSample | null
  readonly counters: Counters
}

const NO_COUNTERS: Counters = { appends: null, fsyncs: null, requests: null }

async function readCounters(server: Server): Promise<Counters> {
  const all = await Promise.all(server.healthPorts.map((port) => readHealth(server.host, port)))
  return {
    appends: total(all.map(({ appends }) => appends)),
    fsyncs: total(all.map(({ fsyncs }) => fsyncs)),
    requests: total(all.map(({ requests }) => requests))
  }
}

async function readHealth(host: string, port: number): Promise<Counters> {
  try {
    const answer = await fetch(`http://${host}:${port}/health/detail`)
    const { fragments, fsyncs } = (await answer.json()) as {
      fragments: Readonly<Record<string, unknown>>[]
      fsyncs: number | null
    }
    const sum = (name: string) => total(fragments.map((fragment) => fragment[name]))
    return { appends: sum('appends'), fsyncs, requests: sum('requests') }
  } catch {
    return NO_COUNTERS
  }
}

/** Of those that are numbers; null when none is. */
function total(values: readonly unknown[]): number | null {
  const numbers = values.filter((value) => typeof value === 'number')
  return numbers.length === 0 ? null : numbers.reduce((sum, value) => sum + value, 0)
}

async function sample(server: Server): Promise<Sample> {
  const machine = machineBusySeconds()
  return {
    machine,
    process: sampleProcesses(server.pids),
    counters: await readCounters(server)
  }
}

function difference(after: number | null | undefined, before: number | null | undefined): number | null {
  return typeof after === 'number' && typeof before === 'number' ? after - before : null
}

/** Runs the load program; throws when it gives no result, and leaves its errors in the result. */
export async function runRound(server: Server, o: RoundOptions): Promise<Round> {
  const args = [join(import.meta.dirname, 'load.ts'), '--host', server.host, '--port', String(server.port)]
  for (const name of ['workload', 'callers', 'connections', 'warmup', 'seconds'] as const) {
    if (o[name] !== null) args.push(`--${name}`, String(o[name]))
  }
  if (!o.merge) args.push('--no-merge')
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  const samples: Promise<Sample>[] = []
  let load: LoadResult | null = null
  for await (const line of createInterface({ input: child.stdout })) {
    const message = JSON.parse(line) as LoadResult | { event: string }
    if ('event' in message) samples.push(sample(server))
    else load = message
  }
  process.off('exit', kill)
  if (load === null) throw new Error(`the load program gave no result against ${server.name}`)
  const [before, after] = await Promise.all(samples)
  const serverCpuSeconds = difference(after?.process?.cpuSeconds, before?.process?.cpuSeconds)
  const busy = difference(after?.machine, before?.machine)
  return {
    ...load,
    server: server.name,
    serverCpuSeconds,
    elsewhereCpuSeconds: busy === null || serverCpuSeconds === null ? null : busy - serverCpuSeconds - load.cpuSeconds,
    memory: after?.process ?? null,
    appends: difference(after?.counters.appends, before?.counters.appends),
    fsyncs: difference(after?.counters.fsyncs, before?.counters.fsyncs),
    requests: difference(after?.counters.requests, before?.counters.requests)
  }
}
