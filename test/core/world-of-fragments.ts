// A world of a few fragments and few rows, driven by a seed: messages between fragments are lost, late, repeated and out of order,
// leaders are replaced and live on, clients send requests again. A judge watches.
import { readEffects } from '../../tc-core/core/effects.ts'
import type { Settings } from '../../tc-core/core/fragment.ts'
import type { Outputs, Release } from '../../tc-core/core/outputs.ts'
import type { Rule } from '../../tc-core/core/rules.ts'
import { stateHash } from '../../tc-core/core/snapshot.ts'
import { dropBranch } from '../../tc-core/core/unlock.ts'
import { Writer } from '../../tc-core/wire/bytes.ts'
import { BranchStatus, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { readHomeMessage, writeHomeMessage } from '../../tc-core/wire/home.ts'
import type { BranchCall } from '../../tc-core/wire/link.ts'
import type { LockHomes } from '../../tc-core/wire/lock-homes.ts'
import { type Ask, Clients, type Sending, sendingOf } from './clients.ts'
import type { Answer } from './harness.ts'
import { Breach, Judge } from './judge.ts'
import { Leader, Log, throughSnapshot } from './leaders.ts'
import { type Random, random } from './random.ts'

/** Something on its way. */
export type Packet =
  | { readonly kind: 'request'; readonly to: number; readonly sending: Sending }
  | { readonly kind: 'answer'; readonly to: -1; readonly sending: Sending; readonly answer: Answer }
  | {
      readonly kind: 'between'
      readonly to: number
      readonly from: number
      readonly term: number
      readonly bytes: Buffer
    }
  | { readonly kind: 'call'; readonly to: -1; readonly leader: Leader; readonly call: BranchCall }
  | {
      readonly kind: 'called'
      readonly to: number
      readonly leader: Leader
      readonly call: BranchCall
      readonly branchStatus: number
    }

export interface WorldOptions {
  readonly without?: Rule
  /** The gateway takes answers of leaders that it has given up. */
  readonly careless?: boolean
  /** A test says what happens, and nothing goes wrong by itself. */
  readonly scripted?: boolean
  readonly settings?: Partial<Settings>
}

const FRAGMENTS = 3
const HOMES: LockHomes = { of: (_resourceId, _table, pk) => Number(pk) % FRAGMENTS }
const scratch = new Writer()

export class World {
  now = 1_800_000_000_000
  readonly random: Random
  readonly judge = new Judge()
  readonly clients: Clients
  readonly logs = Array.from({ length: FRAGMENTS }, (_, fragment) => new Log(fragment))
  /** Of all fragments, the deposed ones too. */
  leaders: Leader[] = []
  net: Packet[] = []
  readonly #options: WorldOptions
  readonly #settings: Partial<Settings>
  /** RMs do all that they are told. */
  #quiet: boolean

  constructor(seed: number, options: WorldOptions = {}) {
    this.random = random(seed)
    this.#options = options
    this.#quiet = options.scripted ?? false
    this.#settings = { homes: HOMES, without: options.without, ...options.settings }
    this.clients = new Clients(this.random, this.judge, FRAGMENTS, (ask, again) => this.#request(ask, again))
    for (const log of this.logs) this.takeOver(log.fragment)
  }

  leader(fragment: number): Leader {
    return this.leaders.find((leader) => leader.leads && leader.log.fragment === fragment)!
  }

  /** Another leads the fragment from now on; who led it before does not know. */
  takeOver(fragment: number): Leader {
    const leader = new Leader(this.logs[fragment]!, this.#settings, this, this.random.next() < 0.3)
    this.leaders.push(leader)
    const older = this.leaders.filter(({ log }) => log.fragment === fragment).slice(0, -3)
    this.leaders = this.leaders.filter((one) => !older.includes(one))
    if (this.#options.without === 'never-guess' && !this.#options.scripted) this.#guess(leader)
    return leader
  }

  /** What a new leader must not do: remove branches because it has not heard that they were acknowledged. */
  #guess(leader: Leader): void {
    const { core } = leader
    leader.run((out) => {
      core.out = out
      core.now = this.now
      for (const session of core.state.sessions.values()) {
        if (session.status !== GlobalStatus.Begin) continue
        for (const branch of [...session.branches]) if (branch.homes.length > 0) dropBranch(core, session, branch)
      }
    })
  }

  #request(ask: Ask, again: boolean): void {
    const { term } = this.leader(ask.fragment)
    ask.term = term
    this.net.push({ kind: 'request', to: ask.fragment, sending: sendingOf(ask, term, again) })
  }

  // ---- what leaders let out

  leave(from: Leader, out: Outputs, release: Release): void {
    for (const reply of out.replies) {
      if (reply.release !== release) continue
      const sending = reply.request as Sending
      this.net.push({ kind: 'answer', to: -1, sending, answer: reply.message as Answer })
    }
    for (const one of out.calls)
      if (one.release === release) this.net.push({ kind: 'call', to: -1, leader: from, call: one.call })
    for (const { to, message, release: when } of out.sends) {
      if (when !== release) continue
      scratch.pos = 0
      writeHomeMessage(scratch, message)
      const bytes = Buffer.from(scratch.written)
      this.net.push({ kind: 'between', to, from: from.log.fragment, term: from.term, bytes })
    }
  }

  landed(_fragment: number, bytes: Buffer): void {
    readEffects(bytes, (effect) => this.judge.logged(effect))
  }

  deposed(leader: Leader): void {
    this.leaders = this.leaders.filter((one) => one !== leader)
  }

  // ---- what arrives

  deliver(packet: Packet): void {
    switch (packet.kind) {
      case 'request': {
        const { sending } = packet
        const leader = this.leaders.find((one) => one.log.fragment === packet.to && one.term === sending.term)
        return leader?.input({ kind: 'request', request: sending })
      }
      case 'answer':
        return this.clients.answered(packet.sending, packet.answer, !this.#options.careless)
      case 'between': {
        const { from, term, bytes } = packet
        const leaders = this.leaders.filter((one) => one.log.fragment === packet.to)
        const leader = this.#options.scripted || this.random.next() < 0.8 ? leaders.at(-1) : this.random.pick(leaders)
        return leader?.input({ kind: 'between', from, term, message: readHomeMessage(bytes)! })
      }
      case 'call':
        return this.#atRm(packet.call, packet.leader)
      case 'called': {
        const { leader, call, branchStatus } = packet
        if (this.leaders.includes(leader)) leader.input({ kind: 'answered', call: call.id, branchStatus })
      }
    }
  }

  /** The RM does as it is told, or cannot just now. */
  #atRm(call: BranchCall, leader: Leader): void {
    const done = this.#quiet || this.random.next() < 0.9
    const rollback = call.kind === 'rollback'
    if (rollback) this.judge.rollsBack(call.branchId, done)
    const failed = rollback
      ? BranchStatus.PhaseTwo_RollbackFailed_Retryable
      : BranchStatus.PhaseTwo_CommitFailed_Retryable
    const good = rollback ? BranchStatus.PhaseTwo_Rollbacked : BranchStatus.PhaseTwo_Committed
    this.net.push({ kind: 'called', to: leader.log.fragment, leader, call, branchStatus: done ? good : failed })
  }

  /** Delivers the first packet that fits; throws when there is none. */
  pass(fits: (packet: Packet) => boolean): void {
    const place = this.net.findIndex(fits)
    if (place < 0) throw new Error('no such packet')
    this.deliver(this.net.splice(place, 1)[0]!)
  }

  /** Everything that waits for the log of this fragment's leader is in it, and the leader knows. */
  write(fragment: number): void {
    const leader = this.leader(fragment)
    while (leader.busy) {
      leader.land()
      leader.learn()
    }
  }

  /** Everything is delivered and written, as long as there is something; no time passes. */
  settle(fits: (packet: Packet) => boolean = () => true): void {
    for (;;) {
      for (const { fragment } of this.logs) this.write(fragment)
      if (!this.net.some(fits)) return
      this.pass(fits)
    }
  }

  elapse(ms: number): void {
    this.now += ms
    for (const leader of [...this.leaders]) leader.tick()
  }

  // ---- chance

  step(): void {
    const { random } = this
    const chance = random.next()
    if (chance < 0.45 && this.net.length > 0) {
      const place = random.below(this.net.length)
      const packet = this.net[place]!
      // What stays comes again later.
      if (random.next() < 0.9) this.net.splice(place, 1)
      if (random.next() < 0.93) this.deliver(packet)
    } else if (chance < 0.85) {
      const busy = this.leaders.filter((leader) => leader.busy)
      if (busy.length === 0) return this.clients.step()
      const leader = random.pick(busy)
      if (random.next() < 0.5) leader.land()
      else leader.learn()
    } else if (chance < 0.87) this.takeOver(random.below(FRAGMENTS))
    else if (chance < 0.91) this.elapse(random.below(random.next() < 0.8 ? 60 : 3000))
    else this.clients.step()
  }

  run(steps: number): Breach | null {
    try {
      for (let n = 0; n < steps; n++) this.step()
      this.rest()
      return null
    } catch (error) {
      if (error instanceof Breach) return error
      throw error
    }
  }

  /** No more faults, and everything times out: then nothing may be left. */
  rest(): void {
    this.#quiet = true
    for (const { fragment } of this.logs) this.takeOver(fragment)
    this.leaders = this.leaders.filter(({ leads }) => leads)
    for (let n = 0; n < 400; n++) {
      this.settle()
      const next = Math.min(...this.leaders.map(({ core }) => core.timers.next))
      if (next === Number.POSITIVE_INFINITY) break
      this.elapse(Math.max(0, next - this.now))
    }
    this.#check()
  }

  #check(): void {
    for (const { core, log } of this.leaders) {
      const { sessions, locks } = core.state
      const left = { sessions: sessions.size, locks: locks.count, calls: core.calls.size, waiting: core.rounds.waiting }
      const leftText = JSON.stringify({ ...left, timers: core.timers.size })
      if (Object.values(left).some((n) => n > 0)) throw new Breach(`at rest fragment ${log.fragment} has ${leftText}`)
      // By replay and through a snapshot: a replica may come to it either way.
      const replica = throughSnapshot(log.replay())
      if (stateHash(replica) !== stateHash(core.state))
        throw new Breach(`a replica of fragment ${log.fragment} differs`)
    }
  }
}
