// One end of a link: frames over a byte stream, what is said in one turn of the event loop in one write, and a sign of life.
import { Reader, Writer } from './bytes.ts'
import { Hello, LINK_DIALECT, type LinkFrame, linkFrames, MAX_LINK_FRAME_BYTES, Ping } from './link-frames.ts'
import { readFields, writeFields } from './message.ts'
import { type ByteStream, type Clock, every } from './runtime.ts'

export interface LinkHandler {
  /** Valid during the call. */
  frame(frame: LinkFrame): void
  /** Nothing has come for longer than a living process keeps quiet. Said again with every sign of life of this side, until something comes. */
  quiet?(): void
  /** Once; nothing comes afterwards. */
  closed(reason: string): void
}

const PING_MS = 150
/** Signs of life of this side without one of the other. They are counted, not timed: who was frozen itself has given none. */
const QUIET_PINGS = 3
/** Who has not said hello for so long is nobody, ms. */
const HELLO_MS = 3_000
/** A link over which nothing came for so long is closed: the other side is frozen, or cut off. */
const SILENT_MS = 3_000
/** Bytes that wait for the other side to read: more, and the link is closed. */
const MAX_UNSENT_BYTES = 128 * 1024 * 1024
const OUT_BYTES = 64 * 1024
/** What nobody waits for may wait so long for company, ms. */
const LEISURE_MS = 10

export class LinkConnection {
  readonly #stream: ByteStream
  readonly #handler: LinkHandler
  readonly #clock: Clock
  #out = new Writer(OUT_BYTES)
  #flushing = false
  #leisure = false
  readonly #flush = () => this.flush()
  /** An unfinished frame, in the pieces in which it came: put together once, when all of it is there. */
  #pieces: Buffer[] = []
  #held = 0
  /** Bytes without which there is nothing to read yet. */
  #need = 4
  #closed = false
  #released: ((rest: Buffer) => void) | null = null
  #pings = 0
  #greeted = false
  #said = false
  #unheard = 0
  #pingedAt: number
  readonly #since: number
  readonly #stopPings: () => void
  /** When something came last, ms. */
  heardAt: number

  constructor(stream: ByteStream, clock: Clock, handler: LinkHandler) {
    this.#stream = stream
    this.#handler = handler
    this.#clock = clock
    this.#since = this.heardAt = this.#pingedAt = clock.now()
    stream.on('data', (chunk: Buffer) => this.#onData(chunk))
    stream.on('error', (error) => this.close(error.message))
    stream.on('close', () => this.close('the other side closed the link'))
    this.#stopPings = every(clock, PING_MS, () => this.#ping())
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Ms since the last sign of life. */
  get silence(): number {
    return this.#clock.now() - this.heardAt
  }

  get isQuiet(): boolean {
    return this.#unheard >= QUIET_PINGS
  }

  /** @param atLeisure nobody waits for it: it leaves with what comes next */
  send(frame: LinkFrame, atLeisure = false): void {
    if (this.#closed) return
    const w = this.#out
    const start = w.room(4)
    w.u8(frame.type)
    writeFields(linkFrames.find(frame.type)!, w, frame, LINK_DIALECT)
    w.setI32(start, w.pos - start - 4)
    this.#said = true
    if (this.#flushing || (atLeisure && this.#leisure)) return
    if (atLeisure) {
      this.#leisure = true
      this.#clock.timer(LEISURE_MS, this.#leisureOver)
    } else {
      this.#flushing = true
      this.#clock.defer(this.#flush)
    }
  }

  readonly #leisureOver = () => {
    this.#leisure = false
    this.flush()
  }

  flush(): void {
    this.#flushing = false
    if (this.#closed || this.#out.pos === 0) return
    this.#stream.write(this.#out.written)
    const { writableLength } = this.#stream
    if (writableLength > 0 || this.#out.bytes.length > 4 * OUT_BYTES) this.#out = new Writer(OUT_BYTES)
    else this.#out.pos = 0
    if (writableLength > MAX_UNSENT_BYTES) this.close('the other side does not read')
  }

  #onData(chunk: Buffer): void {
    if (this.#closed) return
    this.heardAt = this.#clock.now()
    this.#unheard = 0
    this.#pieces.push(chunk)
    this.#held += chunk.length
    if (this.#held < this.#need) return
    const bytes = this.#pieces.length === 1 ? chunk : Buffer.concat(this.#pieces, this.#held)
    let pos = 0
    this.#need = 4
    while (!this.#closed && bytes.length - pos >= this.#need) {
      const length = bytes.readUInt32BE(pos)
      if (length === 0 || length > MAX_LINK_FRAME_BYTES) return this.close(`a frame of ${length} bytes came`)
      const end = pos + 4 + length
      if (end > bytes.length) this.#need = 4 + length
      else {
        this.#take(bytes, pos + 4, end)
        pos = end
      }
    }
    if (this.#released) return this.#released(Buffer.from(bytes.subarray(pos)))
    this.#held = bytes.length - pos
    this.#pieces = this.#held === 0 ? [] : [Buffer.from(bytes.subarray(pos))]
  }

  #take(bytes: Buffer, start: number, end: number): void {
    const r = new Reader(bytes, start, end)
    const kind = r.u8()
    const table = linkFrames.find(kind)
    if (!table) return this.close(`a frame of kind ${kind} came`)
    try {
      const frame = readFields(table, r, LINK_DIALECT) as LinkFrame
      if (frame.type === Hello.code) this.#greeted = true
      if (frame.type !== Ping.code) this.#handler.frame(frame)
    } catch (error) {
      // Also what the handler cannot make sense of: what one link brings does not end the process.
      this.close(`a ${table.name} that cannot be read came: ${(error as Error).message}`)
    }
  }

  #ping(): void {
    if (this.silence > SILENT_MS) this.close(`nothing came for ${SILENT_MS} ms`)
    else if (!this.#greeted && this.#clock.now() - this.#since > HELLO_MS)
      this.close(`no hello came within ${HELLO_MS} ms`)
    else {
      // What was said meanwhile is a sign of life as well. It need not be answered: the other side gives its own.
      // Who has stumbled says at once that it is there.
      const now = this.#clock.now()
      if (!this.#said || now - this.#pingedAt > 1.5 * PING_MS) this.send({ type: Ping.code, sequence: ++this.#pings })
      this.#pingedAt = now
      this.#said = false
      this.#unheard++
      if (this.isQuiet) this.#handler.quiet?.()
    }
  }

  /** During a frame: what comes after it, and all that still comes, is no business of this end any more. `then` gets what is here of it. */
  release(then: (rest: Buffer) => void): void {
    this.flush()
    this.#closed = true
    this.#released = then
    this.#stopPings()
  }

  /** What was said before is still said, if it can be. */
  close(reason: string): void {
    if (this.#closed) return
    this.flush()
    // The flush may have closed it.
    if (this.#closed) return
    this.#closed = true
    this.#stopPings()
    this.#pieces = []
    this.#stream.destroy()
    this.#handler.closed(reason)
  }
}
