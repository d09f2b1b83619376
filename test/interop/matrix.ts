// What came of a run, by version and feature: the table in docs/clients.md is made of it.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const FILE = join(import.meta.dirname, 'matrix.json')

export interface Cell {
  readonly passed: number
  readonly failed: number
}

/** Client, then feature; a feature that the client does not have is `null`. */
export type Results = Record<string, Record<string, Cell | null>>

export class Matrix {
  readonly results: Results = {}

  /** A line of a program: one check of a feature. */
  count(client: string, feature: string, passed: boolean): void {
    const features = (this.results[client] ??= {})
    const cell = features[feature] ?? { passed: 0, failed: 0 }
    features[feature] = { passed: cell.passed + Number(passed), failed: cell.failed + Number(!passed) }
  }

  notOffered(client: string, feature: string): void {
    const features = (this.results[client] ??= {})
    features[feature] = null
  }

  /** What was not run keeps what was seen of it before. */
  save(): void {
    const all: Results = existsSync(FILE) ? savedResults() : {}
    for (const [client, features] of Object.entries(this.results)) all[client] = { ...all[client], ...features }
    writeFileSync(FILE, `${JSON.stringify(all, null, 2)}\n`)
  }
}

/** The results that were saved last. */
export function savedResults(): Results {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Results
}
