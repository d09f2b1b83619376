// The Go program: built from the Go module proxy, and run against a coordinator and a cluster.
import { join } from 'node:path'
import type { ClusterUnderTest } from './cluster.ts'
import { download, findTool } from './processes.ts'
import { SETTINGS } from './rounds.ts'
import { BEGUN, CHECK, type Stage, type Watcher } from './stage.ts'

const CLIENT = 'seata-go 1.2.0'
/** What it has not, or what does not work in it with any coordinator; docs/clients.md says which, and why. */
const NOT_OFFERED = [
  'at',
  'lock',
  'xa',
  'saga',
  'reconnect',
  ...SETTINGS.map(({ feature }) => feature),
  'registry raft'
]

const SOURCES = join(import.meta.dirname, 'go')
const BUILD_MS = 400_000
const RUN_MS = 120_000
/** The line after which the node that leads the transaction begun last is killed. */
const BLOW = 'ok tcc: commit'

export class GoClient {
  readonly #stage: Stage
  readonly #program: string

  constructor(stage: Stage) {
    this.#stage = stage
    this.#program = join(stage.folder, 'go-client')
  }

  async build(): Promise<void> {
    const build = { command: findTool('go'), args: ['build', '-o', this.#program, '.'], cwd: SOURCES }
    await download(
      this.#stage.processes.run('build-go', build, BUILD_MS),
      'the Go module proxy (or what GOPROXY names)'
    )
    for (const feature of NOT_OFFERED) this.#stage.matrix.notOffered(CLIENT, feature)
  }

  /** Counts its checks as those of one feature, or of the scenario that each names. */
  async run(coordinator: string, feature?: string, watcher: Watcher = {}): Promise<void> {
    const { processes, folder, tally, matrix } = this.#stage
    const onLine = (line: string) => {
      const xid = BEGUN.exec(line)?.[1]
      if (xid !== undefined) return watcher.begun?.(xid)
      const [, verdict, scenario] = CHECK.exec(line) ?? []
      if (scenario === undefined) return
      watcher.line?.(line, () => {})
      matrix.count(CLIENT, feature ?? scenario, verdict === 'ok')
      tally.line(line)
    }
    const name = feature === undefined ? 'client-go' : `client-go-${feature}`
    await processes.run(name, { command: this.#program, args: [coordinator], cwd: folder, onLine }, RUN_MS)
  }

  /** It knows one address only: that of one gateway, behind which a leader is killed. */
  async runAtCluster(cluster: ClusterUnderTest): Promise<void> {
    const killed: string[] = []
    try {
      await this.run(cluster.address(0), 'cluster', {
        begun: (xid) => cluster.aim(xid),
        line: (text) => {
          const node = killed.length === 0 && text.startsWith(BLOW) ? cluster.strike() : null
          if (node !== null) killed.push(node)
        }
      })
    } finally {
      await cluster.mend()
    }
    this.#stage.tally.check(
      killed.length > 0,
      `cluster: nodes killed while ${CLIENT} ran, and nothing left: ${killed.join() || 'none'}`
    )
  }
}
