// How V8 collects the heap of a server. Left alone, it collects a small one every two seconds under load, each time for 30 to 40 ms in steps
// that everybody waits for: more than a hundredth of the time, so it was that which the p99 told.
import { availableParallelism } from 'node:os'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'

/** A small heap grows by so many % of what is alive in it. */
const GROWTH_PERCENT = 400
/** With more alive than this, bytes, a heap is not small, and V8 decides: memory counts then, and collections are rare. */
const SMALL_BYTES = 64 * 1024 * 1024
/** With so few cores, what is young is collected by the thread that waits for it: helpers would have to wait for a core first. */
const FEW_CORES = 2

/**
 * To be called once, by a process that is ours alone: flags are the whole process's. The heap's limit stays as it is.
 * @param set, cores other than the process's own only in tests
 */
export function tuneHeap(set: (flag: string) => void = setFlagsFromString, cores = availableParallelism()): void {
  if (cores <= FEW_CORES) set('--no-parallel-scavenge')
  let growing = false
  const decide = () => {
    if (getHeapStatistics().used_heap_size < SMALL_BYTES === growing) return
    growing = !growing
    set(`--heap-growing-percent=${growing ? GROWTH_PERCENT : 0}`)
  }
  decide()
  new PerformanceObserver((list) => {
    const collections = list.getEntries() as unknown as { detail: { kind: number } }[]
    if (collections.some(({ detail }) => detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR)) decide()
  }).observe({ entryTypes: ['gc'] })
}
