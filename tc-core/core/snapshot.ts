// A snapshot: the state as bytes, made in small pieces while the state moves on, the same bytes on every replica.
// Before something that is not written yet changes, its bytes are kept (copy on write); order is the order of the log.
import { createHash } from 'node:crypto'
import { Reader, Writer } from '../wire/bytes.ts'
import { type Dialect, i32, i64, str16, str32, u8, u16, u53 } from '../wire/fields.ts'
import { list, share } from '../wire/home.ts'
import { CHUNK_BYTES } from '../wire/limits.ts'
import { readFields, table, writeFields } from '../wire/message.ts'
import type { Owner } from './locks.ts'
import { type FrozenOutcomes, OUTCOME_BYTES } from './outcomes.ts'
import { Session } from './session.ts'
import type { SnapshotWatch, State } from './state.ts'

const Part = { End: 0, Session: 1, Owner: 2, Outcomes: 3 } as const

const HeaderFields = table(1, 'header', { format: u8, lastBranch: u53 })
const SessionFields = table(2, 'session', {
  xid: str16,
  applicationId: str16,
  transactionServiceGroup: str16,
  transactionName: str16,
  timeout: i32,
  beginTime: u53,
  identity: i64,
  status: u8,
  origin: str16
})
const BranchFields = table(3, 'branch', {
  branchId: i64,
  branchType: u8,
  status: u8,
  resourceId: str16,
  clientId: str16,
  lockKey: str32,
  applicationData: str32,
  identity: i64,
  homes: list(share)
})
const DebtFields = table(7, 'debt', { branchId: i64, home: u16 })
const OwnerFields = table(4, 'owner', { xid: str16, fragment: u16, rollbacking: u8, holdings: u16 })
const HoldingFields = table(5, 'holding', { branchId: i64, resourceId: str16, rows: i32 })
const RowFields = table(6, 'row', { table: str16, pk: str32 })

const FORMAT = 3
const DIALECT: Dialect = { version: 1, shortMsg: false }
/** Bytes of outcomes written in one go. */
const OUTCOMES_PIECE = 64 * 1024

/** The state of one moment as chunks, asked for one by one. Ends when `next` gave null or `stop` was called. */
export class Snapshot implements SnapshotWatch {
  readonly #state: State
  readonly #chunkBytes: number
  readonly #out = new Writer(CHUNK_BYTES * 2)
  readonly #sessions: Capture<Session>
  readonly #owners: Capture<Owner>
  readonly #outcomes: FrozenOutcomes
  #part = 0
  /** Bytes of outcomes that are written. */
  #outcomesDone = 0
  #ended = false

  /** @param chunkBytes smaller than usual only in tests */
  constructor(state: State, chunkBytes = CHUNK_BYTES) {
    this.#state = state
    this.#chunkBytes = chunkBytes
    this.#sessions = new Capture(state.sessions.values(), state.lastSequence, writeSession)
    this.#owners = new Capture(state.locks.owners.values(), state.locks.lastSequence, (w, owner) =>
      writeOwner(w, owner, owner.fragment === state.fragment && owner.rollbacking)
    )
    this.#outcomes = state.outcomes.freeze()
    writeFields(HeaderFields, this.#out, { type: 1, format: FORMAT, lastBranch: state.lastBranch } as never, DIALECT)
    state.watch = this
  }

  sessionChanges(session: Session): void {
    this.#sessions.keep(session)
  }

  ownerChanges(xid: string): void {
    const owner = this.#state.locks.owners.get(xid)
    if (owner) this.#owners.keep(owner)
  }

  /** The next chunk: {@link CHUNK_BYTES} long, the last one shorter. */
  next(): Buffer | null {
    while (!this.#ended && this.#out.pos < this.#chunkBytes) this.#piece()
    const length = Math.min(this.#out.pos, this.#chunkBytes)
    if (length === 0) return null
    const chunk = Buffer.from(this.#out.bytes.subarray(0, length))
    this.#out.bytes.copyWithin(0, length, this.#out.pos)
    this.#out.pos -= length
    return chunk
  }

  stop(): void {
    this.#ended = true
    if (this.#state.watch === this) this.#state.watch = null
  }

  #piece(): void {
    switch (this.#part) {
      case 0:
        if (!this.#sessions.write(this.#out)) this.#part++
        return
      case 1:
        if (!this.#owners.write(this.#out)) {
          this.#part++
          this.#writeOutcomeSizes()
        }
        return
      case 2:
        if (!this.#writeOutcomes()) this.#part++
        return
      default:
        this.#out.u8(Part.End)
        this.stop()
    }
  }

  #writeOutcomeSizes(): void {
    this.#out.u8(Part.Outcomes)
    this.#out.u8(this.#outcomes.length)
    for (const entries of this.#outcomes) this.#out.i32(entries.length / OUTCOME_BYTES)
  }

  #writeOutcomes(): boolean {
    let start = this.#outcomesDone
    for (const entries of this.#outcomes) {
      if (start < entries.length) {
        const end = Math.min(start + OUTCOMES_PIECE, entries.length)
        this.#out.raw(entries, start, end)
        this.#outcomesDone += end - start
        return true
      }
      start -= entries.length
    }
    return false
  }
}

/** Items of one kind in the order of their sequence numbers, as they were when the capture began. */
class Capture<T extends { readonly sequence: number }> {
  readonly #live: Iterator<T>
  readonly #last: number
  readonly #encode: (w: Writer, item: T) => void
  /** Bytes of items that changed or went before they were written, by ascending sequence. */
  readonly #kept: { sequence: number; bytes: Buffer }[] = []
  #ahead: T | null = null
  #done = 0

  constructor(live: Iterator<T>, last: number, encode: (w: Writer, item: T) => void) {
    this.#live = live
    this.#last = last
    this.#encode = encode
  }

  keep(item: T): void {
    const { sequence } = item
    if (sequence > this.#last || sequence <= this.#done) return
    const place = this.#place(sequence)
    if (this.#kept[place]?.sequence === sequence) return
    const w = new Writer(512)
    this.#encode(w, item)
    this.#kept.splice(place, 0, { sequence, bytes: w.written })
  }

  /** Writes the next item; false when there is none. */
  write(w: Writer): boolean {
    // An item that was looked ahead at may be gone or changed by now: then it is among the kept ones.
    if (!this.#ahead) this.#ahead = this.#live.next().value ?? null
    const first = this.#kept[0]
    const ahead = this.#ahead && this.#ahead.sequence <= this.#last ? this.#ahead : null
    if (first && (!ahead || first.sequence <= ahead.sequence)) {
      if (first.sequence === ahead?.sequence) this.#ahead = null
      this.#kept.shift()
      this.#done = first.sequence
      w.raw(first.bytes)
      return true
    }
    if (!ahead) return false
    this.#ahead = null
    this.#done = ahead.sequence
    this.#encode(w, ahead)
    return true
  }

  #place(sequence: number): number {
    let low = 0
    let high = this.#kept.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#kept[middle]!.sequence < sequence) low = middle + 1
      else high = middle
    }
    return low
  }
}

function writeSession(w: Writer, session: Session): void {
  w.u8(Part.Session)
  writeFields(SessionFields, w, session as never, DIALECT)
  w.i32(session.branches.length)
  for (const branch of session.branches) writeFields(BranchFields, w, branch as never, DIALECT)
  w.i32(session.debts.length)
  for (const debt of session.debts) writeFields(DebtFields, w, debt as never, DIALECT)
}

function writeOwner(w: Writer, owner: Owner, rollbacking: boolean): void {
  w.u8(Part.Owner)
  const { xid, fragment, holdings } = owner
  const head = { xid, fragment, rollbacking: rollbacking ? 1 : 0, holdings: holdings.length }
  writeFields(OwnerFields, w, head as never, DIALECT)
  for (const { branchId, resourceId, rows } of owner.holdings) {
    writeFields(HoldingFields, w, { branchId, resourceId, rows: rows.length } as never, DIALECT)
    for (const row of rows) writeFields(RowFields, w, row as never, DIALECT)
  }
}

/** Fills an empty state from the chunks of a snapshot. Throws when they are of a newer format. */
export function restore(state: State, chunks: readonly Buffer[]): void {
  const r = new Reader(Buffer.concat(chunks))
  const header = readFields(HeaderFields, r, DIALECT)
  if (header.format !== FORMAT) throw new Error(`snapshot format ${header.format} is not known to this version`)
  state.lastBranch = header.lastBranch
  for (;;) {
    const part = r.u8()
    if (part === Part.Session) readSession(state, r)
    else if (part === Part.Owner) readOwner(state, r)
    else if (part === Part.Outcomes) readOutcomes(state, r)
    else return
  }
}

function readSession(state: State, r: Reader): void {
  const fields = readFields(SessionFields, r, DIALECT)
  const { texts } = state
  const session = new Session(fields, ++state.lastSequence, texts)
  session.status = fields.status
  session.origin = fields.origin
  for (let n = r.i32(); n > 0; n--) {
    const { type: _, ...branch } = readFields(BranchFields, r, DIALECT)
    const [resourceId, clientId] = [texts.one(branch.resourceId), texts.one(branch.clientId)]
    session.add({ ...branch, resourceId, clientId, round: null })
  }
  for (let n = r.i32(); n > 0; n--) {
    const { branchId, home } = readFields(DebtFields, r, DIALECT)
    session.debts.push({ branchId, home, told: false })
  }
  state.sessions.set(session.xid, session)
}

function readOwner(state: State, r: Reader): void {
  const owner = readFields(OwnerFields, r, DIALECT)
  for (let n = owner.holdings; n > 0; n--) {
    const holding = readFields(HoldingFields, r, DIALECT)
    const rows = Array.from({ length: holding.rows }, () => readFields(RowFields, r, DIALECT))
    state.locks.lock(
      owner.xid,
      holding.branchId,
      state.texts.one(holding.resourceId),
      rows.map(({ table, pk }) => ({ table, pk })),
      owner.fragment
    )
  }
  state.locks.owners.get(owner.xid)!.rollbacking = owner.rollbacking === 1
}

function readOutcomes(state: State, r: Reader): void {
  const sizes = Array.from({ length: r.u8() }, () => r.i32())
  state.outcomes.restore(sizes.map((size) => r.raw(size * OUTCOME_BYTES)))
}

/** A digest of the whole state: equal on all replicas at the same index. Takes as long as a whole snapshot: for tests. */
export function stateHash(state: State): string {
  const hash = createHash('sha256')
  const watch = state.watch
  const snapshot = new Snapshot(state)
  for (let chunk = snapshot.next(); chunk; chunk = snapshot.next()) hash.update(chunk)
  state.watch = watch
  return hash.digest('hex')
}
