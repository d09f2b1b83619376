// Which node leads, as far as we know: what all connections of one store share.

export class Leader {
  readonly #nodes: readonly string[]
  readonly #follow: boolean
  #turn: number
  /** The node to ask. */
  node: string
  /** The last setback, for people; empty when an answer came after it. */
  trouble = ''

  /** @param follow false: the node is the only copy, or its reads could not be trusted; another one that it names is not believed. */
  constructor(nodes: readonly string[], node: string, follow: boolean) {
    this.#nodes = nodes
    this.#follow = follow
    this.#turn = nodes.indexOf(node)
    this.node = node
  }

  /** `from` says that `to` leads. Who is asked no more has no say: of two views the older one would win as often. */
  moved(from: string, to: string, said: string): void {
    if (!this.#follow) return this.leave(from, `${said} (name all nodes of a cluster in its URL)`)
    if (to === from) return this.leave(from, said)
    this.trouble = `${from}: ${said}`
    if (from === this.node) this.node = to
  }

  /** `from` does not lead or does not answer: the next one's turn. A node that others named wrongly does not set the turn back. */
  leave(from: string, said: string): void {
    this.trouble = `${from}: ${said}`
    for (let i = 0; i < this.#nodes.length && this.node === from; i++) {
      this.#turn = (this.#turn + 1) % this.#nodes.length
      this.node = this.#nodes[this.#turn]!
    }
  }

  found(): void {
    this.trouble = ''
  }
}
