// Words for scripted worlds: three fragments in which everything arrives when the test says so. A row's home is its key modulo three.
import type { Settings } from '../../tc-core/core/fragment.ts'
import { homeMessages } from '../../tc-core/wire/home.ts'
import type { Transaction } from './clients.ts'
import type { Answer } from './harness.ts'
import { type Packet, World, type WorldOptions } from './world-of-fragments.ts'

export function scripted(options: WorldOptions = {}, settings: Partial<Settings> = {}): World {
  return new World(1, { ...options, scripted: true, settings })
}

/** A transaction that has begun. */
export function open(w: World, fragment: number, timeout = 60_000): Transaction {
  const transaction = w.clients.transaction(fragment)
  transaction.begin(timeout)
  w.settle()
  return transaction
}

/** An AT branch that has its rows; returns its id. */
export function holds(w: World, transaction: Transaction, rows: readonly string[]): bigint {
  const register = transaction.register(rows)
  w.settle()
  if (register.state !== 'holds') throw new Error(register.answer?.msg)
  return register.answer!.branchId!
}

/** Messages between fragments by name. */
export function named(...names: string[]): (packet: Packet) => boolean {
  const codes = homeMessages.tables.filter((table) => names.includes(table.name)).map((table) => table.code as number)
  if (codes.length !== names.length) throw new Error(`no such message: ${names}`)
  return (packet) => packet.kind === 'between' && codes.includes(packet.bytes[0]!)
}

/** The names of the messages that are on their way, in order. */
export function onTheWay(w: World): string[] {
  return w.net.flatMap((packet) => (packet.kind === 'between' ? [homeMessages.find(packet.bytes[0]!)!.name] : []))
}

/** Loses what fits. */
export function lose(w: World, fits: (packet: Packet) => boolean): void {
  w.net = w.net.filter((packet) => !fits(packet))
}

/** What a client asks of the fragment's leader, and its answer once everything has arrived. */
export function ask(
  w: World,
  fragment: number,
  message: { type: number; [field: string]: unknown },
  proposed = ''
): Answer {
  let answer: Answer | null = null
  w.clients.ask(fragment, message, proposed, (got) => {
    answer = got
  })
  w.settle()
  if (!answer) throw new Error('no answer')
  return answer
}

export function status(w: World, { fragment, xid }: Transaction): number {
  return ask(w, fragment, { type: 15, xid, extraData: '' }).globalStatus!
}

/** Rows that are locked at this fragment. */
export function locked(w: World, fragment: number): number {
  return w.leader(fragment).core.state.locks.count
}
