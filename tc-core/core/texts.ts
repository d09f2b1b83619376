// One text for the many that say the same: thousands of transactions name the same few applications, resources and clients, and each
// request, or record of the log, brings its own copy.

/** Texts that are remembered; then it begins anew. */
const MAX_TEXTS = 2048
/** Longer ones are seldom the same. */
const MAX_LENGTH = 256

export class Texts {
  readonly #known = new Map<string, string>()

  get size(): number {
    return this.#known.size
  }

  /** The same text, as it came first. */
  one(text: string): string {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    if (text.length <= MAX_LENGTH) {
      if (this.#known.size === MAX_TEXTS) this.#known.clear()
      this.#known.set(text, text)
    }
    return text
  }
}
