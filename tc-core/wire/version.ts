// Client versions as numbers that compare: major * 1,000,000 + minor * 1,000 + patch.

export const V0_7_1 = 7_001
export const V1_5_0 = 1_005_000
export const V2_0_0 = 2_000_000
export const V2_3_0 = 2_003_000
export const V2_4_0 = 2_004_000

/** Reads `a.b.c[-SUFFIX]`, the suffix ignored. What is blank or no version counts as 0, older than all (as in Java). */
export function parseVersion(text: string): number {
  const m = /^(\d{1,3})(?:\.(\d{1,3}))?(?:\.(\d{1,3}))?/.exec(text)
  if (!m) return 0
  return Number(m[1]) * 1_000_000 + Number(m[2] ?? 0) * 1_000 + Number(m[3] ?? 0)
}
