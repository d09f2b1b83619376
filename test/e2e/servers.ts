// The product as a test starts it: as a plugin in an app of its own, or as a process.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Fastify, { type FastifyInstance } from 'fastify'
import seata, { type SeataOptions } from '../../plugin/index.ts'
import { SeataClient } from '../client/client.ts'

type Context = { teardown(then: () => unknown): void }

export interface App {
  readonly app: FastifyInstance
  readonly port: number
  client(options?: Partial<Parameters<typeof SeataClient.connect>[0]>): Promise<SeataClient>
}

/** A coordinator in memory, inside the test's process; closed with the test. */
export async function startApp(t: Context, options: SeataOptions = {}): Promise<App> {
  const app = Fastify({ forceCloseConnections: true })
  await app.register(seata, { port: 0, kv: 'memory:', ...options })
  await app.ready()
  const { port } = app.seata.address!
  t.teardown(() => app.close())
  return { app, port, client: (more) => connect(t, { port, ...more }) }
}

/** A client that goes with the test. */
export async function connect(t: Context, options: Parameters<typeof SeataClient.connect>[0]): Promise<SeataClient> {
  const client = await SeataClient.connect(options)
  t.teardown(() => client.close())
  return client
}

export function temporaryDirectory(t: Context): string {
  const directory = mkdtempSync(join(tmpdir(), 'seata-test-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const root = join(import.meta.dirname, '../..')

/** A program of Node; it is killed with the test. */
export class NodeProgram {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly exited: Promise<Exit>

  constructor(t: Context, args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd = root) {
    this.child = spawn(process.execPath, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    this.child.stdout!.on('data', (chunk: Buffer) => (this.stdout += chunk))
    this.child.stderr!.on('data', (chunk: Buffer) => (this.stderr += chunk))
    this.exited = new Promise((resolve) => this.child.on('close', (code, signal) => resolve({ code, signal })))
    t.teardown(() => this.child.kill('SIGKILL'))
  }

  /** Resolves with the first match in what it prints; rejects when the process ends before. */
  line(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = pattern.exec(this.stdout)
        if (found) resolve(found)
      }
      this.child.stdout!.on('data', look)
      void this.exited.then(({ code }) => reject(new Error(`ended with ${code}: ${this.stderr}`)))
      look()
    })
  }

  async kill(signal: NodeJS.Signals): Promise<Exit> {
    this.child.kill(signal)
    return this.exited
  }
}

export class ServerProcess extends NodeProgram {
  /** `fastify-seata ARGS` with the given environment on top. */
  constructor(t: Context, args: readonly string[], env: NodeJS.ProcessEnv = {}, cwd = root) {
    super(t, [join(root, 'plugin/cli.ts'), ...args], env, cwd)
  }

  /** Resolves with the ports of the ready line; rejects when the process ends before. */
  async ready(): Promise<{ port: number; httpPort: number }> {
    const [, port, httpPort] = await this.line(/Seata on \S+:(\d+), HTTP on \S+:(\d+), store/)
    return { port: Number(port), httpPort: Number(httpPort) }
  }
}
