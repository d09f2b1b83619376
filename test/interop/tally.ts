// What the checks of a run came to: each line is printed as it comes, and counted.
import { InteropError } from './processes.ts'

/** The last line of a program that came to its end. */
export const SUMMARY = /^\d+ passed, \d+ failed$/

export class Tally {
  passed = 0
  failed = 0

  line(text: string): void {
    if (SUMMARY.test(text)) return
    if (text.startsWith('ok ')) this.passed++
    else if (text.startsWith('FAILED ')) this.failed++
    console.log(text)
  }

  check(holds: boolean, what: string): void {
    this.line(`${holds ? 'ok' : 'FAILED'} ${what}`)
  }

  fail(what: string, reason: unknown): void {
    const text = reason instanceof InteropError ? reason.message : reason instanceof Error ? reason.stack : reason
    this.line(`FAILED ${what}: ${text}`)
  }
}
