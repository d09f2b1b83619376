// The judge: keeps its own record of everything that was asked and acknowledged, and says at the end whether all of it was kept.
// It knows nothing of the product but what a client sees.

export type Decision = 'commit' | 'rollback'

interface BranchRecord {
  readonly branchId: bigint
  /** Phase-two calls that the RM got. */
  readonly calls: Decision[]
}

interface TransactionRecord {
  readonly xid: string
  readonly branches: Map<bigint, BranchRecord>
  /** Rows that it was granted and has not let go, as far as a client can know. */
  readonly rows: Set<string>
  /** What its TM asked for, once it did. */
  asked: Decision | null
  /** What its TM was told. */
  acknowledged: Decision | null
}

const COMMIT_STATUSES = new Set([2, 3, 8, 9])
const ROLLBACK_STATUSES = new Set([4, 5, 6, 7, 11, 13])

export class Judge {
  readonly transactions = new Map<string, TransactionRecord>()
  readonly breaches: string[] = []
  readonly #owners = new Map<string, string>()
  conflicts = 0

  begun(xid: string): void {
    if (this.transactions.has(xid)) this.#breach(`${xid} was begun twice`)
    const record = { xid, branches: new Map(), rows: new Set<string>(), asked: null, acknowledged: null }
    this.transactions.set(xid, record)
  }

  registered(xid: string, branchId: bigint, rows: readonly string[]): void {
    const transaction = this.#known(xid)
    if (transaction.branches.has(branchId)) this.#breach(`branch ${branchId} of ${xid} was given twice`)
    transaction.branches.set(branchId, { branchId, calls: [] })
    for (const row of rows) {
      const owner = this.#owners.get(row)
      if (owner !== undefined && owner !== xid) this.#breach(`${row} was granted to ${xid} while ${owner} had it`)
      this.#owners.set(row, xid)
      transaction.rows.add(row)
    }
  }

  /** The TM asks: from here on the coordinator may free the rows of a commit at any moment. */
  asks(xid: string, decision: Decision): void {
    const transaction = this.#known(xid)
    transaction.asked = decision
    if (decision === 'commit') this.#free(transaction)
  }

  /** The TM may have given up: its transaction may time out, and its rows be freed branch by branch. */
  abandoned(xid: string): void {
    this.#free(this.#known(xid))
  }

  /** A global status that the coordinator told about the transaction. */
  told(xid: string, status: number): void {
    const transaction = this.#known(xid)
    const decision = COMMIT_STATUSES.has(status) ? 'commit' : ROLLBACK_STATUSES.has(status) ? 'rollback' : null
    if (status === 15) this.#breach(`${xid} is said to be Finished, though it ended lately`)
    if (decision === null) return
    if (transaction.acknowledged !== null && transaction.acknowledged !== decision) {
      this.#breach(`${xid} is said to ${decision} after it was said to ${transaction.acknowledged}`)
    }
    transaction.acknowledged = decision
  }

  /** The RM got a phase-two call. */
  called(xid: string, branchId: bigint, decision: Decision): void {
    const transaction = this.transactions.get(xid)
    if (!transaction) return
    const branch = transaction.branches.get(branchId)
    // A branch whose registration was not acknowledged may be called all the same.
    branch?.calls.push(decision)
    if (decision === 'commit' && transaction.asked !== 'commit') this.#breach(`${xid} commits, and nobody asked`)
    if (decision === 'rollback') this.#free(transaction)
  }

  #free(transaction: TransactionRecord): void {
    for (const row of transaction.rows) if (this.#owners.get(row) === transaction.xid) this.#owners.delete(row)
    transaction.rows.clear()
  }

  /** The end: every transaction has one decision, it is the one that was told, and every branch heard it. */
  verdict(): string[] {
    for (const { xid, branches, acknowledged } of this.transactions.values()) {
      const heard = new Set([...branches.values()].flatMap((branch) => branch.calls))
      if (heard.size > 1) this.#breach(`${xid} both commits and rolls back`)
      const decision = acknowledged ?? [...heard][0] ?? 'rollback'
      for (const { branchId, calls } of branches.values()) {
        if (!calls.includes(decision)) this.#breach(`branch ${branchId} of ${xid} never heard of the ${decision}`)
      }
      if ([...heard].some((other) => other !== decision))
        this.#breach(`${xid} was told to ${decision}, its branches were not`)
    }
    return this.breaches
  }

  #known(xid: string): TransactionRecord {
    const transaction = this.transactions.get(xid)
    if (!transaction) throw new Error(`the judge does not know ${xid}`)
    return transaction
  }

  #breach(text: string): void {
    this.breaches.push(text)
  }
}
