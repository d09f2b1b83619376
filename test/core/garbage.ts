// Collects the garbage, so that what is left of the memory is what lives.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Twice: the second waits for what the first left to be freed beside the work. */
export function collectGarbage(): void {
  gc()
  gc()
}
