// A fixed share of the CPU for each of several processes, by Linux control groups, where this machine lets us make some.
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** µs: short, so that a process that has used its share waits not for long. */
const PERIOD = 50_000
const V1 = '/sys/fs/cgroup/cpu'
const V2 = '/sys/fs/cgroup'

/** Lifts the limits again. */
export type Lift = () => void

/** Gives each of the processes so much of one core; null where that is not allowed. */
export function limitCpu(pids: readonly number[], share: number): Lift | null {
  const isV1 = existsSync(join(V1, 'cpu.cfs_quota_us'))
  const root = isV1 ? V1 : V2
  const quota = String(Math.round(PERIOD * share))
  const made: string[] = []
  const lift = () => {
    for (const pid of pids) write(root, 'cgroup.procs', String(pid))
    for (const group of made) remove(group)
  }
  for (const pid of pids) {
    const group = join(root, `seata-bench-${pid}`)
    try {
      mkdirSync(group)
    } catch {
      lift()
      return null
    }
    made.push(group)
    const limited = isV1
      ? write(group, 'cpu.cfs_period_us', String(PERIOD)) && write(group, 'cpu.cfs_quota_us', quota)
      : write(group, 'cpu.max', `${quota} ${PERIOD}`)
    if (!limited || !write(group, 'cgroup.procs', String(pid))) {
      lift()
      return null
    }
  }
  return lift
}

function write(group: string, file: string, text: string): boolean {
  try {
    writeFileSync(join(group, file), text)
    return true
  } catch {
    return false
  }
}

function remove(group: string): void {
  try {
    rmdirSync(group)
  } catch {
    // A process that ends just now still lies in it; the empty group does no harm.
  }
}
