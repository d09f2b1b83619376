// The results of the bench as files: one a part, in results/, from which docs/performance.md is made.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Machine } from './proc.ts'
import type { Round } from './round.ts'

export const RESULTS = join(import.meta.dirname, 'results')

/** A workload as it was run, each at its own time. */
export interface WorkloadResult {
  readonly what: string
  readonly date: string
  readonly commit: string
  readonly rounds: readonly Round[]
}

/** What a part measured: workloads by their names, or whatever a part of its own kind has. */
export interface PartResult<T = Readonly<Record<string, WorkloadResult>>> {
  readonly part: string
  readonly date: string
  readonly machine: Machine
  /** Every server that was measured, and how it was set up. */
  readonly sides: readonly { readonly name: string; readonly what: string }[]
  readonly result: T
}

/** A table as it stands in the docs, from parts that are no rounds side by side. */
export interface Table {
  readonly title: string
  /** What was done, in a sentence. */
  readonly what: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** A curve for the docs' picture. */
export interface Curve {
  readonly title: string
  readonly xName: string
  readonly yName: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

/** What such parts measured: by its name, so that one can be run again. */
export interface Measured {
  readonly date: string
  readonly commit: string
  readonly table: Table
  readonly curve?: Curve
  /** All that was seen. */
  readonly raw: unknown
}

function fileOf(part: string, folder: string): string {
  return join(folder, `${part}.json`)
}

export function readResult<T = Readonly<Record<string, WorkloadResult>>>(
  part: string,
  folder = RESULTS
): PartResult<T> | null {
  const file = fileOf(part, folder)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as PartResult<T>) : null
}

/** A line for every value that is no object of objects, and for what stands in a list, so that a change is seen in a diff. */
function toText(value: unknown, indent = ''): string {
  const isFlat = typeof value !== 'object' || value === null || !Object.values(value).some(isDeep)
  if (isFlat) return JSON.stringify(value)
  const inner = `${indent}  `
  const all = Array.isArray(value)
    ? value.map((one) => `${inner}${JSON.stringify(one)}`)
    : Object.entries(value as object).map(([key, one]) => `${inner}${JSON.stringify(key)}: ${toText(one, inner)}`)
  const [open, close] = Array.isArray(value) ? ['[', ']'] : ['{', '}']
  return `${open}\n${all.join(',\n')}\n${indent}${close}`
}

const isDeep = (value: unknown) =>
  typeof value === 'object' && value !== null && Object.values(value).some((one) => typeof one === 'object')

/** Returns the file's path. */
export function writeResult<T>(result: PartResult<T>, folder = RESULTS): string {
  mkdirSync(folder, { recursive: true })
  const file = fileOf(result.part, folder)
  writeFileSync(file, `${toText(result)}\n`)
  return file
}

/** Adds what was measured to what an earlier run of the part has left. */
export function addMeasured(head: Omit<PartResult, 'result'>, measured: Readonly<Record<string, Measured>>): string {
  const before = readResult<Record<string, Measured>>(head.part)
  return writeResult({ ...head, result: { ...before?.result, ...measured } })
}

/** Adds workloads to those that an earlier run of the part has left, and servers to those of the same workload. */
export function addWorkloads(
  head: Omit<PartResult, 'result'>,
  workloads: Readonly<Record<string, WorkloadResult>>,
  folder = RESULTS
): string {
  const before = readResult(head.part, folder)
  const result = { ...before?.result }
  for (const [name, workload] of Object.entries(workloads)) {
    const servers = new Set(workload.rounds.map(({ server }) => server))
    const others = result[name]?.rounds.filter(({ server }) => !servers.has(server)) ?? []
    result[name] = { ...workload, rounds: [...others, ...workload.rounds] }
  }
  const names = new Set(head.sides.map(({ name }) => name))
  const sides = [...(before?.sides.filter(({ name }) => !names.has(name)) ?? []), ...head.sides]
  return writeResult({ ...head, sides, result }, folder)
}
