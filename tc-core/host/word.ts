// What a node says of itself again whenever it changes, and only then.
import type { LinkFrame } from '../wire/link-frames.ts'

export class Word {
  readonly #tell: (frame: LinkFrame) => void
  #last = ''

  constructor(tell: (frame: LinkFrame) => void) {
    this.#tell = tell
  }

  say(frame: LinkFrame): void {
    const text = JSON.stringify(frame)
    if (text === this.#last) return
    this.#last = text
    this.#tell(frame)
  }

  /** The next one is said whether it is new or not. */
  repeat(): void {
    this.#last = ''
  }
}
