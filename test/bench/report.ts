// The bench's figures: medians and spread of each over the rounds, side by side, and ratios, which are taken within each round.
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
  { name: 'tx/s by the second, deviation %', digits: 1, of: (r) => deviation(r.perSecond) },
  { name: 'server CPU s per 1,000 tx', digits: 4, of: (r) => perThousand(r.serverCpuSeconds, r) },
  { name: 'load CPU s per 1,000 tx', digits: 4, of: (r) => perThousand(r.cpuSeconds, r) },
  { name: 'server CPU, cores', digits: 2, of: (r) => perSecond(r.serverCpuSeconds, r) },
  { name: 'load CPU, cores', digits: 2, of: (r) => perSecond(r.cpuSeconds, r) },
  { name: 'other CPU, cores', digits: 2, of: (r) => perSecond(r.elsewhereCpuSeconds, r) },
  { name: 'CPU in GC, %', digits: 1, of: (r) => share(r.gcSeconds, r.serverCpuSeconds) },
  { name: 'resident MB', digits: 0, of: (r) => r.memory?.rssMb ?? null },
  { name: 'resident MB, not of files', digits: 0, of: (r) => r.memory?.anonMb ?? null },
  { name: 'resident MB, highest', digits: 0, of: (r) => r.memory?.peakMb ?? null },
  // A commit of AT is answered before its phase two: who leaves that for later is not done with the window.
  { name: 'tx/s, phase two included', digits: 0, of: (r) => (r.txPerSecond * r.seconds) / (r.seconds + r.owedSeconds) },
  { name: 'branches owed at the end', digits: 0, of: (r) => r.owed },
  { name: 'branches owed, at most', digits: 0, of: (r) => r.owedMost },
  { name: 's until none is owed', digits: 2, of: (r) => r.owedSeconds },
  { name: 'owed for ms, p50', digits: 1, of: (r) => r.owedMs.p50 },
  { name: 'owed for ms, p99', digits: 1, of: (r) => r.owedMs.p99 },
  { name: 'owed for ms, longest', digits: 0, of: (r) => r.owedMs.max },
  { name: 'owed and never paid', digits: 0, of: (r) => r.owedForEver },
  { name: 'lock conflicts per tx', digits: 2, of: (r) => perTransaction(r.conflicts, r) },
  { name: 'given up for locks', digits: 0, of: (r) => r.givenUp },
  { name: 'bytes on the wire per tx', digits: 0, of: (r) => perTransaction(r.bytesSent + r.bytesReceived, r) },
  { name: 'appends per tx', digits: 3, of: (r) => perTransaction(r.appends, r) },
  { name: 'fsyncs per tx', digits: 3, of: (r) => perTransaction(r.fsyncs, r) },
  {
    name: 'requests per append',
    digits: 1,
    of: (r) => (r.appends && r.requests !== null ? r.requests / r.appends : null)
  },
  { name: 'records put behind a snapshot', digits: 0, of: (r) => r.snapshots },
  { name: 'errors', digits: 0, of: (r) => r.errors }
]

function perThousand(value: number | null, round: Round): number | null {
  const one = perTransaction(value, round)
  return one === null ? null : one * 1000
}

function perSecond(value: number | null, round: Round): number | null {
  return value === null || round.seconds === 0 ? null : value / round.seconds
}

/** Standard deviation of the whole seconds of a window, in % of their mean. */
function deviation(perSecond: readonly number[]): number | null {
  if (perSecond.length < 2) return null
  const mean = perSecond.reduce((sum, one) => sum + one, 0) / perSecond.length
  const square = perSecond.reduce((sum, one) => sum + (one - mean) ** 2, 0) / perSecond.length
  return mean === 0 ? null : (Math.sqrt(square) / mean) * 100
}

function share(part: number | null, whole: number | null): number | null {
  return part === null || !whole ? null : (part / whole) * 100
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function spread(values: readonly number[]): Spread | null {
  if (values.length === 0) return null
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

/** In the order in which they ran. */
export function serversOf(rounds: readonly Round[]): string[] {
  return [...new Set(rounds.map(({ server }) => server))]
}

export function spreadOf(rounds: readonly Round[], server: string, figure: string): Spread | null {
  const { of } = FIGURES.find(({ name }) => name === figure)!
  const values = rounds.filter((round) => round.server === server).map(of)
  return spread(values.filter((value) => value !== null))
}

/** Of one figure, `server` over `base`, taken round by round. */
export function ratioOf(rounds: readonly Round[], server: string, base: string, figure: string): Spread | null {
  return spread(ratiosOf(rounds, server, base, figure))
}

/** One of every round that has both. */
export function ratiosOf(rounds: readonly Round[], server: string, base: string, figure: string): number[] {
  const { of } = FIGURES.find(({ name }) => name === figure)!
  return rounds.flatMap((one) => {
    const other = rounds.find(({ server, round }) => server === base && round === one.round)
    if (one.server !== server || !other) return []
    const [a, b] = [of(one), of(other)]
    return a === null || !b ? [] : [a / b]
  })
}

/** Whether ratios are below `least`: their median, and three of four. On a busy machine some rounds show anything, and half of them may. */
export function isLoss(ratios: readonly number[], least: number): boolean {
  const low = ratios.filter((ratio) => ratio < least)
  return low.length > 0 && spread(ratios)!.median < least && low.length >= ratios.length * 0.75
}

export function formatted(value: number, digits: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

export function cell(value: Spread | null, digits: number): string {
  if (!value) return 'n/a'
  const median = formatted(value.median, digits)
  if (value.min === value.max) return median
  return `${median} (${formatted(value.min, digits)}–${formatted(value.max, digits)})`
}

export const isOurs = (server: string) => server.startsWith('ours')

/** A table: a row a figure, a column a server, and each of ours over the peer. Figures that no server gave, or that are 0 for all, are left out. */
export function table(rounds: readonly Round[]): string {
  const names = serversOf(rounds)
  const ours = names.includes('peer') ? names.filter(isOurs) : []
  const rows = [['median (min–max)', ...names, ...ours.map((name) => `${name}/peer`)]]
  for (const { name: figure, digits } of FIGURES) {
    const spreads = names.map((name) => spreadOf(rounds, name, figure))
    const says = figure === 'errors' || spreads.some((one) => one !== null && one.max !== 0)
    if (!says) continue
    const ratios = ours.map((name) => ratioOf(rounds, name, 'peer', figure))
    const cells = spreads.map((one) => cell(one, digits))
    rows.push([figure, ...cells, ...ratios.map((one) => (one === null ? '' : cell(one, 2)))])
  }
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const text = (row: string[]) =>
    row.map((c, i) => (i === 0 ? c.padEnd(widths[i]!) : c.padStart(widths[i]!))).join('  ')
  return rows.map((row) => `  ${text(row)}`.trimEnd()).join('\n')
}

/** What tracing costs: of every server whose name says that it traces, against ours. */
export function costs(rounds: readonly Round[]): string[] {
  return serversOf(rounds).flatMap((name) => {
    if (!name.startsWith('traced')) return []
    const txs = ratioOf(rounds, name, 'ours', 'tx/s')
    const cpu = ratioOf(rounds, name, 'ours', 'server CPU s per 1,000 tx')
    if (!txs || !cpu) return []
    return [`${name}: ${percent(1 - txs.median)} % fewer tx/s, ${percent(cpu.median - 1)} % more server CPU per tx`]
  })
}

const percent = (share: number) => (share * 100).toFixed(1)
