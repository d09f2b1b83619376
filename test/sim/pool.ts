// Runs of many seeds over several processes, each on one core: a run takes over its process's clock of events and its rejections.
import { type ChildProcess, fork } from 'node:child_process'
import { availableParallelism } from 'node:os'
import type { Outcome, RunOptions } from './world.ts'

export type Job = Pick<RunOptions, 'seed' | 'without' | 'faults'>

/** Runs jobs until there are none, or `take` has had enough: it is told of every outcome and answers whether to go on. */
export async function runAll(
  jobs: Iterable<Job>,
  take: (outcome: Outcome) => boolean,
  workers = Math.max(1, Math.min(availableParallelism(), 8))
): Promise<void> {
  const left = jobs[Symbol.iterator]()
  let enough = false
  const work = (child: ChildProcess) =>
    new Promise<void>((resolve, reject) => {
      const next = () => {
        const job = enough ? undefined : left.next().value
        if (job) return child.send(job)
        child.removeAllListeners('exit')
        child.kill()
        resolve()
      }
      child.on('message', (outcome: Outcome) => {
        if (!take(outcome)) enough = true
        next()
      })
      child.on('exit', (code) => reject(new Error(`a process of the simulator ended with ${code}`)))
      next()
    })
  await Promise.all(Array.from({ length: workers }, () => work(fork(new URL('worker.ts', import.meta.url)))))
}

export function* seeds(first: number, runs: number, job: Omit<Job, 'seed'> = {}): Generator<Job> {
  for (let seed = first; seed < first + runs; seed++) yield { seed, ...job }
}
