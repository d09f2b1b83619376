// The load program: closed-loop callers against one Seata coordinator over real sockets, every answer checked.
// Prints JSON lines: {"event":"begin"} and {"event":"end"} around the measured window, then the result as the last one.
import { parseArgs } from 'node:util'
import { MessageType } from '../../tc-core/wire/codes.ts'
import type { MessageOf } from '../../tc-core/wire/message.ts'
import {
  RegisterRM,
  type RegisterRMResult,
  RegisterTM,
  type RegisterTMResult
} from '../../tc-core/wire/messages/index.ts'
import { Callers, MAX_CALLERS, RESOURCES, WORKLOADS } from './callers.ts'
import { Channel, type Outgoing } from './channel.ts'

const USAGE = `node test/bench/load.ts --port PORT [options]
  --host HOST         default 127.0.0.1
  --workload NAME     ${Object.keys(WORKLOADS).join(', ')}; default empty
  --callers N         default: the workload's own
  --connections N     TM connections, and as many RM connections; default 4
  --no-merge          RM requests one by one, as from a Java RM with enableRmClientBatchSendRequest off
  --warmup SECONDS    default 3
  --seconds SECONDS   the measured window; default 10
  --drain SECONDS     how long to wait for branches still owed; default 300`

const { values } = parseArgs({
  allowNegative: true,
  options: {
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '' },
    workload: { type: 'string', default: 'empty' },
    callers: { type: 'string', default: '' },
    connections: { type: 'string', default: '4' },
    merge: { type: 'boolean', default: true },
    warmup: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '10' },
    drain: { type: 'string', default: '300' },
    help: { type: 'boolean', default: false }
  }
})
const workload = WORKLOADS[values.workload]
if (values.help || values.port === '' || !workload) {
  console.error(USAGE)
  process.exit(values.help ? 0 : 2)
}

export interface LoadResult {
  readonly workload: string
  readonly callers: number
  readonly connections: number
  readonly merge: boolean
  readonly seconds: number
  readonly transactions: number
  readonly txPerSecond: number
  readonly latencyMs: { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number }
  readonly errors: number
  readonly errorTexts: Readonly<Record<string, number>>
  /** Branches owed at the end of the window, and seconds from there until none was. */
  readonly owed: number
  readonly owedSeconds: number
  /** Phase-two requests that came more than once. */
  readonly repeated: number
  /** The load program's own, in the window. */
  readonly cpuSeconds: number
}

const HEARTBEAT_MS = 5_000
const STALL_MS = 20_000
const TOO_MANY_ERRORS = 1_000

const IDENTITY = {
  version: '2.0.0',
  applicationId: 'bench',
  transactionServiceGroup: 'default_tx_group',
  extraData: ''
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

async function connection(registration: Outgoing): Promise<Channel> {
  const channel = await Channel.open(values.host, Number(values.port))
  await new Promise<void>((resolve, reject) => {
    channel.onClose = (reason) => reject(new Error(`registration: ${reason}`))
    channel.onMessage = (message) => {
      const answer = message as MessageOf<typeof RegisterTMResult> | MessageOf<typeof RegisterRMResult>
      if (answer.identified) resolve()
      else reject(new Error(`registration ${registration.type} was refused`))
    }
    channel.send(registration, MessageType.Request, 1)
  })
  return channel
}

function connections(registration: Outgoing): Promise<Channel[]> {
  return Promise.all(Array.from({ length: Number(values.connections) }, () => connection(registration)))
}

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
  setInterval(() => channels.forEach((channel, i) => void channel.ping(i + 1)), HEARTBEAT_MS)
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

let window = { seconds: 0, owed: 0, owedSeconds: 0, cpuSeconds: 0 }

function finish(callers: Callers): never {
  const { latency } = callers
  const ms = (percentile: number) => (latency.count === 0 ? 0 : latency.percentile(percentile) / 1000)
  const errorTexts = Object.fromEntries(callers.errors)
  const result: LoadResult = {
    workload: values.workload,
    callers: callerCount,
    connections: Number(values.connections),
    merge: values.merge,
    ...window,
    transactions: latency.count,
    txPerSecond: window.seconds === 0 ? 0 : latency.count / window.seconds,
    latencyMs: { p50: ms(50), p90: ms(90), p99: ms(99), max: latency.count === 0 ? 0 : latency.max / 1000 },
    errors: Object.values(errorTexts).reduce((sum, count) => sum + count, 0),
    errorTexts,
    repeated: callers.repeated
  }
  console.log(JSON.stringify(result))
  process.exit(result.errors > 0 ? 1 : 0)
}

const callerCount = Math.min(Number(values.callers) || workload.callers, MAX_CALLERS)
const tms = await connections({ type: RegisterTM.code, ...IDENTITY })
const resourceIds = Object.values(RESOURCES).join(',')
const rms = await connections({ type: RegisterRM.code, ...IDENTITY, resourceIds })
const callers = new Callers(workload, callerCount, values.merge, tms, rms)
watch(callers, [...tms, ...rms])

callers.start()
await sleep(Number(values.warmup) * 1000)

event('begin')
const cpuBefore = process.cpuUsage()
const began = performance.now()
callers.measuring = true
await sleep(Number(values.seconds) * 1000)
callers.measuring = false
const ended = performance.now()
const cpu = process.cpuUsage(cpuBefore)
window = {
  seconds: (ended - began) / 1000,
  owed: callers.owed,
  owedSeconds: 0,
  cpuSeconds: (cpu.user + cpu.system) / 1e6
}
event('end')

callers.stop()
const limit = ended + Number(values.drain) * 1000
while ((callers.owed > 0 || callers.inFlight > 0) && performance.now() < limit) await sleep(5)
if (callers.owed > 0) callers.error(`${callers.owed} branches were still owed after ${values.drain} s`)
else if (window.owed > 0) window.owedSeconds = (performance.now() - ended) / 1000
finish(callers)
