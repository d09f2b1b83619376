// Tells a user in words whether a store may be trusted with the log: promise by promise, and how fast it is.
import { KvCheck, type Opener, openerOf, type Rate } from '../tc-core/host/kv-check.ts'

const MEASURE_MS = 2000
const LANES = [1, 8]

const LINEARIZABLE = `Reads are linearizable: whoever reads sees what was confirmed before. A query (a status, a lock) costs one read of the store.`
const STALE = `Reads may be stale. That is safe here: who leads, and what is decided, rests on writes alone. But a query (a status, a lock) costs a
write of the store, and a new leader may need longer to find the end of the log.`
const BEYOND = `What no check can see: whether a confirmed write outlives a crash of the store. It does when the store flushes to disk, and on a majority
of its copies, before it confirms; a store with copies that follow later loses acknowledged transactions when one of them takes over.`
const MEMORY = `This store keeps nothing: every transaction is lost when the process ends. It is for tests.`

/** Prints what it finds and resolves whether every promise is kept. Rejects with SEATA_STORE_OPEN_FAILED. */
export async function kvCheck(
  url: string,
  out: (line: string) => void,
  open: Opener = openerOf(url),
  measureMs = MEASURE_MS
): Promise<boolean> {
  const check = new KvCheck(open)
  const { url: shown, linearizableReads } = await check.about()
  out(`Checks the store ${shown}`)
  let kept = 0
  let failed = 0
  for await (const { name, why, ms, error } of check.conformance()) {
    if (error === null) kept++
    else failed++
    if (error === null) out(`ok      ${name} (${ms.toFixed()} ms)`)
    else out(`FAILED  ${name}: ${error}. Why it matters: ${why}.`)
  }
  for (const lanes of LANES) {
    const rate = await check.measure(lanes, measureMs).catch((error: Error) => error)
    out(rate instanceof Error ? `Appends in ${lanesOf(lanes)} could not be measured: ${rate.message}` : rateOf(rate))
  }
  const words = [linearizableReads ? LINEARIZABLE : STALE, shown.startsWith('memory:') ? MEMORY : BEYOND]
  for (const line of words.join('\n').split('\n')) out(line)
  if (!(await check.clean())) out('The keys of this check, {kv-check:…}, could not be deleted: delete them by hand.')
  if (failed > 0) out(`NOT SAFE: ${failed} of ${kept + failed} promises are broken. Do not use this store.`)
  else out(`All ${kept} promises are kept.`)
  return failed === 0
}

function lanesOf(lanes: number): string {
  return lanes === 1 ? '1 lane' : `${lanes} lanes`
}

function rateOf({ lanes, perSecond, p50, p99 }: Rate): string {
  const ms = (value: number) => `${value.toFixed(value < 10 ? 2 : 0)} ms`
  return `${perSecond.toFixed()} appends/s of 2 KiB in ${lanesOf(lanes)}: half within ${ms(p50)}, 99 % within ${ms(p99)}`
}
