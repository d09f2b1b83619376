// How V8 collects the heap of a server. Left alone, it collects a small one every two seconds under load, each time for 30 to 40 ms in steps
// that everybody waits for: more than a hundredth of the time, so it was that which the p99 told.
import { availableParallelism } from 'node:os'
import { constants, PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, getHeapStatistics, setFlagsFromString } from 'node:v8'

/** A small heap grows by so many % of what is alive in it. */
const GROWTH_PERCENT = 400
/** With more alive than this, bytes, a heap is not small, and V8 decides: memory counts then, and collections are rare. */
const SMALL_BYTES = 64 * 1024 * 1024
/** With so few cores, what is young is collected by the thread that waits for it: helpers would have to wait for a core first. */
const FEW_CORES = 2
/** A node's young generation stops growing above this, bytes: at 8 MiB, for it doubles from 1. V8 would let it grow to 64. */
const YOUNG_BYTES = 6 * 1024 * 1024

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

/**
 * Of a node: its young generation is collected sooner, and each time for less. HTTP/2 keeps its streams in a small Map, and of what passes
 * through one nearly all outlives a collection of what is young (wire/table.ts tells why): of 50 MB a node copied 9, for 10 to 30 ms.
 */
export function keepYoungSmall(): void {
  let factor = 2
  new PerformanceObserver(() => {
    // V8 makes it smaller again in a quiet time.
    const wanted = youngBytes() < YOUNG_BYTES ? 2 : 1
    if (wanted !== factor) setFlagsFromString(`--semi-space-growth-factor=${(factor = wanted)}`)
  }).observe({ entryTypes: ['gc'] })
}

/** How large the young generation may be before it is collected. */
function youngBytes(): number {
  const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')
  return young ? young.space_used_size + young.space_available_size : 0
}
