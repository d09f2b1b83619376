// Calls in one order over one connection after the other: what several lanes share, and what keeps their order through redirects.
//
// Calls are sent ahead of the answers. When one is refused, nothing more is sent until everything on the wire is answered. If no call
// behind it was done, all that were refused go to the next node in their old order. If one was, the refused ones have been overtaken and
// reject: whoever waits for them tries again, and an order is not promised to a call that rejected.
import { StorageError } from './port.ts'
import { type Connection, NodeError, type Reply } from './redis-connection.ts'
import type { Leader } from './redis-leader.ts'
import { judge } from './redis-replies.ts'
import type { RedisTuning } from './redis-tuning.ts'

/** What a channel needs of a connection. */
export type Wire = Pick<Connection, 'node' | 'up' | 'send' | 'drop'>

interface Call {
  readonly args: readonly (string | Buffer)[]
  /** A read may be sent again, whatever became of it. */
  readonly read: boolean
  readonly end: (error: StorageError | null, reply?: Reply) => void
  /** Nobody waits for it any more. */
  ended: boolean
}

export class Channel {
  readonly #leader: Leader
  readonly #connect: (node: string) => Promise<Wire>
  readonly #tuning: RedisTuning
  #connection: Wire | null = null
  /** In order: refused and to be sent again, on the wire, not sent yet. */
  #refused: Call[] = []
  readonly #sent: Call[] = []
  #queue: Call[] = []
  readonly #open = new Set<Promise<unknown>>()
  #bytes = 0
  #setbacks = 0
  /** Connecting, or pausing before it. */
  #away = false
  #following: Promise<void> | null = null
  #closed = false

  constructor(leader: Leader, connect: (node: string) => Promise<Wire>, tuning: RedisTuning) {
    this.#leader = leader
    this.#connect = connect
    this.#tuning = tuning
  }

  /** One command. Ends within `operationMs`; rejects with StorageError. */
  call(read: boolean, args: readonly (string | Buffer)[]): Promise<Reply> {
    const { operationMs, maxWaiting, maxWaitingBytes } = this.#tuning
    const bytes = args.reduce((sum, arg) => sum + arg.length, 0)
    const waiting = this.#open.size
    if (this.#closed) return refuse('the store is closed')
    if (waiting >= maxWaiting) return refuse(`${waiting} requests wait for ${this.#leader.node}, and that is the limit`)
    if (waiting > 0 && this.#bytes + bytes > maxWaitingBytes) {
      return refuse(`${this.#bytes} bytes wait for ${this.#leader.node}, ${bytes} more are above the limit`)
    }
    this.#bytes += bytes
    const ended = new Promise<Reply>((resolve, reject) => {
      const timer = setTimeout(() => this.#expire(call), operationMs)
      const end = (error: StorageError | null, reply?: Reply) => {
        if (call.ended) return
        call.ended = true
        clearTimeout(timer)
        this.#open.delete(ended)
        this.#bytes -= bytes
        if (error) reject(error)
        else resolve(reply)
      }
      const call: Call = { args, read, end, ended: false }
      this.#queue.push(call)
    })
    this.#open.add(ended)
    this.#pump()
    return ended
  }

  #pump(): void {
    if (this.#away || this.#refused.length > 0 || this.#queue.length === 0) return
    const connection = this.#connection
    if (!connection?.up || connection.node !== this.#leader.node) {
      if (this.#sent.length === 0) this.#following = this.#follow()
      return
    }
    while (this.#queue.length > 0 && this.#sent.length < this.#tuning.inFlight) {
      const call = this.#queue.shift()!
      this.#sent.push(call)
      connection.send(call.args).then(
        (reply) => this.#done(call, reply),
        (error: Error) => this.#failed(call, connection.node, error)
      )
    }
  }

  #done(call: Call, reply: Reply): void {
    this.#sent.shift()
    this.#setbacks = 0
    this.#leader.found()
    for (const { end } of this.#refused.splice(0)) {
      end(new StorageError(`${this.#connection?.node} did not take it and then took what came behind it`))
    }
    call.end(null, reply)
    this.#pump()
  }

  #failed(call: Call, node: string, error: Error): void {
    this.#sent.shift()
    const verdict = error instanceof NodeError ? judge(error.message, node) : null
    if (verdict?.done === 'no' && verdict.leader) this.#leader.moved(node, verdict.leader, error.message)
    else this.#leader.leave(node, error.message)
    if (call.read || verdict?.done === 'no') this.#refused.push(call)
    else call.end(new StorageError(`${node}: ${error.message}`, { cause: error }))
    if (this.#sent.length > 0) return
    this.#queue = [...this.#refused.splice(0).filter(({ ended }) => !ended), ...this.#queue]
    this.#pause()
  }

  /** Goes to the leader. */
  async #follow(): Promise<void> {
    this.#away = true
    const { node } = this.#leader
    this.#connection?.drop('another node leads')
    this.#connection = null
    try {
      this.#connection = await this.#connect(node)
    } catch (error) {
      this.#leader.leave(node, (error as Error).message)
      return this.#pause()
    }
    this.#away = false
    this.#pump()
  }

  /** Before the next attempt. The first is made at once: most often a node has just said who leads. */
  #pause(): void {
    const { pauseMinMs, pauseMaxMs } = this.#tuning
    this.#away = true
    const ms = this.#setbacks === 0 ? 0 : Math.min(pauseMaxMs, pauseMinMs * 2 ** (this.#setbacks - 1))
    this.#setbacks++
    setTimeout(() => {
      this.#away = false
      this.#pump()
    }, ms)
  }

  /** The time is over. On the wire it stays: its answer counts for the order of the others. */
  #expire(call: Call): void {
    this.#queue = this.#queue.filter((other) => other !== call)
    const last = this.#leader.trouble || `${this.#leader.node} has not answered yet`
    call.end(new StorageError(`not done within ${this.#tuning.operationMs} ms; ${last}`))
  }

  /** Takes no more calls, and ends when the ones that wait have: they are bounded. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.allSettled(this.#open)
    await this.#following
    this.#connection?.drop('closed')
  }
}

function refuse(why: string): Promise<never> {
  return Promise.reject(new StorageError(why))
}
