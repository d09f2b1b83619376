// The clients of a world and their gateway: transactions that begin, register branches over few rows, and end; requests are sent again
// when no answer came, with the same identity.
import type { Request } from '../../tc-core/core/outputs.ts'
import { BranchType } from '../../tc-core/wire/codes.ts'
import type { AnyMessage } from '../../tc-core/wire/message.ts'
import { type Answer, clientOf } from './harness.ts'
import type { Judge } from './judge.ts'
import type { Random } from './random.ts'

/** A request until it is answered, over all its sendings. */
export interface Ask {
  readonly fragment: number
  readonly identity: bigint
  readonly message: AnyMessage
  readonly proposed: string
  /** The term of the leader that it was sent to last; 0: not sent yet. */
  term: number
  done: boolean
  readonly then: (answer: Answer) => void
}

/** A sending of a request, as the core hands it back. */
export interface Sending extends Request {
  readonly ask: Ask
  readonly term: number
}

const CLIENT = clientOf('2.6.0')

export function sendingOf(ask: Ask, term: number, again: boolean): Sending {
  const { message, proposed, identity } = ask
  return { client: CLIENT, message, proposed, identity, again, ask, term }
}

type Message = AnyMessage & Readonly<Record<string, unknown>>

export interface Register {
  readonly rows: readonly string[]
  readonly ask: Ask
  answer: Answer | null
  state: 'asked' | 'holds' | 'failed'
}

export const TABLE = 't'
const ROWS = 4

export class Transaction {
  readonly fragment: number
  readonly #clients: Clients
  xid = ''
  state: 'new' | 'begins' | 'open' | 'ending' | 'ended' = 'new'
  /** What the TM was told at the end. */
  globalStatus = 0
  readonly #registers: Register[] = []
  readonly #wants: number

  constructor(clients: Clients, fragment: number) {
    this.#clients = clients
    this.fragment = fragment
    this.#wants = 1 + clients.random.below(3)
  }

  /** Does the next thing that there is to do, or sometimes what only an impatient client would. */
  step(): unknown {
    const { random } = this.#clients
    switch (this.state) {
      case 'new':
        return this.begin([2000, 20_000, 60_000][random.below(3)]!)
      case 'open': {
        if (this.#registers.length < this.#wants && random.next() < 0.7) return this.register(this.#someRows())
        if (random.next() < 0.1) return this.query(this.#someRows())
        const waits = this.#registers.some(({ state }) => state === 'asked')
        if (waits && random.next() < 0.97) return
        const failed = this.#registers.some(({ state }) => state === 'failed')
        if (failed && random.next() < 0.5) return this.#registerAgain()
        this.end(waits || failed || random.next() < 0.3 ? 'rollback' : 'commit')
      }
    }
  }

  #someRows(): string[] {
    const { random } = this.#clients
    const rows = new Set(Array.from({ length: 1 + random.below(2) }, () => String(random.below(ROWS))))
    return [...rows]
  }

  /** As RMs do when rows were taken: another request for the same rows. */
  #registerAgain(): void {
    const failed = this.#registers.findIndex(({ state }) => state === 'failed')
    const [{ rows }] = this.#registers.splice(failed, 1) as [Register]
    this.register(rows)
  }

  begin(timeout: number): void {
    this.state = 'begins'
    const proposed = this.#clients.newXid(this.fragment)
    this.#clients.ask(this.fragment, { type: 1, timeout, transactionName: 'tx' }, proposed, (answer) => {
      // Not an answer: the proposed XID is taken, the gateway proposes another one.
      if (answer.type === 0) return this.begin(timeout)
      if (answer.resultCode !== 1) throw new Error(answer.msg)
      this.xid = answer.xid!
      this.state = 'open'
    })
  }

  register(rows: readonly string[], applicationData = ''): Register {
    const { xid } = this
    const lockKey = `${TABLE}:${rows.join(',')}`
    const message = { type: 11, xid, branchType: BranchType.AT, resourceId: 'r', lockKey, applicationData }
    const ask = this.#clients.ask(this.fragment, message, '', (answer) => {
      register.answer = answer
      register.state = answer.resultCode === 1 ? 'holds' : 'failed'
      if (answer.resultCode === 1) this.#clients.judge.registered(xid, answer.branchId!, rows)
      else this.#clients.refused++
    })
    const register: Register = { rows, ask, answer: null, state: 'asked' }
    this.#registers.push(register)
    return register
  }

  query(rows: readonly string[]): void {
    const { xid } = this
    const judged = this.#clients.judge.asks(xid, rows)
    const lockKey = `${TABLE}:${rows.join(',')}`
    const message = { type: 21, xid, branchType: BranchType.AT, resourceId: 'r', lockKey, applicationData: '' }
    this.#clients.ask(this.fragment, message, '', (answer) => judged(answer.lockable ?? false))
  }

  end(how: 'commit' | 'rollback'): void {
    const { xid } = this
    this.state = 'ending'
    this.#clients.ask(this.fragment, { type: how === 'commit' ? 7 : 9, xid, extraData: '' }, '', (answer) => {
      this.state = 'ended'
      this.globalStatus = answer.globalStatus!
      this.#clients.judge.ended(xid, answer.globalStatus!)
    })
  }
}

export class Clients {
  readonly random: Random
  readonly judge: Judge
  readonly #fragments: number
  readonly #send: (ask: Ask, again: boolean) => void
  /** Requests without an answer. */
  open: Ask[] = []
  transactions: Transaction[] = []
  refused = 0
  #lastIdentity = 0n
  #lastXid = 0

  constructor(random: Random, judge: Judge, fragments: number, send: (ask: Ask, again: boolean) => void) {
    this.random = random
    this.judge = judge
    this.#fragments = fragments
    this.#send = send
  }

  newXid(fragment: number): string {
    return `127.0.0.1:8091:${fragment}00000${++this.#lastXid}`
  }

  transaction(fragment: number): Transaction {
    const transaction = new Transaction(this, fragment)
    this.transactions.push(transaction)
    return transaction
  }

  ask(fragment: number, message: Message, proposed: string, then: Ask['then']): Ask {
    const ask: Ask = { fragment, identity: ++this.#lastIdentity, message, proposed, term: 0, done: false, then }
    this.open.push(ask)
    this.#send(ask, false)
    return ask
  }

  /** The gateway does not know what became of the request, and sends it again. */
  askAgain(ask: Ask): void {
    this.#send(ask, true)
  }

  /** An answer arrives. A careful gateway drops what an older leader says once it has asked a newer one. */
  answered({ ask, term }: Sending, answer: Answer, careful: boolean): void {
    if (ask.done || (careful && term !== ask.term)) return
    ask.done = true
    this.open = this.open.filter((other) => other !== ask)
    ask.then(answer)
  }

  step(): void {
    const { random } = this
    if (this.open.length > 0 && random.next() < 0.3) return this.askAgain(random.pick(this.open))
    this.transactions = this.transactions.filter(({ state }) => state !== 'ended')
    if (this.transactions.length < 3) this.transaction(random.below(this.#fragments))
    random.pick(this.transactions).step()
  }
}
