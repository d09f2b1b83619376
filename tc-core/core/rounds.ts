// Requests that wait for the homes of their rows: each home is asked again until all have answered or the time is over.

import type { AnswerCode } from '../wire/errors.ts'
import type { HomeMessage, LockQueryResult, LockResult } from '../wire/home.ts'
import { MAX_WAITING_FOR_HOMES } from '../wire/limits.ts'
import type { MessageOf } from '../wire/message.ts'
import { Table } from '../wire/table.ts'
import { failure } from './answers.ts'
import type { Fragment } from './fragment.ts'
import type { Request } from './outputs.ts'
import type { Timed } from './timers.ts'

/** Ms until homes that did not answer are asked again; twice as long each time. A change of leader passes within a few of them. */
const FIRST_REPEAT_MS = 100
/** Ms until a home that does not answer is given up: below the patience of clients. */
const PATIENCE_MS = 5000

type Answer = MessageOf<typeof LockResult> | MessageOf<typeof LockQueryResult>

/** One question to several homes, and who waits for the outcome. */
export abstract class Round<A extends Answer = Answer> implements Timed {
  at = 0
  heapIndex = -1
  /** More than one when a request came again meanwhile; see `join`. */
  readonly requests: Request[]
  readonly #id: number
  readonly #until: number
  /** The questions to homes that have not answered. */
  readonly #open = new Map<number, HomeMessage>()
  #repeat = FIRST_REPEAT_MS

  constructor(f: Fragment, request: Request) {
    this.requests = [request]
    this.#id = f.rounds.add(this)
    this.#until = f.now + PATIENCE_MS
    f.timers.set(this, f.now + FIRST_REPEAT_MS)
  }

  /** Puts a question, which names the round by `naming`. It may leave before the log knows of it: asking decides nothing. */
  protected ask(f: Fragment, home: number, question: (naming: { term: number; round: number }) => HomeMessage): void {
    const message = question({ term: f.term, round: this.#id })
    this.#open.set(home, message)
    f.send(home, message, 'now')
  }

  /** The request came again: whoever waits for it gets the outcome too. */
  join(f: Fragment, request: Request): void {
    this.requests.push(request)
    f.rounds.waiting++
  }

  /** A home answered; only its first answer counts. */
  answered(f: Fragment, home: number, answer: A): void {
    if (!this.#open.has(home)) return
    if (!this.agrees(answer)) {
      this.close(f)
      return this.refused(f, answer)
    }
    this.#open.delete(home)
    if (this.#open.size > 0) return
    this.close(f)
    this.completed(f)
  }

  /** Its time has come. */
  due(f: Fragment): void {
    if (f.now >= this.#until) {
      const [home] = this.#open.keys()
      this.close(f)
      return this.silent(f, home!)
    }
    for (const [home, message] of this.#open) f.send(home, message, 'now')
    this.#repeat *= 2
    f.timers.set(this, Math.min(f.now + this.#repeat, this.#until))
  }

  /** Nothing more is asked, and answers are late. */
  protected close(f: Fragment): void {
    f.timers.remove(this)
    f.rounds.remove(this.#id, this.requests.length)
  }

  protected fail(f: Fragment, code: AnswerCode, ...details: unknown[]): void {
    for (const request of this.requests) {
      f.reply(request, failure(request.message, request.client, code, details), 'confirmed')
    }
  }

  protected abstract agrees(answer: A): boolean
  protected abstract refused(f: Fragment, answer: A): void
  protected abstract completed(f: Fragment): void
  protected abstract silent(f: Fragment, home: number): void
}

export class Rounds {
  readonly #rounds = new Table<number, Round>()
  #lastId = 0
  /** Requests that wait for a round's outcome. */
  waiting = 0

  get full(): boolean {
    return this.waiting >= MAX_WAITING_FOR_HOMES
  }

  add(round: Round<any>): number {
    this.#rounds.set(++this.#lastId, round)
    this.waiting++
    return this.#lastId
  }

  remove(id: number, requests: number): void {
    this.#rounds.delete(id)
    this.waiting -= requests
  }

  *unanswered(): Iterable<Request> {
    for (const round of this.#rounds.values()) yield* round.requests
  }

  /** An answer to a round that is over, or of an earlier leader, comes too late. */
  answered(f: Fragment, home: number, answer: Answer): void {
    if (answer.term === f.term) this.#rounds.get(answer.round)?.answered(f, home, answer)
  }
}
