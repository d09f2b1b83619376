// Reading and writing big-endian bytes: the two cursors on which every codec of this project stands.

/** The input ended inside a value. One shared instance: short input is normal (v0 frames), so it must be cheap. */
export class ShortInput extends Error {
  static readonly instance = new ShortInput('input ends inside a value')
  /** Where in the reader's bytes the value that was not all there ends: with less than that, reading again is in vain. */
  need = 0
}

/** Where 64 bits are taken apart and put together: Node's own way makes BigInts of the halves. */
const wide = new DataView(new ArrayBuffer(8))

/** Up to so many bytes, or characters, a loop here is faster than a call of what Node is made of. */
const SHORT = 64

/** The last text of each length in bytes: the next one is often the same, and need not be made, nor hashed, again. */
const lastTexts: string[] = new Array(SHORT + 1).fill('')

/** Whether these `n` bytes are the text. From its end: XIDs begin alike. */
function isAt(text: string, bytes: Buffer, at: number, n: number): boolean {
  // With as many characters as bytes all of them are ASCII: others take more bytes, or were none.
  if (text.length !== n) return false
  for (let i = n - 1; i >= 0; i--) if (text.charCodeAt(i) !== bytes[at + i]) return false
  return true
}

/** A cursor over `bytes[pos, end)`. Every read throws {@link ShortInput} rather than pass `end`. */
export class Reader {
  bytes: Buffer
  pos: number
  end: number

  constructor(bytes: Buffer, pos = 0, end = bytes.length) {
    this.bytes = bytes
    this.pos = pos
    this.end = end
  }

  reset(bytes: Buffer, pos: number, end: number): this {
    this.bytes = bytes
    this.pos = pos
    this.end = end
    return this
  }

  get left(): number {
    return this.end - this.pos
  }

  /** Moves past `n` bytes and returns where they began. */
  skip(n: number): number {
    const at = this.pos
    if (n < 0 || at + n > this.end) {
      ShortInput.instance.need = at + n
      throw ShortInput.instance
    }
    this.pos = at + n
    return at
  }

  u8(): number {
    return this.bytes[this.skip(1)]!
  }

  i8(): number {
    return (this.bytes[this.skip(1)]! << 24) >> 24
  }

  u16(): number {
    const at = this.skip(2)
    return (this.bytes[at]! << 8) | this.bytes[at + 1]!
  }

  i16(): number {
    return (this.u16() << 16) >> 16
  }

  i32(): number {
    const at = this.skip(4)
    const b = this.bytes
    return (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!
  }

  u32(): number {
    return this.i32() >>> 0
  }

  i64(): bigint {
    const at = this.skip(8)
    for (let i = 0; i < 8; i++) wide.setUint8(i, this.bytes[at + i]!)
    return wide.getBigInt64(0)
  }

  /** An unsigned 53-bit integer in 7 bytes: indexes, terms, times. */
  u53(): number {
    const at = this.skip(7)
    return this.bytes.readUIntBE(at, 3) * 0x1_0000_0000 + this.bytes.readUInt32BE(at + 3)
  }

  /** `n` bytes of UTF-8. */
  text(n: number): string {
    if (n === 0) return ''
    const at = this.skip(n)
    if (n > SHORT) return this.bytes.toString('utf8', at, this.pos)
    const last = lastTexts[n]!
    if (isAt(last, this.bytes, at, n)) return last
    return (lastTexts[n] = this.bytes.toString('utf8', at, this.pos))
  }

  /** `n` bytes, not copied. */
  raw(n: number): Buffer {
    const at = this.skip(n)
    return this.bytes.subarray(at, this.pos)
  }
}

/** Longer views are not kept. */
const MAX_VIEW = 256

/** A cursor that writes and grows. `bytes` is replaced when it grows: take it only after the last write. */
export class Writer {
  bytes: Buffer
  pos = 0
  /** Of what was written, by its length: most is as long as something before, and a view costs more than its bytes. */
  #views: (Buffer | undefined)[] = []

  constructor(size = 1024) {
    this.bytes = Buffer.allocUnsafeSlow(size)
  }

  /** Makes room for `n` more bytes and returns where to write them. */
  room(n: number): number {
    const at = this.pos
    if (at + n > this.bytes.length) this.#grow(at + n)
    this.pos = at + n
    return at
  }

  #grow(size: number): void {
    const bigger = Buffer.allocUnsafeSlow(Math.max(size, this.bytes.length * 2))
    this.bytes.copy(bigger, 0, 0, this.pos)
    this.bytes = bigger
    this.#views = []
  }

  u8(value: number): void {
    const at = this.room(1)
    this.bytes[at] = value
  }

  u16(value: number): void {
    const at = this.room(2)
    this.bytes[at] = value >>> 8
    this.bytes[at + 1] = value
  }

  i32(value: number): void {
    const at = this.room(4)
    this.setI32(at, value)
  }

  i64(value: bigint): void {
    wide.setBigInt64(0, value)
    if (wide.getBigInt64(0) !== value) throw new RangeError(`${value} does not fit 64 bits`)
    const at = this.room(8)
    this.setI32(at, wide.getInt32(0))
    this.setI32(at + 4, wide.getInt32(4))
  }

  u53(value: number): void {
    const at = this.room(7)
    this.bytes.writeUIntBE(Math.floor(value / 0x1_0000_0000), at, 3)
    this.bytes.writeUInt32BE(value >>> 0, at + 3)
  }

  raw(source: Uint8Array, start = 0, end = source.length): void {
    const n = end - start
    const at = this.room(n)
    const b = this.bytes
    if (n > SHORT) b.set(start === 0 && end === source.length ? source : source.subarray(start, end), at)
    else for (let i = 0; i < n; i++) b[at + i] = source[start + i]!
  }

  /** Writes UTF-8 and returns its length in bytes. Four bytes of slack in front are the caller's business. */
  text(value: string): number {
    const { length } = value
    if (length === 0) return 0
    const at = this.room(length * 3)
    const n = length <= SHORT ? this.#ascii(value, at) : -1
    const written = n === length ? n : this.bytes.write(value, at, 'utf8')
    this.pos = at + written
    return written
  }

  /** Characters of `value` that were written, up to the first that takes more than a byte. */
  #ascii(value: string, at: number): number {
    const b = this.bytes
    for (let i = 0; i < value.length; i++) {
      const code = value.charCodeAt(i)
      if (code > 0x7f) return i
      b[at + i] = code
    }
    return value.length
  }

  setU16(at: number, value: number): void {
    this.bytes[at] = value >>> 8
    this.bytes[at + 1] = value
  }

  setI32(at: number, value: number): void {
    const b = this.bytes
    b[at] = value >>> 24
    b[at + 1] = value >>> 16
    b[at + 2] = value >>> 8
    b[at + 3] = value
  }

  /** What was written, not copied: valid until the next write. */
  get written(): Buffer {
    const { pos } = this
    if (pos > MAX_VIEW) return this.bytes.subarray(0, pos)
    return (this.#views[pos] ??= this.bytes.subarray(0, pos))
  }
}
