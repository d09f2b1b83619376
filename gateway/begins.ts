// Where transactions begin: together, and near the rows that they will lock.
import type { Reader } from '../tc-core/wire/bytes.ts'
import type { Dialect } from '../tc-core/wire/fields.ts'
import type { LockHomes } from '../tc-core/wire/lock-homes.ts'
import { readFields, table } from '../tc-core/wire/message.ts'
import { BranchRegister } from '../tc-core/wire/messages/index.ts'
import type { Pending } from './pending.ts'
import type { ShardingStrategy } from './ring.ts'

/** What a begin can go by. */
export interface Ground {
  /** Fragments that take new transactions. */
  readonly open: readonly number[]
  readonly ring: ShardingStrategy
  /** Where the rows of a table are guarded; null: not at one place, or begins are to be spread in any case. */
  readonly homes: LockHomes | null
  /** Requests that wait for an answer now. */
  readonly waiting: number
}

/** Where requests are parked that came before any fragment was known. */
export const NOWHERE = -1
/** Begins that go to one fragment together, at most, and within how many ms. */
const FLOCK = 512
const FLOCK_MS = 100
/** Draws until any fragment will do that takes new transactions. */
const DRAWS = 32
/** With so many requests on the way records are full wherever they go, and what one node can do is the limit: begins are spread. */
const CROWD = 256
/** One begin in so many ms is followed to the rows that its transaction locks. */
const FOLLOW_MS = 10
const MAX_FOLLOWED = 64
/** Kinds of transactions whose rows are remembered; the one that was learned longest ago is forgotten. */
const MAX_KINDS = 256
/** Bytes of a begin, and characters of an application's name, that tell its kind: of a begin its timeout and name. */
const KIND_LENGTH = 256

export class Begins {
  /** The fragment of the begins of this moment, how many more, and until when (ms). */
  readonly #flock = { fragment: NOWHERE, left: 0, until: 0 }
  #drawn = 0
  /** By what a transaction is: the fragment that guards the rows that one of its kind locked first. */
  readonly #homeOf = new Map<string, number>()
  /** Of what kind the transactions are that are followed, by XID. */
  readonly #followed = new Map<string, string>()
  #followAt = 0

  /**
   * A transaction that locks rows where it begins is one record there and asks no other fragment. Nobody says at a begin which rows they will be:
   * those of transactions of the same application and name, it is assumed. For all others: begins that come together go to one fragment, where one
   * record of its log holds them all, and what their transactions ask for next, which comes together as well. Over time every fragment gets its share.
   */
  fragmentOf(pending: Pending, ground: Ground): number {
    const { open, waiting, homes } = ground
    if (homes !== null && waiting < CROWD) {
      const near = this.#homeOf.get(kindOf(pending))
      if (near !== undefined && open.includes(near)) return near
    }
    const flock = this.#flock
    const now = pending.since
    if (flock.left === 0 || now >= flock.until) {
      flock.fragment = this.#draw(now, ground)
      flock.left = FLOCK
      flock.until = now + FLOCK_MS
    }
    flock.left--
    return flock.fragment
  }

  /** One that takes new transactions: the first that the ring names for what is drawn. */
  #draw(now: number, { open, ring }: Ground): number {
    for (let n = 0; n < DRAWS; n++) {
      const fragment = ring.determineGroup(`${now}:${this.#drawn++}`)
      if (open.includes(fragment)) return fragment
    }
    return open[this.#drawn % open.length] ?? NOWHERE
  }

  /** It was given the XID `pending.proposed`. */
  begun(pending: Pending): void {
    if (pending.since < this.#followAt) return
    this.#followAt = pending.since + FOLLOW_MS
    remember(this.#followed, pending.proposed, kindOf(pending), MAX_FOLLOWED)
  }

  /** A transaction registers a branch; `r` stands behind the XID. Throws when what follows cannot be read. */
  registers(xid: string, r: Reader, dialect: Dialect, homes: LockHomes): void {
    const kind = this.#followed.get(xid)
    if (kind === undefined) return
    const { resourceId, lockKey } = readFields(AFTER_XID, r, dialect)
    const colon = lockKey.indexOf(':')
    if (colon < 0) return
    this.#followed.delete(xid)
    remember(this.#homeOf, kind, homes.of(resourceId, lockKey.slice(0, colon), ''), MAX_KINDS)
  }

  /** Other fragments take new transactions than before. */
  changed(): void {
    this.#flock.left = 0
  }
}

const { xid: _, ...fields } = BranchRegister.fields
const AFTER_XID = table(BranchRegister.code, BranchRegister.name, fields)

function kindOf({ client, bytes, start, end }: Pending): string {
  const begin = bytes.toString('latin1', start, Math.min(end, start + KIND_LENGTH))
  return `${client.applicationId.slice(0, KIND_LENGTH)} ${begin}`
}

/** As the newest; with too many, the oldest goes. */
function remember<V>(known: Map<string, V>, key: string, value: V, most: number): void {
  known.delete(key)
  known.set(key, value)
  if (known.size > most) known.delete(known.keys().next().value!)
}
