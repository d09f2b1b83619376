// A process of the simulator: takes a job, runs it, says how it came out.
import type { Job } from './pool.ts'
import { simulate } from './world.ts'

process.on('message', async (job: Job) => {
  process.send!(await simulate(job))
})
