// The options of the bench's command line.
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { PARTS } from './parts.ts'
import { WORKLOADS } from './workloads.ts'

/** What may be measured; see sides.ts. */
export const SIDES = ['ours', 'etcd', 'redis', 'calm', 'snapshots', 'peer', 'peer-info', 'stub'] as const
export type SideName = (typeof SIDES)[number]

const MODES = ['file', 'raft', 'redis'] as const
const FLUSHES = ['async', 'sync'] as const

const parts = Object.entries(PARTS).map(
  ([name, { what, minutes }]) => `  ${name.padEnd(7)} ${what}; ${minutes} minutes`
)

export const USAGE = `npm run bench -- [PART] [options]
Parts, each a set of options whose results go to test/bench/results/PART.json:
${parts.join('\n')}
Options, also beside a part's own:
  --sides LIST           of ${SIDES.join(',')}; default ours,peer:
                         ours in one process; ours in a cluster of three nodes and a gateway over etcd or redis; ours in one process
                         without snapshots or with one every 2 s; the peer at WARN or INFO; the stub that does nothing
  --only LIST            of ${Object.keys(WORKLOADS).join(',')}; default empty,tcc,at
  --rounds N             rounds per server and workload, in turn; default 5
  --seconds S            measured window of a round; default 10
  --warmup S             before each window; default 3
  --first-warmup S       before a server's first window, for its compiler; default 15
  --keep                 with --apart: start the peer once, not anew for every workload, for raft takes it a minute
  --apart                one side after the other, with no other server running; rounds are compared by their number
  --open LIST            then open loops, at these % of what each side reached: 50,80; and ours at the peer's rate as well
  --callers N            default: each workload's own
  --connections N        TM connections, and as many RM connections; default: each workload's own
  --no-merge             RM requests one by one, not in MergedWarps
  --ours HOST:PORT[:PID[+PID…]] as ours a server that runs already
  --ours-http-port PORT  its HTTP port
  --kv URL               storage of ours; default its own, in a folder of its own
  --traced SHARES        ours again with tracing, for each of these shares of the transactions: 0.01,1
  --trace-limit N        transactions traced per second, at most; default as the product's
  --peer-mode MODE       file (default), raft (three servers) or redis (with a redis-server of its own)
  --peer-heap SIZE       default 2048m
  --peer-flush WHEN      async (default, as shipped) or sync
  --peer-one-by-one      the peer handles the parts of a MergedWarp one after the other: faster on two cores than its default
  --peer-jvm=OPTIONS     further options of the peer's JVM
  --dir DIR              where servers write; default test/bench/data
  --results DIR          where results go; default test/bench/results, or without a part --dir`

export interface Options {
  readonly part: string | null
  readonly sides: readonly SideName[]
  readonly workloads: readonly string[]
  readonly rounds: number
  readonly seconds: number
  readonly warmup: number
  readonly firstWarmup: number
  readonly keep: boolean
  readonly apart: boolean
  readonly open: readonly number[]
  readonly callers: number | null
  readonly connections: number | null
  readonly merge: boolean
  readonly running: string | undefined
  readonly runningHttpPort: number | null
  readonly kv: string | undefined
  readonly traced: readonly number[]
  readonly traceLimit: string | undefined
  readonly peer: {
    readonly mode: (typeof MODES)[number]
    readonly heap: string
    readonly flush: (typeof FLUSHES)[number]
    readonly jvm: readonly string[]
  }
  readonly dir: string
  readonly results: string | undefined
}

const list = (text: string) => text.split(',').filter((word) => word !== '')
const number = (text: string | undefined) => (text === undefined ? null : Number(text))

function oneOf<T extends string>(name: string, allowed: readonly T[], value: string): T {
  const found = allowed.find((one) => one === value)
  if (found === undefined) throw new Error(`${name} is one of ${allowed.join(', ')}, not ${value}`)
  return found
}

/** Null: only help was asked for. Throws on what it does not know. */
export function readOptions(args: readonly string[]): Options | null {
  const part = args[0] !== undefined && !args[0].startsWith('-') ? args[0] : null
  if (part !== null && !PARTS[part]) throw new Error(`there is no part ${part}`)
  const { values } = parseArgs({
    args: part === null ? [...args] : [...PARTS[part]!.options, ...args.slice(1)],
    allowNegative: true,
    options: {
      sides: { type: 'string', default: 'ours,peer' },
      only: { type: 'string', default: 'empty,tcc,at' },
      rounds: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '10' },
      warmup: { type: 'string', default: '3' },
      'first-warmup': { type: 'string', default: '15' },
      keep: { type: 'boolean', default: false },
      apart: { type: 'boolean', default: false },
      open: { type: 'string', default: '' },
      callers: { type: 'string' },
      connections: { type: 'string' },
      merge: { type: 'boolean', default: true },
      ours: { type: 'string' },
      'ours-http-port': { type: 'string' },
      kv: { type: 'string' },
      traced: { type: 'string', default: '' },
      'trace-limit': { type: 'string' },
      'peer-mode': { type: 'string', default: 'file' },
      'peer-heap': { type: 'string', default: '2048m' },
      'peer-flush': { type: 'string', default: 'async' },
      'peer-one-by-one': { type: 'boolean', default: false },
      'peer-jvm': { type: 'string', default: '' },
      dir: { type: 'string', default: join(import.meta.dirname, 'data') },
      results: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return null
  const oneByOne = values['peer-one-by-one'] ? ['-Dseata.server.enableParallelRequestHandle=false'] : []
  return {
    part,
    sides: list(values.sides).map((name) => oneOf('a side', SIDES, name)),
    workloads: list(values.only).map((name) => oneOf('a workload', Object.keys(WORKLOADS), name)),
    rounds: Number(values.rounds),
    seconds: Number(values.seconds),
    warmup: Number(values.warmup),
    firstWarmup: Number(values['first-warmup']),
    keep: values.keep,
    apart: values.apart,
    open: list(values.open).map(Number),
    callers: number(values.callers),
    connections: number(values.connections),
    merge: values.merge,
    running: values.ours,
    runningHttpPort: number(values['ours-http-port']),
    kv: values.kv,
    traced: list(values.traced).map(Number),
    traceLimit: values['trace-limit'],
    peer: {
      mode: oneOf('--peer-mode', MODES, values['peer-mode']),
      heap: values['peer-heap'],
      flush: oneOf('--peer-flush', FLUSHES, values['peer-flush']),
      jvm: [...oneByOne, ...values['peer-jvm'].split(' ').filter((word) => word !== '')]
    },
    dir: resolve(values.dir),
    results: values.results
  }
}
