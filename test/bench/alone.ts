// What the machine does for a single program, measured before each round: how long a flush to disk takes, and how fast one core is.
// Machines that others share are not the same from one minute to the next, and figures of theirs are to be read with this beside them.
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'

export interface Alone {
  /** Of writes of 8 KiB into a file that does not grow, each with its flush, ms. */
  readonly flushMs: { readonly p50: number; readonly p99: number; readonly max: number }
  /** MB that one core takes the CRC-32 of in a second. */
  readonly crcMbPerSecond: number
}

const FLUSHING_MS = 700
const COUNTING_MS = 200
const WRITE_BYTES = 8 * 1024
const FILE_BYTES = 4 * 1024 * 1024
const MB = 1e6

/** Takes a second, in which nothing else happens in this process. */
export function measureAlone(folder: string): Alone {
  return { flushMs: flushes(join(folder, 'flushes')), crcMbPerSecond: checksums() }
}

function flushes(path: string): Alone['flushMs'] {
  const file = openSync(path, 'w')
  const times: number[] = []
  try {
    writeSync(file, Buffer.alloc(FILE_BYTES))
    fdatasyncSync(file)
    const bytes = Buffer.alloc(WRITE_BYTES, 1)
    const end = performance.now() + FLUSHING_MS
    for (let at = 0, from = performance.now(); from < end; from = performance.now()) {
      writeSync(file, bytes, 0, bytes.length, at)
      fdatasyncSync(file)
      times.push(performance.now() - from)
      at = (at + WRITE_BYTES) % FILE_BYTES
    }
  } finally {
    closeSync(file)
    rmSync(path, { force: true })
  }
  times.sort((a, b) => a - b)
  const at = (part: number) => times[Math.min(times.length - 1, Math.floor(times.length * part))]!
  return { p50: at(0.5), p99: at(0.99), max: at(1) }
}

function checksums(): number {
  const bytes = Buffer.alloc(1024 * 1024, 1)
  const from = performance.now()
  let done = 0
  for (; performance.now() - from < COUNTING_MS; done += bytes.length) crc32(bytes)
  return done / MB / ((performance.now() - from) / 1000)
}
