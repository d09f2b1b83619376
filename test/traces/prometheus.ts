// Debian's Prometheus as a process of its own. Everything that waits for it has an end.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { freePort } from '../e2e/ports.ts'
import { temporaryDirectory } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'

const START_MS = 30_000
const ANSWER_MS = 5_000

type Answer<T> = { readonly status: string; readonly data: T }

export class Prometheus {
  readonly #url: string
  readonly #child: ChildProcess
  #said = ''

  constructor(url: string, child: ChildProcess) {
    this.#url = url
    this.#child = child
    child.stderr!.on('data', (chunk: Buffer) => (this.#said = (this.#said + chunk).slice(-4000)))
    child.on('error', (error) => (this.#said += error.message))
  }

  /** Resolves when it scrapes; it goes with the test. */
  static async start(t: { teardown(then: () => unknown): void }, settings: object): Promise<Prometheus> {
    const folder = temporaryDirectory(t)
    const file = join(folder, 'prometheus.yml')
    writeFileSync(file, stringify(settings))
    const at = `127.0.0.1:${await freePort()}`
    const args = [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=${at}`]
    const child = spawn('prometheus', [...args, '--enable-feature=exemplar-storage'], {
      stdio: ['ignore', 'ignore', 'pipe']
    })
    t.teardown(() => child.kill('SIGKILL'))
    const prometheus = new Prometheus(`http://${at}`, child)
    await prometheus.#ready()
    return prometheus
  }

  async #ready(): Promise<void> {
    const asked = () =>
      fetch(`${this.#url}/-/ready`, { signal: AbortSignal.timeout(ANSWER_MS) }).then(
        ({ ok }) => ok,
        () => false
      )
    const isOver = () => this.#child.exitCode !== null || this.#child.pid === undefined
    await eventually(async () => isOver() || (await asked()), `Prometheus: ${this.#said}`, START_MS)
    if (isOver()) throw new Error(`Prometheus ended: ${this.#said}`)
  }

  /** Null: it does not answer, or not in time. */
  async #get<T>(path: string, query: Readonly<Record<string, string>>): Promise<T | null> {
    const url = `${this.#url}/api/v1/${path}?${new URLSearchParams(query)}`
    try {
      const answer = (await (await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) })).json()) as Answer<T>
      return answer.status === 'success' ? answer.data : null
    } catch {
      return null
    }
  }

  /** The values of a query now; empty where there is none. */
  async values(expr: string): Promise<number[]> {
    const data = await this.#get<{ result: { value: [number, string] }[] }>('query', { query: expr })
    return (data?.result ?? []).map(({ value }) => Number(value[1]))
  }

  /** The traces that observations of a metric are part of, of the last minute. */
  async traces(metric: string): Promise<string[]> {
    const now = Date.now() / 1000
    const query = { query: metric, start: String(now - 60), end: String(now + 1) }
    const data = await this.#get<{ exemplars: { labels: { trace_id?: string } }[] }[]>('query_exemplars', query)
    return (data ?? []).flatMap(({ exemplars }) => exemplars.map(({ labels }) => labels.trace_id ?? ''))
  }
}

/** What promtool has to say of metrics as text. */
export function promtool(metrics: string): string[] {
  const options = { input: metrics, encoding: 'utf8', timeout: START_MS } as const
  const { stdout, stderr, error } = spawnSync('promtool', ['check', 'metrics'], options)
  if (error) throw error
  return (stdout + stderr).split('\n').filter((line) => line !== '')
}
