// The row locks of AT: which global transaction owns which row, and through which of its branches.
import { Table } from '../wire/table.ts'
import type { Row } from './lock-key.ts'

/** The rows that one branch took. */
export interface Holding {
  readonly owner: Owner
  readonly branchId: bigint
  readonly resourceId: string
  rows: readonly Row[]
  /** Not state: when the leader last had reason to believe that the branch needs them, or asked (Unix ms). */
  lookedAt: number
}

/** A global transaction as an owner of rows. */
export interface Owner {
  readonly xid: string
  /** The fragment of the transaction. */
  readonly fragment: number
  holdings: Holding[]
  /** It is rolling back: who must not wait for it fails fast. Of another fragment's transaction it is not state, but what the leader heard. */
  rollbacking: boolean
  /** Place in the order of first locks, for the snapshot. */
  readonly sequence: number
}

export interface Conflict {
  readonly row: Row
  readonly owner: Owner
  readonly branchId: bigint
}

/** Who holds a row: several branches of one transaction in their order, and then it is free when the last of them lets go. */
type Held = Holding | Holding[]

/** Rows by resource, then table, then primary key. */
type Rows = Map<string, Map<string, Table<string, Held>>>

export class Locks {
  readonly owners = new Table<string, Owner>()
  /** Those of the owners whose transactions are other fragments'. */
  readonly foreign = new Table<string, Owner>()
  /** Rows that are owned. */
  count = 0
  lastSequence = 0
  readonly #fragment: number
  readonly #rows: Rows = new Map()

  constructor(fragment: number) {
    this.#fragment = fragment
  }

  /** The first of these rows that another transaction owns. */
  conflict(xid: string, resourceId: string, rows: readonly Row[]): Conflict | null {
    const tables = this.#rows.get(resourceId)
    if (!tables) return null
    for (const row of rows) {
      const held = tables.get(row.table)?.get(row.pk)
      if (!held) continue
      const { owner, branchId } = firstOf(held)
      if (owner.xid !== xid) return { row, owner, branchId }
    }
    return null
  }

  /** Gives the rows to the branch; `fragment` is its transaction's. The caller has seen that there is no conflict. */
  lock(xid: string, branchId: bigint, resourceId: string, rows: readonly Row[], fragment: number): void {
    let owner = this.owners.get(xid)
    if (!owner) {
      owner = { xid, fragment, holdings: [], rollbacking: false, sequence: ++this.lastSequence }
      this.owners.set(xid, owner)
      if (fragment !== this.#fragment) this.foreign.set(xid, owner)
    }
    const holding: Holding = { owner, branchId, resourceId, rows: NO_ROWS, lookedAt: 0 }
    const taken = rows.filter((row) => this.#take(holding, row))
    if (taken.length > 0) {
      // Arrays that grow item by item have room for 16 from the first on; most holdings have one row, and most owners one holding.
      holding.rows = taken.slice()
      if (owner.holdings.length === 0) owner.holdings = [holding]
      else owner.holdings.push(holding)
    } else if (owner.holdings.length === 0) this.#forget(owner)
  }

  /** False: the branch has the row already. */
  #take(holding: Holding, row: Row): boolean {
    const { owner, branchId, resourceId } = holding
    let tables = this.#rows.get(resourceId)
    if (!tables) this.#rows.set(resourceId, (tables = new Map()))
    let keys = tables.get(row.table)
    if (!keys) tables.set(row.table, (keys = new Table()))
    const held = keys.get(row.pk)
    if (!held) {
      keys.set(row.pk, holding)
      this.count++
      return true
    }
    const first = firstOf(held)
    if (first.owner !== owner) throw new Error(`row ${row.table}:${row.pk} is owned by ${first.owner.xid}`)
    if (!Array.isArray(held)) {
      if (held.branchId === branchId) return false
      keys.set(row.pk, [held, holding])
    } else if (held.some((other) => other.branchId === branchId)) return false
    else held.push(holding)
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
    if (kept === 0) this.#forget(owner)
  }

  #forget(owner: Owner): void {
    this.owners.delete(owner.xid)
    this.foreign.delete(owner.xid)
  }

  #free(holding: Holding): void {
    const tables = this.#rows.get(holding.resourceId)!
    for (const { table, pk } of holding.rows) {
      const keys = tables.get(table)!
      const held = keys.get(pk)!
      if (Array.isArray(held)) {
        held.splice(held.indexOf(holding), 1)
        if (held.length === 1) keys.set(pk, held[0]!)
        continue
      }
      keys.delete(pk)
      this.count--
      if (keys.size === 0) tables.delete(table)
    }
    if (tables.size === 0) this.#rows.delete(holding.resourceId)
  }
}

const NO_ROWS: readonly Row[] = []

function firstOf(held: Held): Holding {
  return Array.isArray(held) ? held[0]! : held
}
