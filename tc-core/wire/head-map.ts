// The head map between a frame's header and its body: string pairs, in no particular order.
import { Reader, type Writer } from './bytes.ts'

/** Reads pairs up to `end`. A value may be null; throws ShortInput when a string runs past the end. */
export function readHeadMap(bytes: Buffer, start: number, end: number): Map<string, string | null> {
  const r = new Reader(bytes, start, end)
  const map = new Map<string, string | null>()
  while (r.left > 0) {
    const key = readNullable(r)
    const value = readNullable(r)
    if (key !== null) map.set(key, value)
  }
  return map
}

function readNullable(r: Reader): string | null {
  const n = r.i16()
  return n < 0 ? null : r.text(n)
}

export function writeHeadMap(w: Writer, map: ReadonlyMap<string, string | null>): void {
  for (const [key, value] of map) {
    writeText(w, key)
    if (value === null) w.u16(0xffff)
    else writeText(w, value)
  }
}

function writeText(w: Writer, text: string): void {
  const at = w.room(2)
  w.setU16(at, w.text(text))
}
