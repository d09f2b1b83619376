// The load program: callers against one Seata coordinator over real sockets, every answer checked.
// Prints JSON lines: {"event":"begin"} and {"event":"end"} around the measured window, then the result as the last one.
import type { RecordableHistogram } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { Callers, MAX_CALLERS } from './callers.ts'
import { type Channel, traffic } from './channel.ts'
import { connections, keepAlive } from './connections.ts'
import { WORKLOADS } from './workloads.ts'

const USAGE = `node test/bench/load.ts --port PORT [options]
  --host HOST         default 127.0.0.1
  --workload NAME     ${Object.keys(WORKLOADS).join(', ')}; default empty
  --callers N         default: the workload's own
  --connections N     TM connections, and as many RM connections; default: the workload's own
  --no-merge          RM requests one by one, as from a Java RM with enableRmClientBatchSendRequest off
  --rate N            an open loop: so many transactions begin per second, whatever becomes of them
  --shed              refused begins are counted and are no errors; what finds no caller free is not sent
  --held N            transactions to begin before, with their branches, and to leave alive; default 0
  --warmup SECONDS    default 3
  --seconds SECONDS   the measured window; default 10
  --drain SECONDS     how long to wait for branches still owed; default 60`

const { values } = parseArgs({
  allowNegative: true,
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '' },
    workload: { type: 'string', default: 'empty' },
    callers: { type: 'string', default: '' },
    connections: { type: 'string', default: '' },
    merge: { type: 'boolean', default: true },
    rate: { type: 'string', default: '' },
    shed: { type: 'boolean', default: false },
    held: { type: 'string', default: '0' },
    warmup: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '10' },
    drain: { type: 'string', default: '60' },
    help: { type: 'boolean', default: false }
  }
})
const workload = WORKLOADS[values.workload]
if (values.help || values.port === '' || !workload) {
  console.error(USAGE)
  process.exit(values.help ? 0 : 2)
}

interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** What counts was in the window. */
export interface LoadResult {
  readonly workload: string
  readonly callers: number
  readonly connections: number
  readonly merge: boolean
  /** Of an open loop, transactions that were to begin per second; null: a closed loop. */
  readonly rate: number | null
  readonly seconds: number
  readonly transactions: number
  readonly txPerSecond: number
  /** Transactions of each second, to see how steady it is. */
  readonly perSecond: readonly number[]
  readonly latencyMs: Percentiles
  readonly errors: number
  readonly errorTexts: Readonly<Record<string, number>>
  /** Begins that were refused, the time until they were, and transactions that were due and found no caller free. */
  readonly refused: number
  readonly refusalMs: Percentiles
  readonly skipped: number
  /** Registers that met a lock, and transactions rolled back for it. */
  readonly conflicts: number
  readonly givenUp: number
  /** Branches owed a BranchCommit: at the end of the window, at most in it; s from its end until none was. */
  readonly owed: number
  readonly owedMost: number
  readonly owedSeconds: number
  /** Still owed when the load program had waited long enough. */
  readonly owedForEver: number
  /** For how long each branch was owed. */
  readonly owedMs: Percentiles
  /** Phase-two requests that came more than once. */
  readonly repeated: number
  /** The load program's own. */
  readonly cpuSeconds: number
  readonly bytesSent: number
  readonly bytesReceived: number
}

const STALL_MS = 20_000
const TOO_MANY_ERRORS = 1_000

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

function event(name: string): void {
  console.log(JSON.stringify({ event: name }))
}

/** Watches for what no answer tells: closed connections, and a server that says nothing any more. */
function watch(callers: Callers, channels: readonly Channel[]): void {
  for (const channel of channels) {
    channel.onClose = (reason) => {
      callers.error(reason)
      finish(callers)
    }
  }
  keepAlive(channels)
  let last = -1
  let since = performance.now()
  setInterval(() => {
    const now = performance.now()
    if (callers.finished !== last || callers.inFlight === 0) {
      last = callers.finished
      since = now
    } else if (now - since > STALL_MS) {
      callers.error(`no transaction ended in ${STALL_MS / 1000} s`)
      finish(callers)
    }
    let errors = 0
    for (const count of callers.errors.values()) errors += count
    if (errors > TOO_MANY_ERRORS) finish(callers)
  }, 1_000)
}

function percentiles(histogram: RecordableHistogram): Percentiles {
  const ms = (percentile: number) => (histogram.count === 0 ? 0 : histogram.percentile(percentile) / 1000)
  return { p50: ms(50), p90: ms(90), p99: ms(99), max: histogram.count === 0 ? 0 : histogram.max / 1000 }
}

let window = { seconds: 0, owed: 0, owedSeconds: 0, cpuSeconds: 0, bytesSent: 0, bytesReceived: 0 }
const perSecond: number[] = []

function finish(callers: Callers): never {
  const { latency, refusals, lag } = callers
  const errorTexts = Object.fromEntries(callers.errors)
  const result: LoadResult = {
    workload: values.workload,
    callers: callerCount,
    connections: connectionCount,
    merge: values.merge,
    rate,
    ...window,
    transactions: latency.count,
    txPerSecond: window.seconds === 0 ? 0 : latency.count / window.seconds,
    perSecond,
    latencyMs: percentiles(latency),
    errors: Object.values(errorTexts).reduce((sum, count) => sum + count, 0),
    errorTexts,
    refused: refusals.count,
    refusalMs: percentiles(refusals),
    skipped: callers.skipped,
    conflicts: callers.conflicts,
    givenUp: callers.givenUp,
    owedMost: callers.owedMost,
    owedForEver: callers.owed,
    owedMs: percentiles(lag),
    repeated: callers.repeated
  }
  console.log(JSON.stringify(result))
  process.exit(result.errors > 0 ? 1 : 0)
}

const { host, merge, shed } = values
const port = Number(values.port)
const rate = values.rate === '' ? null : Number(values.rate)
const connectionCount = Number(values.connections) || workload.connections
const callerCount = Math.min(Number(values.callers) || workload.callers, MAX_CALLERS)
const tms = await connections(host, port, 'tm', connectionCount)
const rms = await connections(host, port, 'rm', connectionCount)
const idle = [
  ...(await connections(host, port, 'tm', workload.idle / 2)),
  ...(await connections(host, port, 'idleRm', workload.idle / 2))
]
const callers = new Callers({ workload, callers: callerCount, merge, rate, shed }, tms, rms)
watch(callers, [...tms, ...rms, ...idle])

if (Number(values.held) > 0) await callers.hold(Number(values.held))
callers.start()
await sleep(Number(values.warmup) * 1000)

event('begin')
const cpuBefore = process.cpuUsage()
const { sent, received } = traffic
const began = performance.now()
callers.measure()
let finished = callers.finished
const counting = setInterval(() => {
  perSecond.push(callers.finished - finished)
  finished = callers.finished
}, 1000)
await sleep(Number(values.seconds) * 1000)
clearInterval(counting)
callers.measured()
const ended = performance.now()
const cpu = process.cpuUsage(cpuBefore)
window = {
  seconds: (ended - began) / 1000,
  owed: callers.owed,
  owedSeconds: 0,
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  bytesSent: traffic.sent - sent,
  bytesReceived: traffic.received - received
}
event('end')

callers.stop()
const limit = ended + Number(values.drain) * 1000
while ((callers.owed > 0 || callers.inFlight > 0) && performance.now() < limit) await sleep(5)
if (window.owed > 0) window.owedSeconds = (performance.now() - ended) / 1000
if (callers.inFlight > 0)
  callers.error(`${callers.inFlight} transactions had no answer ${values.drain} s after the window`)
finish(callers)
