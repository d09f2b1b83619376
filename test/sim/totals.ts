// What many runs come to.
import type { Outcome } from './world.ts'

export class Totals {
  runs = 0
  events = 0
  readonly #began = performance.now()
  #ms = 0
  readonly #faults = new Map<string, number>()
  readonly #counts = new Map<string, number>()

  add({ events, ms, faults, counts }: Outcome): void {
    this.runs++
    this.events += events
    this.#ms += ms
    for (const [name, n] of Object.entries(faults)) this.#faults.set(name, (this.#faults.get(name) ?? 0) + n)
    for (const [name, n] of Object.entries(counts)) this.#counts.set(name, (this.#counts.get(name) ?? 0) + n)
  }

  count(name: string): number {
    return this.#counts.get(name) ?? 0
  }

  get faults(): number {
    return [...this.#faults.values()].reduce((sum, n) => sum + n, 0)
  }

  faultsOf(name: string): number {
    return this.#faults.get(name) ?? 0
  }

  get text(): string {
    const seconds = (performance.now() - this.#began) / 1000
    const list = (map: ReadonlyMap<string, number>) => [...map].map(([name, n]) => `${name} ${n}`).join(', ')
    const perMinute = Math.round((this.events / seconds) * 60)
    return [
      `${this.runs} runs in ${seconds.toFixed(0)} s: ${this.events} events (${perMinute} a minute), ${Math.round(this.#ms / 1000)} s of virtual time`,
      `${this.faults} faults: ${list(this.#faults)}`,
      `${list(this.#counts)}`
    ].join('\n')
  }
}
