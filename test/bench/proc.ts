// What Linux says of a process and of the machine: CPU seconds, memory, and what else was running.
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, statfsSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'

/** USER_HZ: what /proc counts CPU time in, 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100
/** In the `cpu` line of /proc/stat, the word itself being column 0. */
const STEAL_COLUMN = 8
/** In {@link statFields}: utime, then stime, cutime, cstime. */
const UTIME = 11

export interface ProcessSample {
  /** User and system time of all threads. */
  readonly cpuSeconds: number
  /** Resident memory now, at its highest, and the part of it now that no file backs. */
  readonly rssMb: number
  readonly peakMb: number
  readonly anonMb: number
}

/** Fields of /proc/PID/stat after the command, which is in parentheses and may hold anything; null when it is gone. */
function statFields(pid: number | string): string[] | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return null
  }
}

/** Null when there is no such process. */
function sampleProcess(pid: number): ProcessSample | null {
  const fields = statFields(pid)
  if (fields === null) return null
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const mb = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? Number.NaN) / 1024
  return {
    cpuSeconds: (Number(fields[UTIME]) + Number(fields[UTIME + 1])) / TICKS_PER_SECOND,
    rssMb: mb('VmRSS'),
    peakMb: mb('VmHWM'),
    anonMb: mb('RssAnon')
  }
}

/** The sum over all of them; null when there are none, or one is gone. */
export function sampleProcesses(pids: readonly number[]): ProcessSample | null {
  const samples = pids.map(sampleProcess).filter((sample) => sample !== null)
  if (samples.length < Math.max(1, pids.length)) return null
  const sum = (figure: keyof ProcessSample) => samples.reduce((total, sample) => total + sample[figure], 0)
  return { cpuSeconds: sum('cpuSeconds'), rssMb: sum('rssMb'), peakMb: sum('peakMb'), anonMb: sum('anonMb') }
}

/**
 * CPU seconds of all processes so far, those that ended counted with their parents, and of time that the hypervisor
 * gave to others. Not the busy columns of /proc/stat: those count whole ticks, and miss what sleeps between them.
 */
export function machineBusySeconds(): number {
  let ticks = Number(readFileSync('/proc/stat', 'utf8').split('\n')[0]!.split(/\s+/)[STEAL_COLUMN] ?? 0)
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    const fields = statFields(pid)
    for (let i = UTIME; i < UTIME + 4; i++) ticks += Number(fields?.[i] ?? 0)
  }
  return ticks / TICKS_PER_SECOND
}

const FILE_SYSTEMS: Readonly<Record<number, string>> = {
  61267: 'ext4',
  2435016766: 'btrfs',
  1481003842: 'xfs',
  16914836: 'tmpfs (in memory: flushing costs nothing)',
  2035054128: 'overlayfs'
}

export interface Machine {
  readonly cores: number
  readonly cpu: string
  readonly memoryGb: number
  readonly kernel: string
  readonly node: string
  /** Of the folder that the servers write to. */
  readonly fileSystem: string
  readonly loadAverage: number
  /** Of the project, with a + when the checkout differs from it. */
  readonly commit: string
  readonly java?: string | null
}

/** What the bench itself changes does not make another product. */
const MADE = ['results', '../../docs'].map((path) => `:(exclude)${path}`)

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { cwd: import.meta.dirname, encoding: 'utf8', stdio: 'pipe' }).trim()
  } catch {
    return ''
  }
}

export function describeMachine(dir: string): Machine {
  const { type } = statfsSync(dir)
  return {
    cores: availableParallelism(),
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release().replace(/-.*/, ''),
    node: process.version,
    fileSystem: FILE_SYSTEMS[type] ?? `type 0x${type.toString(16)}`,
    loadAverage: loadavg()[0]!,
    commit: `${git('rev-parse', '--short', 'HEAD') || 'none'}${git('status', '--porcelain', '--', ':/', ...MADE) ? '+' : ''}`
  }
}
