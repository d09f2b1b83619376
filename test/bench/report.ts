// The bench's report: medians and spread of each figure over the rounds, side by side, and the ratio ours to peer.
import type { Round } from './round.ts'

interface Figure {
  readonly name: string
  readonly digits: number
  of(round: Round): number | null
}

const perTransaction = (value: number | null, round: Round) =>
  value === null || round.transactions === 0 ? null : value / round.transactions

export const FIGURES: readonly Figure[] = [
  { name: 'tx/s', digits: 0, of: (r) => r.txPerSecond },
  { name: 'p50 ms', digits: 2, of: (r) => r.latencyMs.p50 },
  { name: 'p90 ms', digits: 2, of: (r) => r.latencyMs.p90 },
  { name: 'p99 ms', digits: 2, of: (r) => r.latencyMs.p99 },
  { name: 'max ms', digits: 1, of: (r) => r.latencyMs.max },
  { name: 'server CPU s per 1,000 tx', digits: 4, of: (r) => perThousand(r.serverCpuSeconds, r) },
  { name: 'load CPU s per 1,000 tx', digits: 4, of: (r) => perThousand(r.cpuSeconds, r) },
  { name: 'server CPU, cores', digits: 2, of: (r) => perSecond(r.serverCpuSeconds, r) },
  { name: 'load CPU, cores', digits: 2, of: (r) => perSecond(r.cpuSeconds, r) },
  { name: 'other CPU, cores', digits: 2, of: (r) => perSecond(r.elsewhereCpuSeconds, r) },
  { name: 'resident MB', digits: 0, of: (r) => r.memory?.rssMb ?? null },
  { name: 'resident MB, not of files', digits: 0, of: (r) => r.memory?.anonMb ?? null },
  { name: 'resident MB, highest', digits: 0, of: (r) => r.memory?.peakMb ?? null },
  { name: 'branches owed at the end', digits: 0, of: (r) => r.owed },
  { name: 's until none is owed', digits: 2, of: (r) => r.owedSeconds },
  { name: 'appends per tx', digits: 3, of: (r) => perTransaction(r.appends, r) },
  { name: 'fsyncs per tx', digits: 3, of: (r) => perTransaction(r.fsyncs, r) },
  {
    name: 'requests per append',
    digits: 1,
    of: (r) => (r.appends && r.requests !== null ? r.requests / r.appends : null)
  },
  { name: 'errors', digits: 0, of: (r) => r.errors }
]

function perThousand(value: number | null, round: Round): number | null {
  const one = perTransaction(value, round)
  return one === null ? null : one * 1000
}

function perSecond(value: number | null, round: Round): number | null {
  return value === null || round.seconds === 0 ? null : value / round.seconds
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export interface Summary {
  readonly figure: string
  /** By server; null where a figure is not to be had. */
  readonly servers: Readonly<Record<string, Spread | null>>
  /** Median of ours over median of the peer. */
  readonly ratio: number | null
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

export function summarize(rounds: readonly Round[]): Summary[] {
  const names = [...new Set(rounds.map((round) => round.server))]
  return FIGURES.map((figure) => {
    const servers: Record<string, Spread | null> = {}
    for (const name of names) {
      const values = rounds.filter((round) => round.server === name).map((round) => figure.of(round))
      const known = values.filter((value) => value !== null)
      servers[name] = known.length === 0 ? null : spread(known)
    }
    const { ours, peer } = servers
    return { figure: figure.name, servers, ratio: ours && peer && peer.median !== 0 ? ours.median / peer.median : null }
  })
}

function number(value: number, digits: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

function cell(value: Spread | null | undefined, digits: number): string {
  if (!value) return 'n/a'
  const median = number(value.median, digits)
  if (value.min === value.max) return median
  return `${median} (${number(value.min, digits)}–${number(value.max, digits)})`
}

function lines(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const text = (row: readonly string[]) =>
    row.map((c, i) => (i === 0 ? c.padEnd(widths[i]!) : c.padStart(widths[i]!))).join('  ')
  return rows.map((row) => `  ${text(row)}`.trimEnd()).join('\n')
}

/** A table: a row a figure, a column a server. Figures that no server gave are left out. */
export function table(summary: readonly Summary[]): string {
  const names = Object.keys(summary[0]?.servers ?? {})
  const ratio = names.includes('ours') && names.includes('peer')
  const rows = [['median (min–max)', ...names, ...(ratio ? ['ours/peer'] : [])]]
  for (const [i, line] of summary.entries()) {
    if (names.every((name) => line.servers[name] === null) && !names.includes('ours')) continue
    const cells = names.map((name) => cell(line.servers[name], FIGURES[i]!.digits))
    rows.push([line.figure, ...cells, ...(ratio ? [line.ratio === null ? '' : number(line.ratio, 2)] : [])])
  }
  return lines(rows)
}

/** What is measured of tracing: how it differs from ours of the same round, in per cent. */
const COSTS: readonly { readonly name: string; of(traced: Round, ours: Round): number | null }[] = [
  { name: 'fewer tx/s', of: (traced, ours) => 1 - traced.txPerSecond / ours.txPerSecond },
  {
    name: 'more server CPU per tx',
    of: (traced, ours) => {
      const [more, base] = [traced, ours].map((round) => perThousand(round.serverCpuSeconds, round))
      return more == null || !base ? null : more / base - 1
    }
  }
]

/** What tracing costs: a column each server whose name says that it traces, rows for each workload. Empty where none traces. */
export function overhead(workloads: Readonly<Record<string, readonly Round[]>>): string {
  const all = Object.values(workloads).flat()
  const names = [...new Set(all.map(({ server }) => server))].filter((name) => name.startsWith('traced'))
  if (names.length === 0) return ''
  const of = (rounds: readonly Round[], name: string) => rounds.filter(({ server }) => server === name)
  const rows = Object.entries(workloads).flatMap(([workload, rounds]) =>
    COSTS.map((cost) => {
      const ours = of(rounds, 'ours')
      const cells = names.map((name) => {
        const known = of(rounds, name).flatMap((round, i) => (ours[i] ? (cost.of(round, ours[i]) ?? []) : []))
        return known.length === 0 ? 'n/a' : cell(spread(known.map((share) => share * 100)), 1)
      })
      return [`${workload}: ${cost.name}, %`, ...cells]
    })
  )
  return lines([['what tracing costs, median (min–max)', ...names], ...rows])
}
