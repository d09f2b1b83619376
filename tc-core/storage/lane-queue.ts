// The order of one lane on a store that has none of its own: a write goes alone, reads between two writes go together.
export type Kind = 'read' | 'write'

export class LaneQueue {
  readonly #waiting: { readonly kind: Kind; readonly go: () => void }[] = []
  #reading = 0
  #writing = false

  /** Resolves when everything is over that was called before and may not be overtaken. Then `leave` has to follow. */
  enter(kind: Kind): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#mayGo(kind)) {
      this.#start(kind)
      return undefined
    }
    return new Promise((go) => this.#waiting.push({ kind, go }))
  }

  leave(kind: Kind): void {
    if (kind === 'write') this.#writing = false
    else this.#reading--
    for (let next = this.#waiting[0]; next && this.#mayGo(next.kind); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#start(next.kind)
      next.go()
    }
  }

  #mayGo(kind: Kind): boolean {
    return !this.#writing && (kind === 'read' || this.#reading === 0)
  }

  #start(kind: Kind): void {
    if (kind === 'write') this.#writing = true
    else this.#reading++
  }
}
