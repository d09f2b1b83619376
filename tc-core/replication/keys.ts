// The keys of one fragment in the store. The braces keep a fragment in one hash slot of a Redis-compatible cluster.
//   {cluster:fragment}:e:<index>       a record of the log
//   {cluster:fragment}:s:<k>           the k-th snapshot manifest, a chain that is never trimmed
//   {cluster:fragment}:c:<g>:<chunk>   a chunk of the snapshot of the state after record g
//   {cluster:fragment}:hint            where to begin to look; may be old
// Numbers are padded so that an ordered store keeps neighbours together.

export class Keys {
  readonly #prefix: string

  constructor(cluster: string, fragment: number | string) {
    this.#prefix = `{${cluster}:${fragment}}`
  }

  get hint(): string {
    return `${this.#prefix}:hint`
  }

  entry(index: number): string {
    return `${this.#prefix}:e:${pad(index)}`
  }

  manifest(k: number): string {
    return `${this.#prefix}:s:${pad(k)}`
  }

  chunk(index: number, chunk: number): string {
    return `${this.#prefix}:c:${pad(index)}:${pad(chunk)}`
  }
}

function pad(n: number): string {
  return String(n).padStart(14, '0')
}
