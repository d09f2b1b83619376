// The store: one map that every machine reaches over the network, and all that real engines were seen to do. Each call is carried out at
// one moment between being made and being answered; what a lane asks first is carried out first, unless its outcome is unknown.
import { crc32 } from 'node:zlib'
import { type Lane, type Storage, StorageError } from '../../tc-core/storage/port.ts'
import type { Random } from '../core/random.ts'
import type { Machine } from './machine.ts'
import type { Network } from './network.ts'
import type { Event, Time } from './time.ts'

/** Its address in the network, for partitions. */
export const KV_HOST = 'kv'
/** Ms after which an engine gives up a call that is not answered. */
const CALL_MS = 400

/** How likely a call is to go wrong. */
export interface KvWeather {
  /** An error, and the call was not carried out. */
  lost: number
  /** An error, and it was. */
  applied: number
  /** An error, and it will be, some time later. */
  late: number
  /** Ms that a write takes beyond the usual. */
  slow: number
  /** Nobody answers. */
  silent: boolean
}

export const FAIR: KvWeather = { lost: 0.0005, applied: 0.0005, late: 0.0005, slow: 0, silent: false }

interface Call {
  readonly machine: Machine
  readonly lane: Queue
  readonly isWrite: boolean
  readonly effect: () => unknown
  resolve(value: unknown): void
  reject(error: Error): void
  /** Should its machine fall asleep, it stays there until it wakes. */
  readonly stuck: boolean
  arrived: boolean
  /** Its caller's patience. */
  patience: Event
  /** The caller was told that it does not know. */
  over: boolean
}

/** What one lane has asked and the store has not carried out, in order. */
interface Queue {
  readonly calls: Call[]
  lastArrival: number
  lastAnswer: number
}

export class Kv {
  readonly values = new Map<string, Buffer>()
  readonly deleted = new Map<string, Buffer>()
  /** Keys that came back: nobody owes their deletion. */
  readonly returned = new Set<string>()
  weather: KvWeather = FAIR
  readonly #time: Time
  readonly #network: Network
  readonly #random: Random
  readonly #linearizable: boolean
  /** Told of every value that takes a place for the first time. */
  readonly #first: (key: string, value: Buffer) => void
  readonly #ever = new Set<string>()
  /** Told of every call before it leaves. */
  onCall: (machine: Machine, kind: keyof Lane, key: string) => void = () => {}
  /** Told when a value takes the place of one that was deleted. */
  onGhost: (key: string) => void = () => {}
  calls = 0
  errors = 0

  constructor(network: Network, random: Random, linearizable: boolean, first: (key: string, value: Buffer) => void) {
    this.#time = network.time
    this.#network = network
    this.#random = random
    this.#linearizable = linearizable
    this.#first = first
  }

  /** Everything that was deleted under this prefix comes back, but for what was written there since. */
  bringBack(prefix: string): void {
    for (const [key, value] of this.deleted) {
      if (key.startsWith(prefix)) this.#return(key, value)
    }
  }

  /** Deleted keys come back. */
  resurrect(count: number): void {
    const keys = [...this.deleted.keys()]
    for (let n = 0; n < count && keys.length > 0; n++) {
      const key = keys[keys.length - 1 - this.#random.below(Math.min(keys.length, 40))]!
      this.#return(key, this.deleted.get(key)!)
    }
  }

  #return(key: string, value: Buffer): void {
    if (this.values.has(key)) return
    this.values.set(key, value)
    this.returned.add(key)
  }

  storage(machine: Machine): Storage {
    return {
      url: 'sim:',
      linearizableReads: this.#linearizable,
      lane: () => this.#lane(machine),
      close: async () => {}
    }
  }

  #lane(machine: Machine): Lane {
    const queue: Queue = { calls: [], lastArrival: 0, lastAnswer: 0 }
    const { values, deleted } = this
    const call = <T>(kind: keyof Lane, key: string, effect: () => T) => {
      const made = this.#call(machine, queue, kind, key, effect)
      this.onCall(machine, kind, key)
      return made
    }
    return {
      setIfAbsent: (key, value) => {
        const copy = Buffer.from(value)
        return call('setIfAbsent', key, () => {
          if (values.has(key)) return false
          values.set(key, copy)
          if (deleted.has(key)) this.onGhost(key)
          if (!this.#ever.has(key)) {
            this.#ever.add(key)
            this.#first(key, copy)
          }
          return true
        })
      },
      get: (key) => call('get', key, () => values.get(key) ?? null),
      getMany: (keys) => call('getMany', keys[0] ?? '', () => keys.map((key) => values.get(key) ?? null)),
      set: (key, value) => {
        const copy = Buffer.from(value)
        return call('set', key, () => void values.set(key, copy))
      },
      delete: (keys) => {
        const names = [...keys]
        // A deletion can stop anywhere, and nobody is told where.
        const upTo = this.#random.next() < 0.9 ? names.length : this.#random.below(names.length + 1)
        return call('delete', names[0] ?? '', () => {
          for (const key of names.slice(0, upTo)) {
            const value = values.get(key)
            if (value) deleted.set(key, value)
            values.delete(key)
          }
          if (upTo < names.length) throw new StorageError('some are deleted')
        })
      }
    }
  }

  #call<T>(machine: Machine, lane: Queue, kind: keyof Lane, key: string, effect: () => T): Promise<T> {
    this.calls++
    this.#time.mix(crc32(key))
    return new Promise<T>((resolve, reject) => {
      const patience = this.#time.after(CALL_MS, () => this.#giveUp(call))
      const call: Call = {
        machine,
        lane,
        isWrite: kind !== 'get' && kind !== 'getMany',
        effect,
        stuck: this.#random.next() < 0.6,
        arrived: false,
        patience,
        over: false,
        resolve: resolve as Call['resolve'],
        reject
      }
      lane.calls.push(call)
      this.#travel(call)
    })
  }

  #travel(call: Call): void {
    const { lane, machine } = call
    const ms = this.#network.delay(machine.host, KV_HOST)
    // It waits in the socket until the way is free, or the caller gives up.
    if (ms === Number.POSITIVE_INFINITY || this.weather.silent) {
      this.#time.after(20, () => call.over || this.#travel(call))
      return
    }
    const work = call.isWrite ? 0.3 + this.#random.next() * 0.7 + this.#random.next() * this.weather.slow : 0.05
    lane.lastArrival = Math.max(lane.lastArrival, this.#time.now + ms + work)
    this.#time.at(lane.lastArrival, () => this.#arrive(call))
  }

  #arrive(call: Call): void {
    const { machine } = call
    // What a process had not got rid of when it fell asleep is sent when it wakes; what a dead one had, perhaps never.
    if (machine.asleep && call.stuck) {
      this.#time.after(20, () => this.#arrive(call))
      return
    }
    call.arrived = true
    const { calls } = call.lane
    while (calls[0]?.arrived) this.#carryOut(calls.shift()!)
  }

  #carryOut(call: Call): void {
    if (call.over) return
    const chance = this.#random.next()
    const { lost, applied, late } = this.weather
    if (!call.machine.alive && this.#random.next() < 0.5) return
    call.patience.run = null
    if (chance < lost) return this.#fail(call, 'lost')
    if (chance < lost + late && call.isWrite) {
      this.#time.after(this.#random.below(this.#random.next() < 0.5 ? 100 : 3_000), () => this.#quietly(call))
      return this.#fail(call, 'unknown')
    }
    let result: unknown
    try {
      result = call.effect()
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      return this.#fail(call, error.message)
    }
    if (chance < lost + late + applied) return this.#fail(call, 'done, but unknown')
    call.over = true
    this.#answer(call, () => call.resolve(result))
  }

  #quietly(call: Call): void {
    try {
      call.effect()
    } catch (error) {
      // Nobody is left to be told.
      if (!(error instanceof StorageError)) throw error
    }
  }

  #fail(call: Call, text: string): void {
    this.errors++
    call.over = true
    this.#answer(call, () => call.reject(new StorageError(`injected: ${text}`)))
  }

  #answer(call: Call, then: () => void): void {
    const { machine, lane, reject } = call
    const ms = this.#network.delay(KV_HOST, machine.host)
    const isCut = ms === Number.POSITIVE_INFINITY
    // The answer is lost on a way that is cut: the engine sees a broken connection.
    lane.lastAnswer = Math.max(lane.lastAnswer, this.#time.now + (isCut ? CALL_MS : ms))
    this.#time.at(lane.lastAnswer, () => machine.enter(isCut ? () => reject(new StorageError('no answer')) : then))
  }

  /** No answer for too long: the caller does not know, and the call may still be carried out. */
  #giveUp(call: Call): void {
    if (call.over) return
    // Who sleeps loses no patience.
    if (call.machine.asleep) {
      call.patience = this.#time.after(100, () => this.#giveUp(call))
      return
    }
    call.over = true
    const { calls } = call.lane
    const place = calls.indexOf(call)
    if (place >= 0) calls.splice(place, 1)
    this.errors++
    if (call.isWrite && this.#random.next() < 0.5) {
      this.#time.after(this.#random.below(2_000), () => this.#quietly(call))
    }
    call.machine.enter(() => call.reject(new StorageError('no answer')))
    while (calls[0]?.arrived) this.#carryOut(calls.shift()!)
  }
}

/** A store whose keys of one prefix nobody is answered for: a Raft group without its quorum, beside others that have theirs. */
export class BlockedKv extends Kv {
  /** Empty: none. */
  blocked = ''

  override storage(machine: Machine): Storage {
    const storage = super.storage(machine)
    const through = <T>(key: string, call: () => Promise<T>): Promise<T> =>
      this.blocked !== '' && key.startsWith(this.blocked) ? silence(machine) : call()
    return {
      ...storage,
      lane: (name) => {
        const lane = storage.lane(name)
        return {
          setIfAbsent: (key, value) => through(key, () => lane.setIfAbsent(key, value)),
          get: (key) => through(key, () => lane.get(key)),
          getMany: (keys) => through(keys[0] ?? '', () => lane.getMany(keys)),
          set: (key, value) => through(key, () => lane.set(key, value)),
          delete: (keys) => through(keys[0] ?? '', () => lane.delete(keys))
        }
      }
    }
  }
}

async function silence(machine: Machine): Promise<never> {
  await machine.sleep(CALL_MS)
  throw new StorageError('no answer')
}
