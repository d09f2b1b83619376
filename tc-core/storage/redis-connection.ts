// One connection to one node, through node-redis with everything switched off that we do better or must not have: no reconnecting, no
// offline queue, no RESP 3, no command of its own but AUTH. It lives until its first fault.
import { createClient, ErrorReply, RESP_TYPES } from 'redis'
import type { RedisTuning } from './redis-tuning.ts'
import { type RedisAddress, splitNode } from './redis-url.ts'

/** The node's own words: it answered, with an error. */
export class NodeError extends Error {}

/** The node does not take our user and password, or wants some. */
export class CredentialsRefused extends NodeError {}

/** What a node answers: numbers, text, bytes, nothing, and lists of them. */
export type Reply = unknown

/**
 * Made once: every client with options of its own would bring a class of its own, with hundreds of commands, and 2 ms of work for each
 * connection. Duplicates share it.
 */
const template = createClient({
  RESP: 2,
  disableOfflineQueue: true,
  disableClientInfo: true,
  maintNotifications: 'disabled',
  // Its own timeout ends a command's wait to be written, at the price of a signal each; our deadline ends the wait for the answer.
  commandOptions: { timeout: undefined, typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } }
})

function clientTo(node: string, address: RedisAddress, tuning: RedisTuning) {
  const { host, port } = splitNode(node)
  const { username, password, tls } = address
  const socket = { host, port, connectTimeout: tuning.connectMs, reconnectStrategy: false as const }
  return template.duplicate({
    ...(password === undefined ? {} : { username, password }),
    socket: tls ? { ...socket, ...tls, tls: true, ...serverName(host) } : socket
  })
}

/** A name is told to the server, an address may not be. */
function serverName(host: string): { servername?: string } {
  return /^[\d.]+$|:/.test(host) ? {} : { servername: host }
}

export class Connection {
  readonly node: string
  readonly #client: ReturnType<typeof clientTo>
  readonly #commandMs: number
  /** When each command on the wire was sent, oldest first. */
  readonly #sent: number[] = []
  #deadline: NodeJS.Timeout | null = null
  #fault: string | null = null

  private constructor(node: string, client: ReturnType<typeof clientTo>, commandMs: number) {
    this.node = node
    this.#client = client
    this.#commandMs = commandMs
    client.on('error', (error: Error) => this.drop(wordsOf(error)))
  }

  /** Rejects with CredentialsRefused, or with another error when the node cannot be reached. */
  static async open(node: string, address: RedisAddress, tuning: RedisTuning): Promise<Connection> {
    const client = clientTo(node, address, tuning)
    client.on('error', ignore)
    let timer: NodeJS.Timeout | undefined
    let late = false
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        late = true
        reject(new Error(`no connection within ${tuning.connectMs} ms`))
      }, tuning.connectMs)
    })
    const connecting = client.connect()
    try {
      await Promise.race([connecting, tooLate])
    } catch (error) {
      client.destroy()
      // A client that is destroyed while it connects comes up all the same.
      if (late) connecting.then(() => client.destroy(), ignore)
      if (error instanceof ErrorReply) throw new CredentialsRefused(error.message) // AUTH is all that is sent
      throw new Error(wordsOf(error as Error))
    } finally {
      clearTimeout(timer)
    }
    return new Connection(node, client, tuning.commandMs)
  }

  get up(): boolean {
    return this.#fault === null && this.#client.isReady
  }

  /** Rejects with a NodeError, the node's answer, or with another error when no answer came. Answers come in the order of the calls. */
  async send(args: readonly (string | Buffer)[]): Promise<Reply> {
    this.#sent.push(performance.now())
    this.#deadline ??= setTimeout(() => this.#check(), this.#commandMs)
    try {
      return await this.#client.sendCommand(args)
    } catch (error) {
      throw error instanceof ErrorReply
        ? new NodeError(error.message)
        : new Error(this.#fault ?? wordsOf(error as Error))
    } finally {
      this.#sent.shift()
    }
  }

  #check(): void {
    this.#deadline = null
    const oldest = this.#sent[0]
    if (oldest === undefined || this.#fault !== null) return
    const left = oldest + this.#commandMs - performance.now()
    if (left > 0) this.#deadline = setTimeout(() => this.#check(), Math.ceil(left))
    else this.#deadline = setTimeout(() => this.#judge(oldest), 0)
  }

  /** A turn later: a process that was stopped for a while has read by now what was answered meanwhile. */
  #judge(oldest: number): void {
    if (this.#sent[0] === oldest) this.drop(`no answer within ${this.#commandMs} ms`)
    else this.#check()
  }

  /** Ends it; what is on the wire rejects with `why`. */
  drop(why: string): void {
    if (this.#fault !== null) return
    this.#fault = why
    if (this.#deadline) clearTimeout(this.#deadline)
    this.#client.destroy()
  }
}

function wordsOf(error: Error & { code?: string }): string {
  return error.message || error.code || error.name // of several failed addresses of one name there is only the code
}

function ignore(): void {}
