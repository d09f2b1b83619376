// A real redis-server with one copy, every write flushed: started in a folder of its own, killed, and started again on the same data.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../e2e/ports.ts'

export class RedisServer {
  readonly directory = mkdtempSync(join(tmpdir(), 'seata-redis-server-'))
  readonly port: number
  readonly #options: readonly string[]
  #process: ChildProcess | null = null

  private constructor(port: number, options: readonly string[]) {
    this.port = port
    this.#options = options
  }

  /** `options` as on its command line, `{port}` for its port; `files` are put into its folder first. */
  static async start(options: readonly string[] = [], files: Record<string, string> = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), options)
    for (const [name, text] of Object.entries(files)) writeFileSync(join(server.directory, name), text)
    await server.start()
    return server
  }

  async start(): Promise<void> {
    const options = this.#options.map((option) => option.replace('{port}', String(this.port)))
    const port = options.includes('--tls-port') ? '0' : String(this.port)
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '']
    const args = ['--port', port, '--bind', '127.0.0.1', '--dir', this.directory, ...durable, ...options]
    const child = spawn('redis-server', args, { stdio: 'ignore' })
    await once(child, 'spawn').catch((cause) => {
      throw new Error('redis-server is not on the PATH: these tests need it (Debian: apt-get install redis-server)', {
        cause
      })
    })
    this.#process = child
  }

  get pid(): number | undefined {
    return this.#process?.pid
  }

  get running(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null
  }

  async kill(): Promise<void> {
    const child = this.#process
    if (!child || !this.running) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }

  async end(): Promise<void> {
    await this.kill()
    rmSync(this.directory, { recursive: true, force: true })
  }
}
