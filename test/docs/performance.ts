// Makes the tables and pictures of docs/performance.md of what the bench has left in test/bench/results. `npm run docs` writes them.
import type { Alone } from '../bench/alone.ts'
import { PARTS } from '../bench/parts.ts'
import { cell, formatted, isOurs, ratioOf, type Spread, serversOf, spread, spreadOf } from '../bench/report.ts'
import { type Measured, type PartResult, RESULTS, readResult, type WorkloadResult } from '../bench/results.ts'
import type { Round } from '../bench/round.ts'
import { type Bar, bars, curves } from './chart.ts'
import { tableOf } from './table.ts'

/** Parts that leave tables of their own, in the order of the page. */
const MEASURED: Readonly<Record<string, string>> = {
  profile: 'What a transaction costs',
  memory: 'Memory',
  growth: 'Growth',
  model: 'What clusters should do',
  overload: 'Overload'
}

const TITLES: Readonly<Record<string, string>> = {
  file: 'Beside the Java server in file mode',
  log: "The Java server's log level",
  raft: 'Beside the Java server in raft mode',
  redis: 'Beside the Java server in redis mode',
  open: 'Latency below the peak',
  steady: 'Ten minutes without a break',
  live: 'While a snapshot is taken'
}

interface Column {
  readonly head: string
  readonly figure: string
  readonly digits: number
  /** Shown beside that of whom it is compared with, too. */
  readonly compared?: true
}

const LATENCY: readonly Column[] = [
  { head: 'p50 ms', figure: 'p50 ms', digits: 2 },
  { head: 'p99 ms', figure: 'p99 ms', digits: 2, compared: true },
  { head: 'tx/s by the second, deviation %', figure: 'tx/s by the second, deviation %', digits: 1 },
  { head: 'tx/s, phase two included', figure: 'tx/s, phase two included', digits: 0, compared: true },
  { head: 'owed phase two for ms, longest', figure: 'owed for ms, longest', digits: 0 },
  { head: 'branches owed, at most', figure: 'branches owed, at most', digits: 0 }
]
const COSTS: readonly Column[] = [
  { head: 'CPU s per 1,000 tx', figure: 'server CPU s per 1,000 tx', digits: 3, compared: true },
  { head: 'resident MB', figure: 'resident MB', digits: 0 },
  { head: 'bytes on the wire per tx', figure: 'bytes on the wire per tx', digits: 0 },
  { head: 'appends per tx', figure: 'appends per tx', digits: 3 },
  { head: 'fsyncs per tx', figure: 'fsyncs per tx', digits: 3 }
]

type Workloads = readonly (readonly [name: string, workload: WorkloadResult])[]

const times = (ratio: Spread | null) => (ratio === null ? '' : `${cell(ratio, 2)} ×`)

/** Whom the others are compared with. */
function baseOf(servers: readonly string[]): string | undefined {
  return ['peer', 'no snapshots'].find((name) => servers.includes(name))
}

/** tx/s of every server, over whom it is compared with, and the share of the floor. */
function throughput(workloads: Workloads): string {
  const servers = [...new Set(workloads.flatMap(([, { rounds }]) => serversOf(rounds)))]
  const base = baseOf(servers)
  const others = base === undefined ? [] : servers.filter((name) => name !== base && name !== 'stub')
  const floored = servers.includes('stub') ? servers.filter((name) => name !== 'stub') : []
  const head = [
    'tx/s',
    ...servers,
    ...others.map((name) => `${name} / ${base}`),
    ...floored.map((name) => `${name}, of the floor`)
  ]
  const rows = workloads.map(([name, { rounds }]) => [
    name,
    ...servers.map((server) => cell(spreadOf(rounds, server, 'tx/s'), 0)),
    ...others.map((server) => (name.includes('@') ? '' : times(ratioOf(rounds, server, base!, 'tx/s')))),
    ...floored.map((server) => share(ratioOf(rounds, server, 'stub', 'tx/s')))
  ])
  return tableOf(head, rows)
}

function share(ratio: Spread | null): string {
  return ratio === null ? '' : `${formatted(ratio.median * 100, 0)} %`
}

/** A row for each workload and server. */
function figures(workloads: Workloads, columns: readonly Column[]): string {
  const known = columns.filter(({ figure }) =>
    workloads.some(([, { rounds }]) => serversOf(rounds).some((s) => (spreadOf(rounds, s, figure)?.max ?? 0) > 0))
  )
  const base = baseOf(workloads.flatMap(([, { rounds }]) => serversOf(rounds)))
  const rows = workloads.flatMap(([name, { rounds }]) =>
    serversOf(rounds)
      .filter((server) => server !== 'stub')
      .map((server) => [
        name,
        server,
        ...known.flatMap(({ figure, digits, compared }) => {
          const one = spreadOf(rounds, server, figure)
          const figureCell = one === null ? '' : cell(one, digits)
          if (!compared || base === undefined) return [figureCell]
          return [figureCell, server === base ? '' : times(ratioOf(rounds, server, base, figure))]
        })
      ])
  )
  const heads = known.flatMap(({ head, compared }) =>
    compared && base !== undefined ? [head, `of that of ${base}`] : [head]
  )
  return tableOf(['workload', 'server', ...heads], rows)
}

/** Shares of machine time that neither the servers nor the load program took: how quiet it was. */
function noise(rounds: readonly Round[]): string {
  const cores = rounds.flatMap(({ elsewhereCpuSeconds, seconds }) =>
    elsewhereCpuSeconds === null || seconds === 0 ? [] : [elsewhereCpuSeconds / seconds]
  )
  return cores.length === 0
    ? ''
    : ` Everything else on the machine took ${Math.max(...cores).toFixed(2)} cores at most.`
}

/** What the machine did for a single program, round by round: how much the same it was all the time. */
function alone(rounds: readonly Round[]): string {
  const all = rounds.flatMap((round) => round.alone ?? [])
  if (all.length === 0) return ''
  const over = (of: (one: Alone) => number, digits: number) => cell(spread(all.map(of)), digits)
  const [p50, p99, max] = (['p50', 'p99', 'max'] as const).map((name) => over(({ flushMs }) => flushMs[name], 2))
  const crc = over(({ crcMbPerSecond }) => crcMbPerSecond, 0)
  return ` Alone, before each round: a flush to disk p50 ${p50}, p99 ${p99}, at most ${max} ms; CRC-32 on one core ${crc} MB/s.`
}

function place({ machine, date }: Pick<PartResult, 'machine' | 'date'>): string {
  const { cores, cpu, memoryGb, kernel, node, fileSystem, java } = machine
  const with_ = java ? `, Java ${/\d[\d._]*/.exec(java)?.[0] ?? java}` : ''
  return `${date.slice(0, 10)}, ${cores} cores (${cpu}), ${memoryGb} GB, Linux ${kernel}, ${fileSystem}, Node ${node}${with_}.`
}

function section(part: string, folder: string): string {
  const found = readResult(part, folder)
  const title = `## ${TITLES[part] ?? part}`
  if (!found) return `${title}\n\nNot measured yet: \`npm run bench -- ${part}\`.`
  const workloads = Object.entries(found.result)
  const rounds = workloads.flatMap(([, workload]) => workload.rounds)
  const commits = [...new Set(workloads.map(([, { commit }]) => commit))].join(', ')
  const many = Math.max(...rounds.map(({ round }) => round))
  const seconds = Math.round(rounds[0]!.seconds)
  const medians = `medians of ${many} rounds of ${seconds} s each, least and most in parentheses`
  const how = many === 1 ? `one round of ${seconds} s` : medians
  return [
    title,
    `${place(found)} Commit ${commits}; ${how}.${noise(rounds)}${alone(rounds)}`,
    [...found.sides.map(({ name, what }) => `- ${name}: ${what}`)].join('\n'),
    workloads.map(([name, { what }]) => `- \`${name}\`: ${what}`).join('\n'),
    throughput(workloads),
    figures(workloads, LATENCY),
    figures(workloads, COSTS)
  ].join('\n\n')
}

function measuredSection(part: string, folder: string): string {
  const found = readResult<Record<string, Measured>>(part, folder)
  const title = `## ${MEASURED[part]}`
  if (!found) return `${title}\n\nNot measured yet: \`npm run bench:${part === 'model' ? 'growth' : part}\`.`
  const parts = Object.values(found.result).map(({ table, commit }) =>
    [`### ${table.title}`, `${table.what} (Commit ${commit}.)`, tableOf(table.head, table.rows)].join('\n\n')
  )
  return [title, place(found), ...parts].join('\n\n')
}

/** Ours over the peer in tx/s, of every part that has both; null when there is none. */
export function ratiosPicture(folder = RESULTS): string | null {
  const all: Bar[] = []
  for (const part of Object.keys(PARTS)) {
    for (const [name, { rounds }] of Object.entries(readResult(part, folder)?.result ?? {})) {
      if (name.includes('@')) continue
      for (const server of serversOf(rounds).filter(isOurs)) {
        const ratio = ratioOf(rounds, server, 'peer', 'tx/s')
        if (ratio) all.push({ group: TITLES[part] ?? part, label: `${name} (${server})`, ...ratio })
      }
    }
  }
  return all.length === 0 ? null : bars('Transactions per second: ours over the Java server', all)
}

export function growthPicture(folder = RESULTS): string | null {
  const all = Object.values(readResult<Record<string, Measured>>('growth', folder)?.result ?? {}).flatMap(
    ({ curve }) => curve ?? []
  )
  return all.length === 0 ? null : curves('Growth', all)
}

const PAGE = /(<!-- results -->\n)[\s\S]*(<!-- \/results -->)/

export function performancePage(page: string, folder = RESULTS): string {
  const pictures = [
    ratiosPicture(folder) === null ? [] : '![Transactions per second: ours over the Java server](performance.svg)',
    growthPicture(folder) === null ? [] : '![Growth](growth.svg)'
  ].flat()
  const sections = [
    ...Object.keys(PARTS).map((part) => section(part, folder)),
    ...Object.keys(MEASURED).map((part) => measuredSection(part, folder))
  ]
  return page.replace(PAGE, (_, begin, end) => `${begin}\n${[...pictures, ...sections].join('\n\n')}\n\n${end}`)
}
