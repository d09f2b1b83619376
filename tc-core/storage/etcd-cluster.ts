// Which member of an etcd cluster is asked: one, as long as it answers; then another. The one that leads is asked rather than others, which
// would pass every write on to it, and hear later that it is done.
import { Metadata } from '@grpc/grpc-js'
import type { EtcdAddress } from './etcd-address.ts'
import { type EtcdFailure, EtcdMember } from './etcd-member.ts'
import { authenticateRequest, type Method, RPC, tokenIn } from './etcd-messages.ts'
import { StorageError } from './port.ts'

/** Ms in which a member has to answer. A frozen one is left after that. */
const ANSWER_MS = 1000
/** Ms in which a member has to take a connection and tell its state. */
const CONNECT_MS = 500
/** Ms for which the leader is waited for when another has answered. */
const LEADER_MS = 100
/** Ms for which nobody is asked again after nobody answered. */
const PAUSE_MS = 50
/** Ms after which a leader that is gone is believed in again: etcd elects within two seconds, so it may be gone for us alone. */
const GONE_MS = 5000
/** Times that a read is sent, as far as there is time. */
const MAX_ATTEMPTS = 3

export class EtcdCluster {
  readonly #address: EtcdAddress
  #metadata = new Metadata()
  #member: EtcdMember | null = null
  #connecting: Promise<EtcdMember> | null = null
  /** The member that failed last: the others come first. */
  #left: string | null = null
  /** By address, the numbers of members that told theirs. */
  readonly #ids = new Map<string, string>()
  /** The leader that is gone, though others name it, and since when. */
  #gone = { id: '', since: 0 }
  #closed = false

  constructor(address: EtcdAddress) {
    this.#address = address
  }

  /**
   * Asks until `end` (of performance.now()) at the latest; rejects with StorageError. What was sent is sent again only when it is
   * `repeatable`, or was refused for its token; before it is sent, members are tried as time allows.
   */
  async call(method: Method, request: Buffer, repeatable: boolean, end: number): Promise<Buffer> {
    let renewed = false
    for (let attempt = 1; ; attempt++) {
      const member = this.#member ?? (await this.#connected(end))
      const ms = Math.min(ANSWER_MS, end - performance.now())
      if (ms <= 0) throw new StorageError(`etcd ${member.address}: no time was left to ask it`)
      try {
        return await member.call(method, request, this.#metadata, ms)
      } catch (error) {
        const failure = error as EtcdFailure
        if (failure.isOfMember) this.#leave(member)
        const again = failure.isOfMember && repeatable && attempt < MAX_ATTEMPTS
        if (failure.isOfToken && this.#address.login && !renewed) {
          this.#leave(member)
          renewed = true
        } else if (!again) throw storageError(failure)
      }
    }
  }

  /** Resolves when a member answers that knows a leader and takes our login. */
  async connect(end: number): Promise<void> {
    await this.#connected(end)
  }

  /** Calls on the way go on; the next one finds another member. */
  #leave(member: EtcdMember): void {
    if (this.#member !== member) return
    this.#member = null
    this.#left = member.address
    member.close()
  }

  /** One search serves all who wait, each until its own end. */
  #connected(end: number): Promise<EtcdMember> {
    if (this.#closed) return Promise.reject(new StorageError('the store is closed'))
    this.#connecting ??= this.#find()
    return within(this.#connecting, end - performance.now())
  }

  async #find(again = false): Promise<EtcdMember> {
    const all = this.#address.members
    const others = all.filter((address) => address !== this.#left)
    const asked = (others.length > 0 ? others : all).map((address) => new EtcdMember(address, this.#address.tls))
    let chosen: EtcdMember | null = null
    try {
      const ready = asked.map((member) => this.#ready(member, CONNECT_MS))
      const first = await Promise.any(ready)
      const best = first.leads ? first : await leaderOf(ready, first)
      // An AggregateError, as when nobody answers: who opens the store goes on trying.
      if (await this.#namesWhoIsGone(best))
        throw new AggregateError([new Error(`${best.address}: its leader is gone, and there is no other yet`)])
      await this.#logIn(best)
      // From 3.6 on a member tells who leads to those only who have a token.
      if (best.id === '' && !again) return await this.#find(true)
      if (this.#closed) throw new StorageError('the store is closed')
      this.#connecting = null
      if (best.leads) this.#gone.id = ''
      this.#member = chosen = best
      return best
    } catch (error) {
      this.#left = null
      setTimeout(() => (this.#connecting = null), PAUSE_MS).unref()
      throw storageError(error)
    } finally {
      for (const member of asked) if (member !== chosen) member.close()
    }
  }

  #ready(member: EtcdMember, ms: number): Promise<EtcdMember> {
    return member.ready(this.#metadata, ms).finally(() => {
      if (member.id !== '') this.#ids.set(member.address, member.id)
    })
  }

  /** Until others elect, they pass writes on to a leader that is not there any more, and nobody hears of these again. */
  async #namesWhoIsGone({ id, leader }: EtcdMember): Promise<boolean> {
    const named = leader === id ? undefined : [...this.#ids].find(([, known]) => known === leader)
    if (!named) return false
    const member = new EtcdMember(named[0], this.#address.tls)
    await this.#ready(member, LEADER_MS).catch(() => {})
    member.close()
    if (!member.leadsNot) return false
    const now = performance.now()
    if (this.#gone.id !== leader) this.#gone = { id: leader, since: now }
    return now - this.#gone.since < GONE_MS
  }

  async #logIn(member: EtcdMember): Promise<void> {
    const { login } = this.#address
    if (!login) return
    const request = authenticateRequest(login.name, login.password)
    const metadata = new Metadata()
    metadata.set('token', tokenIn(await member.call(RPC.authenticate, request, new Metadata(), ANSWER_MS)))
    this.#metadata = metadata
  }

  close(): void {
    this.#closed = true
    this.#member?.close()
    this.#member = null
  }
}

/** Any error as a StorageError, in words. */
export function storageError(error: unknown): StorageError {
  if (error instanceof StorageError) return error
  const errors: Error[] = error instanceof AggregateError ? error.errors : [error as Error]
  const words = errors.map(({ message }) => message).join('; ')
  return new StorageError(`etcd ${words}`, { cause: error })
}

/** The one among them that leads, if it answers soon; else another. */
function leaderOf(ready: readonly Promise<EtcdMember>[], other: EtcdMember): Promise<EtcdMember> {
  const leading = ready.map(async (member) => {
    if (!(await member).leads) throw new StorageError('it does not lead')
    return member
  })
  return within(Promise.any(leading), LEADER_MS).catch(() => other)
}

function within<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new StorageError('etcd: no member answered in time'))
    const timer = setTimeout(late, Math.max(0, ms))
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
