// Jaeger's all-in-one, which is a Go module: built from what Go's proxy gives, with the checksums that its own go.sum names.
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { freePort } from '../e2e/ports.ts'
import { eventually } from '../host/harness.ts'

const MODULE = 'github.com/jaegertracing/jaeger'
const VERSION = 'v1.76.0'
const BUILD_MS = 600_000
/** Go 1.24 and later: as its go.mod says. */
const GO_MINOR = 24

/** What the program is when it was built before, or another is named with JAEGER=PATH. */
function programAt(): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
  return process.env.JAEGER ?? join(cache, 'fastify-seata', `jaeger-${VERSION}`)
}

/** Whether there is a Jaeger, or the means to build one: a Go that reads its go.mod. JAEGER=none says that there is none. */
export function hasJaeger(): boolean {
  if (process.env.JAEGER === 'none') return false
  const [, minor = '0'] = /go1\.(\d+)/.exec(spawnSync('go', ['version'], { encoding: 'utf8' }).stdout ?? '') ?? []
  return existsSync(programAt()) || Number(minor) >= GO_MINOR
}

/** Where the program is; it is built when it is not there yet, which takes minutes. */
function jaegerProgram(): string {
  const program = programAt()
  if (existsSync(program)) return program
  const folder = dirname(program)
  mkdirSync(folder, { recursive: true })
  const go = (cwd: string, ...args: string[]) =>
    execFileSync('go', args, { cwd, env: { ...process.env, CGO_ENABLED: '0' }, timeout: BUILD_MS, encoding: 'utf8' })
  const { Dir } = JSON.parse(go(folder, 'mod', 'download', '-json', `${MODULE}@${VERSION}`)) as { Dir: string }
  // Go does not build in its cache: that is read-only.
  const sources = join(folder, `jaeger-${process.pid}`)
  cpSync(Dir, sources, { recursive: true })
  execFileSync('chmod', ['-R', 'u+w', sources])
  try {
    go(sources, 'build', '-trimpath', '-o', `${program}.new`, './cmd/all-in-one')
    renameSync(`${program}.new`, program)
  } finally {
    rmSync(sources, { recursive: true, force: true })
  }
  return program
}

export class Jaeger {
  readonly process: ChildProcess
  readonly otlp: string
  readonly url: string

  constructor(process: ChildProcess, otlp: string, url: string) {
    this.process = process
    this.otlp = otlp
    this.url = url
  }

  static async start(t: { teardown(then: () => unknown): void }): Promise<Jaeger> {
    const program = jaegerProgram()
    const [otlp, grpc, query, queryGrpc, admin, thriftHttp, thriftGrpc] = await Promise.all(
      Array.from({ length: 7 }, () => freePort())
    )
    const at = (port: number | undefined) => `127.0.0.1:${port}`
    const child = spawn(
      program,
      [
        ['collector.otlp.http.host-port', at(otlp)],
        ['collector.otlp.grpc.host-port', at(grpc)],
        ['collector.http-server.host-port', at(thriftHttp)],
        ['collector.grpc-server.host-port', at(thriftGrpc)],
        ['query.http-server.host-port', at(query)],
        ['query.grpc-server.host-port', at(queryGrpc)],
        ['admin.http.host-port', at(admin)]
      ].map(([name, value]) => `--${name}=${value}`),
      { stdio: 'ignore' }
    )
    t.teardown(() => child.kill('SIGKILL'))
    const jaeger = new Jaeger(child, `http://${at(otlp)}`, `http://${at(query)}`)
    await eventually(
      () =>
        fetch(`${jaeger.url}/api/services`).then(
          (response) => response.ok,
          () => false
        ),
      'Jaeger answering',
      30_000
    )
    return jaeger
  }

  /** The traces that a search by XID finds, as span names by trace. */
  async find(xid: string): Promise<string[][]> {
    const tags = encodeURIComponent(JSON.stringify({ 'seata.xid': xid }))
    const response = await fetch(`${this.url}/api/traces?service=fastify-seata-gateway&tags=${tags}&lookback=1h`)
    const { data } = (await response.json()) as { data: { spans: { operationName: string }[] }[] }
    return data.map(({ spans }) => spans.map(({ operationName }) => operationName))
  }
}
