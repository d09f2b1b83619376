// Group commit over lanes: what many fragments of this process write at the same time is one etcd transaction, one entry of its log.
import type { EtcdCluster } from './etcd-cluster.ts'
import { EtcdFailure } from './etcd-member.ts'
import { groupRequest, groupSucceeded, RPC, succeeded } from './etcd-messages.ts'
import { StorageError } from './port.ts'

/** etcd's default of --max-txn-ops is 128, and the group itself counts. */
const MAX_WRITES = 64
/** What a write takes within a group beside itself, at most: two tags and two lengths. */
const GROUPED_BYTES = 10

interface Write {
  readonly key: string
  /** The transaction that this write would be if it went alone. */
  readonly request: Buffer
  readonly end: number
  resolve(held: boolean): void
  reject(error: unknown): void
}

/** Each write keeps a condition of its own, and so an outcome of its own; only a failure is everybody's. */
export class EtcdGroups {
  readonly #cluster: EtcdCluster
  readonly #maxBytes: number
  #waiting: Write[] = []
  /** One group at a time: while it is on the way, the next one fills. */
  #busy = false

  /** @param maxBytes of one request; no write is larger. */
  constructor(cluster: EtcdCluster, maxBytes: number) {
    this.#cluster = cluster
    this.#maxBytes = maxBytes
  }

  /** Whether the condition of `request`, a transaction, held; it is sent once. Rejects at `end` (of performance.now()) at the latest. */
  write(key: string, request: Buffer, end: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, request, end, resolve, reject })
      this.#schedule()
    })
  }

  /** At the end of this turn of the event loop: fragments flush in the same turn. */
  #schedule(): void {
    if (this.#busy || this.#waiting.length === 0) return
    this.#busy = true
    setImmediate(async () => {
      await this.#send(this.#next())
      this.#busy = false
      this.#schedule()
    })
  }

  /** The oldest that fit together. etcd refuses a transaction that puts one key twice. */
  #next(): Write[] {
    const keys = new Set<string>()
    const group: Write[] = []
    const left: Write[] = []
    let bytes = 0
    for (const write of this.#waiting) {
      const fits = group.length < MAX_WRITES && (group.length === 0 || bytes + write.request.length <= this.#maxBytes)
      if (fits && !keys.has(write.key)) {
        keys.add(write.key)
        bytes += write.request.length + GROUPED_BYTES
        group.push(write)
      } else left.push(write)
    }
    this.#waiting = left
    return group
  }

  async #send(group: readonly Write[]): Promise<void> {
    try {
      const alone = group.length === 1
      const request = alone ? group[0]!.request : groupRequest(group.map((write) => write.request))
      const answer = await this.#cluster.call(RPC.txn, request, false, group[0]!.end)
      const held = alone ? [succeeded(answer)] : groupSucceeded(answer)
      if (held.length !== group.length) throw new StorageError(`etcd answered ${held.length} of ${group.length} writes`)
      group.forEach((write, i) => void write.resolve(held[i]!))
    } catch (error) {
      // What etcd refuses it has not done: those who are not to blame go again, alone.
      if (group.length > 1 && isRefusal(error)) for (const write of group) await this.#send([write])
      else for (const write of group) write.reject(error)
    }
  }
}

function isRefusal(error: unknown): boolean {
  const { cause } = error as Error
  return cause instanceof EtcdFailure && !cause.isOfMember
}
