// Whether memory is bounded, by what was resident in each second of a load that stays the same.
import { spread } from './report.ts'

/** For so long what has a limit may fill: tables of what has ended, the garbage that a heap of that size puts up with. */
const FILL_SECONDS = 60
/** After that the second half of the time may need so much more than the first: a leak of 3 % a minute shows in five. */
const MOST_GROWTH = 1.05

export interface Growth {
  /** Medians of the first and the second half of what came after the filling, MB. */
  readonly early: number
  readonly late: number
  readonly bounded: boolean
}

/** Null: that was too short to tell. */
export function growthOf(residentMb: readonly number[]): Growth | null {
  const rest = residentMb.slice(FILL_SECONDS)
  if (rest.length < 2 * FILL_SECONDS) return null
  const half = rest.length >> 1
  const [early, late] = [rest.slice(0, half), rest.slice(half)].map((mb) => spread(mb)!.median) as [number, number]
  return { early, late, bounded: late <= early * MOST_GROWTH }
}
