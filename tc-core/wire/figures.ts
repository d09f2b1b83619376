// Figures that rooms keep of what they do, cheap enough for the hot path; who serves them as metrics reads them when asked.

export type Labels = Readonly<Record<string, string | number>>

export interface Sample {
  readonly labels: Labels
  readonly value: number
  /** Where the name is another than the family's: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: string
  readonly exemplar?: Exemplar | undefined
}

/** One observation of many, whose trace can be looked at: in the shape of prom-client. */
export interface Exemplar {
  readonly labelSet: { readonly trace_id: string }
  readonly value: number
  /** Unix seconds. */
  readonly timestamp: number
}

/** Figures of one name. */
export interface Family {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  samples(): Sample[]
}

/** Something counted by name; names beyond a bound are one. */
export class Counts {
  readonly #counts = new Map<string, number>()
  readonly #max: number

  constructor(max = 200) {
    this.#max = max
  }

  add(name: string, n = 1): void {
    const known = this.#counts.get(name)
    if (known === undefined && this.#counts.size >= this.#max && name !== OTHER) return this.add(OTHER, n)
    this.#counts.set(name, (known ?? 0) + n)
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  get entries(): [string, number][] {
    return [...this.#counts]
  }
}

export const OTHER = 'other'

/** How often a value was below each bound: Prometheus' histogram. */
export class Distribution {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  /** The last of each bucket that is traced. */
  readonly #exemplars: (Exemplar | undefined)[] = []
  #sum = 0

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = new Array(bounds.length + 1).fill(0)
  }

  /** @param traceId of the trace that it is part of; empty: of none */
  add(value: number, traceId = ''): void {
    const { length } = this.#bounds
    let i = 0
    while (i < length && value > this.#bounds[i]!) i++
    this.#counts[i]!++
    this.#sum += value
    if (traceId !== '') this.#exemplars[i] = { labelSet: { trace_id: traceId }, value, timestamp: Date.now() / 1000 }
  }

  samples(labels: Labels): Sample[] {
    let total = 0
    const buckets = this.#counts.map((count, i) => {
      const le = this.#bounds[i] ?? '+Inf'
      return { labels: { ...labels, le }, value: (total += count), suffix: '_bucket', exemplar: this.#exemplars[i] }
    })
    return [...buckets, { labels, value: this.#sum, suffix: '_sum' }, { labels, value: total, suffix: '_count' }]
  }
}

/** Seconds. */
export const SECONDS = [0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
/** Requests or effects in one record. */
export const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

/** Distributions by one name, such as an operation. */
export class Distributions {
  readonly #bounds: readonly number[]
  readonly #label: string
  readonly #by = new Map<string, Distribution>()

  constructor(label: string, bounds: readonly number[]) {
    this.#label = label
    this.#bounds = bounds
  }

  /** `name` is one of few. */
  add(name: string, value: number, traceId = ''): void {
    let one = this.#by.get(name)
    if (!one) this.#by.set(name, (one = new Distribution(this.#bounds)))
    one.add(value, traceId)
  }

  samples(labels: Labels = {}): Sample[] {
    return [...this.#by].flatMap(([name, one]) => one.samples({ ...labels, [this.#label]: name }))
  }
}

export function gauge(name: string, help: string, samples: () => Sample[]): Family {
  return { name, help, type: 'gauge', samples }
}

export function counter(name: string, help: string, samples: () => Sample[]): Family {
  return { name, help, type: 'counter', samples }
}

export function histogram(name: string, help: string, samples: () => Sample[]): Family {
  return { name, help, type: 'histogram', samples }
}
