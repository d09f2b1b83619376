// One member of an etcd cluster over one gRPC connection, and what its errors mean.
import { connect } from 'node:http2'
import { createSecureContext } from 'node:tls'
import { Channel, type ChannelOptions, credentials, type Metadata, status } from '@grpc/grpc-js'
import { leaderIn, type Method, RPC, statusRequest } from './etcd-messages.ts'

/** A call that failed, as gRPC says it. */
export class EtcdFailure extends Error {
  readonly code: number

  constructor(code: number, text: string) {
    super(text)
    this.code = code
  }

  /** Another member may do better. Whether a write took effect is not known. */
  get isOfMember(): boolean {
    return OF_MEMBER.has(this.code)
  }

  /** The token is refused, before anything was done. */
  get isOfToken(): boolean {
    return this.code === status.UNAUTHENTICATED || /auth store is old/.test(this.message)
  }
}

const OF_MEMBER: ReadonlySet<number> = new Set([
  status.CANCELLED,
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.INTERNAL,
  status.UNAVAILABLE,
  status.DATA_LOSS
])

/** Errors that an operator has to do something about, in words. */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [
    /database space exceeded/,
    'its database is full: compact and defragment it, raise --quota-backend-bytes, disarm the alarm'
  ],
  [/request is too large/, 'the value is above its --max-request-bytes'],
  [/invalid user ID or password/, 'it refuses this user or password'],
  [/authentication is not enabled/, 'its authentication is off: leave user and password out of the URL'],
  [/user name is empty/, 'it wants a user and a password in the URL'],
  [/permission denied/, 'the user may not read and write here: it needs a role for every key that begins with {']
]

// Nothing is pinged: etcd hangs up on those who ping more often than it likes, and every call has a deadline of its own.
const OPTIONS: ChannelOptions = {
  // A call that was sent is never sent again behind our back.
  'grpc.enable_retries': 0,
  // A connection that was given up stays given up, and is nobody else's.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_channelz': 0,
  'grpc.enable_http_proxy': 0,
  'grpc.max_receive_message_length': -1,
  'grpc-node.flow_control_window': 1024 * 1024
}

export class EtcdMember {
  readonly address: string
  /** Its number, and that of the leader it knew of, when it was asked; see `ready`. Empty: not known. */
  id = ''
  leader = ''
  /** Nobody is there. */
  #refuses = false
  readonly #tls: boolean
  #channel: Channel | null = null
  #closed = false

  constructor(address: string, tls: boolean) {
    this.address = address
    this.#tls = tls
  }

  /** Resolves when the member answers and knows a leader; to be waited for before anything is called. */
  async ready(metadata: Metadata, ms: number): Promise<this> {
    const end = performance.now() + ms
    await knock(`${this.#tls ? 'https' : 'http'}://${this.address}`, ms).catch((error: NodeJS.ErrnoException) => {
      this.#refuses = error.code === 'ECONNREFUSED'
      throw this.#failure(status.UNAVAILABLE, error.message || error.code || 'no connection', ms)
    })
    if (this.#closed) throw this.#failure(status.CANCELLED, 'it was not needed', ms)
    // Node's own roots and NODE_EXTRA_CA_CERTS, as everywhere in Node; gRPC by itself would let another variable replace them.
    const trust = this.#tls ? credentials.createFromSecureContext(createSecureContext()) : credentials.createInsecure()
    this.#channel = new Channel(this.address, trust, OPTIONS)
    const left = Math.max(1, end - performance.now())
    const answer = await this.call(RPC.status, statusRequest, metadata, left).catch((error: EtcdFailure) => error)
    if (answer instanceof EtcdFailure && answer.isOfMember) throw answer
    if (answer instanceof EtcdFailure) return this
    const { member, leader } = leaderIn(answer)
    this.id = member
    this.leader = leader
    if (leader === '') throw this.#failure(status.UNAVAILABLE, 'it knows no leader', ms)
    return this
  }

  get leads(): boolean {
    return this.id !== '' && this.leader === this.id
  }

  /** When it was asked it surely led nobody: it said so, or was not there. Of a silent one neither this nor `leads` is known. */
  get leadsNot(): boolean {
    return this.#refuses || this.leader !== this.id
  }

  /** Rejects with EtcdFailure, after `ms` at the latest. The channel's own call costs a third less CPU than a client's. */
  call(method: Method, request: Buffer, metadata: Metadata, ms: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | null = null
      const call = this.#channel!.createCall(method, Date.now() + ms, null, null, null)
      call.start(metadata, {
        onReceiveMetadata() {},
        onReceiveMessage(bytes: Buffer) {
          answer = bytes
        },
        onReceiveStatus: ({ code, details }) => {
          if (code === status.OK && answer) resolve(answer)
          else reject(this.#failure(code || status.INTERNAL, details, ms))
        }
      })
      call.sendMessageWithContext({}, request)
      call.halfClose()
      call.startRead()
    })
  }

  #failure(code: number, details: string, ms: number): EtcdFailure {
    const known = WORDS.find(([pattern]) => pattern.test(details))?.[1]
    const silent = code === status.DEADLINE_EXCEEDED ? `no answer within ${Math.round(ms)} ms` : undefined
    return new EtcdFailure(code, `${this.address}: ${known ?? silent ?? (details || `gRPC status ${code}`)}`)
  }

  close(): void {
    this.#closed = true
    this.#channel?.close()
  }
}

/**
 * Resolves when somebody at this address speaks HTTP/2. To one who takes connections and then says nothing, as a frozen process does,
 * a gRPC channel would be connecting for ever, and closing it does not let go of the socket.
 */
function knock(origin: string, ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const session = connect(origin)
    const end = (error?: Error) => {
      clearTimeout(timer)
      session.destroy()
      if (error) reject(error)
      else resolve()
    }
    const timer = setTimeout(() => end(new Error(`no connection within ${ms} ms`)), ms)
    session.once('remoteSettings', () => end())
    session.on('error', end)
    session.once('close', () => end(new Error('it hung up')))
  })
}
