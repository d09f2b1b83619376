// The row locks of AT: which global transaction owns which row, and through which of its branches.
import { parseLockKey, type Row } from './lock-key.ts'

/** The rows that one branch took. A row that a later branch takes again stays with the first. */
export interface Holding {
  readonly branchId: bigint
  readonly resourceId: string
  readonly rows: Row[]
}

/** A global transaction as an owner of rows. */
export interface Owner {
  readonly xid: string
  readonly holdings: Holding[]
  /** It is rolling back: who must not wait for it fails fast. */
  rollbacking: boolean
  /** Place in the order of first locks, for the snapshot. */
  readonly sequence: number
}

export interface Conflict {
  readonly row: Row
  readonly owner: Owner
  readonly branchId: bigint
}

interface Held {
  readonly owner: Owner
  readonly branchId: bigint
}

/** Rows by resource, then table, then primary key. */
type Rows = Map<string, Map<string, Map<string, Held>>>

export class Locks {
  readonly owners = new Map<string, Owner>()
  /** Rows that are owned. */
  count = 0
  lastSequence = 0
  readonly #rows: Rows = new Map()

  /** The first of these rows that another transaction owns. */
  conflict(xid: string, resourceId: string, rows: readonly Row[]): Conflict | null {
    const tables = this.#rows.get(resourceId)
    if (!tables) return null
    for (const row of rows) {
      const held = tables.get(row.table)?.get(row.pk)
      if (held && held.owner.xid !== xid) return { row, owner: held.owner, branchId: held.branchId }
    }
    return null
  }

  /** Gives the rows to the branch, those excepted that its transaction has already. The caller has seen that there is no conflict. */
  lock(xid: string, branchId: bigint, resourceId: string, rows: readonly Row[]): void {
    let owner = this.owners.get(xid)
    if (!owner) {
      owner = { xid, holdings: [], rollbacking: false, sequence: ++this.lastSequence }
      this.owners.set(xid, owner)
    }
    const taken: Row[] = []
    for (const row of rows) if (this.#take(owner, branchId, resourceId, row)) taken.push(row)
    if (taken.length > 0) owner.holdings.push({ branchId, resourceId, rows: taken })
    else if (owner.holdings.length === 0) this.owners.delete(xid)
  }

  #take(owner: Owner, branchId: bigint, resourceId: string, row: Row): boolean {
    let tables = this.#rows.get(resourceId)
    if (!tables) this.#rows.set(resourceId, (tables = new Map()))
    let keys = tables.get(row.table)
    if (!keys) tables.set(row.table, (keys = new Map()))
    const held = keys.get(row.pk)
    if (held) {
      if (held.owner !== owner) throw new Error(`row ${row.table}:${row.pk} is owned by ${held.owner.xid}`)
      return false
    }
    keys.set(row.pk, { owner, branchId })
    this.count++
    return true
  }

  /** Whether the transaction has rows through this branch; with branchId 0n through any. */
  holds(xid: string, branchId: bigint): boolean {
    const owner = this.owners.get(xid)
    return owner !== undefined && (branchId === 0n || owner.holdings.some((holding) => holding.branchId === branchId))
  }

  /** Frees the rows that this branch of the transaction took; with branchId 0n all of the transaction. */
  unlock(xid: string, branchId: bigint): void {
    const owner = this.owners.get(xid)
    if (!owner) return
    let kept = 0
    for (const holding of owner.holdings) {
      if (branchId === 0n || holding.branchId === branchId) this.#free(holding)
      else owner.holdings[kept++] = holding
    }
    owner.holdings.length = kept
    if (kept === 0) this.owners.delete(xid)
  }

  #free(holding: Holding): void {
    const tables = this.#rows.get(holding.resourceId)!
    for (const row of holding.rows) {
      const keys = tables.get(row.table)!
      keys.delete(row.pk)
      if (keys.size === 0) tables.delete(row.table)
    }
    if (tables.size === 0) this.#rows.delete(holding.resourceId)
    this.count -= holding.rows.length
  }

  lockKey(xid: string, branchId: bigint, resourceId: string, lockKey: string): void {
    this.lock(xid, branchId, resourceId, parseLockKey(lockKey))
  }
}
