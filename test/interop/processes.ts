// The programs that an interop run needs: found on this machine, started with their output in log files, ended with the run.
import { type ChildProcess, spawn } from 'node:child_process'
import { accessSync, appendFileSync, closeSync, constants, openSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

/** A reason to give up that needs no stack trace. */
export class InteropError extends Error {}

/** What Maven and Go say then; Maven looks for its plugins first. */
const UNREACHABLE =
  /No plugin found for prefix|Could not transfer|Unknown host|Connection refused|Connection timed out|no such host|dial tcp|i\/o timeout|TLS handshake/i

export const MAVEN = 'Maven Central (or the mirror in ~/.m2/settings.xml)'

/** Runs what downloads. What came once is kept by its own tool (~/.m2, Go's module cache); a registry that is not there is named. */
export async function download(build: Promise<void>, registry: string): Promise<void> {
  try {
    await build
  } catch (error) {
    if (!(error instanceof InteropError) || !UNREACHABLE.test(error.message)) throw error
    throw new InteropError(
      `${registry} cannot be reached from this machine, and what is needed of it was never downloaded`
    )
  }
}

const PACKAGES: Readonly<Record<string, string>> = {
  javac: 'a Java development kit, 17 or later (Debian: openjdk-17-jdk-headless)',
  java: 'a Java development kit, 17 or later (Debian: openjdk-17-jdk-headless)',
  mvn: 'Apache Maven (Debian: maven)',
  mariadbd: 'MariaDB (Debian: mariadb-server)',
  'mariadb-install-db': 'MariaDB (Debian: mariadb-server)',
  go: 'Go, 1.21 or later (Debian: golang-go)'
}
const DIRECTORIES = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
const TAIL_LINES = 40
const POLL_MS = 100

/** The path of a program, or an error that says what to install. */
export function findTool(name: string): string {
  for (const directory of DIRECTORIES) {
    const path = join(directory, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {}
  }
  throw new InteropError(`there is no ${name} on this machine; install ${PACKAGES[name]}`)
}

export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly cwd?: string
  /** Called with each line of standard output; what is said goes to its standard input. */
  readonly onLine?: (line: string, say: (text: string) => void) => void
}

export class RunningProgram {
  readonly name: string
  readonly #child: ChildProcess
  readonly #log: string
  /** Its exit code; null once a signal ended it or it could not be started. */
  readonly exit: Promise<number | null>
  exited = false

  constructor(name: string, child: ChildProcess, log: string) {
    this.name = name
    this.#child = child
    this.#log = log
    this.exit = new Promise((resolve) => {
      child.once('error', () => resolve(null))
      child.once('close', resolve)
    })
    void this.exit.then(() => {
      this.exited = true
    })
  }

  /** Ends it and what it started. */
  kill(): void {
    if (this.exited || this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {}
  }

  /** Asks it to end, and waits until it has. */
  async end(): Promise<void> {
    if (!this.exited && this.#child.pid !== undefined) process.kill(this.#child.pid, 'SIGTERM')
    await this.exit
  }

  /** The end of its log, for people. */
  tail(): string {
    const lines = readFileSync(this.#log, 'utf8').trimEnd().split('\n')
    return lines
      .slice(-TAIL_LINES)
      .map((line) => `  ${this.name}| ${line}`)
      .join('\n')
  }
}

export class Processes {
  readonly #logs: string
  readonly #programs: RunningProgram[] = []

  constructor(logs: string) {
    this.#logs = logs
  }

  start(name: string, program: Program): RunningProgram {
    const path = join(this.#logs, `${name}.log`)
    rmSync(path, { force: true })
    const log = openSync(path, 'a')
    const { command, args, cwd, onLine } = program
    const child = spawn(command, args, {
      cwd,
      detached: true,
      stdio: [onLine ? 'pipe' : 'ignore', onLine ? 'pipe' : log, log]
    })
    closeSync(log)
    // Who has ended does not listen any more.
    child.stdin?.on('error', () => {})
    if (onLine && child.stdout) {
      createInterface(child.stdout).on('line', (line) => {
        appendFileSync(path, `${line}\n`)
        onLine(line, (text) => void child.stdin?.write(text))
      })
    }
    const running = new RunningProgram(name, child, path)
    this.#programs.push(running)
    return running
  }

  /** Runs a program to its end; a wrong one is an error with the end of its log. */
  async run(name: string, program: Program, timeoutMs: number): Promise<void> {
    const running = this.start(name, program)
    const timer = setTimeout(() => running.kill(), timeoutMs)
    const code = await running.exit
    clearTimeout(timer)
    if (code !== 0) throw new InteropError(`${name} ended with ${code ?? 'a signal'}\n${running.tail()}`)
  }

  killAll(): void {
    for (const program of this.#programs) program.kill()
  }

  async end(): Promise<void> {
    this.killAll()
    await Promise.all(this.#programs.map((program) => program.exit))
  }
}

/** Waits until the program is ready; one that ended, or needs too long, is an error with the end of its log. */
export async function awaitReady<T>(
  program: RunningProgram,
  timeoutMs: number,
  look: () => T | undefined | Promise<T | undefined>
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined) return found
    if (program.exited) throw new InteropError(`${program.name} ended before it was ready\n${program.tail()}`)
    if (performance.now() > deadline) throw new InteropError(`${program.name} did not get ready\n${program.tail()}`)
    await sleep(POLL_MS)
  }
}

export { freePort } from '../e2e/ports.ts'

export function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (accepted: boolean) => {
      socket.destroy()
      resolve(accepted)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
