// What goes wrong in a run, drawn from its seed: each fault begins at some time, lasts, and ends.

import type { ClusterNode } from '../../tc-core/host/cluster-node.ts'
import type { Random } from '../core/random.ts'
import type { Cluster, Slot } from './cluster.ts'
import { FAIR, KV_HOST, type Kv } from './kv.ts'
import type { Network } from './network.ts'
import type { Time } from './time.ts'
import type { App } from './workload.ts'

export interface Stage {
  readonly time: Time
  readonly network: Network
  readonly kv: Kv
  readonly cluster: Cluster
  readonly apps: readonly App[]
  readonly random: Random
  trace(text: string): void
}

/** Begins the fault for so many ms; returns what it is called and what ends it. */
type Fault = (stage: Stage, ms: number) => { text: string; end?: () => void }

type AnySlot = Slot<unknown>
type Node = Slot<ClusterNode>

function crash(slot: AnySlot, dark: boolean): { text: string; end: () => void } {
  slot.kill(dark)
  return { text: `${slot.name} ${dark ? 'loses power' : 'is killed'}`, end: () => slot.start() }
}

function pause(slot: AnySlot): { text: string; end: () => void } {
  const { machine } = slot
  if (machine.asleep) return { text: `${slot.name} sleeps already`, end: () => {} }
  machine.sleeps()
  return { text: `${slot.name} falls asleep`, end: () => machine.wakes() }
}

function cutBetween(stage: Stage, ways: readonly (readonly [string, string])[], text: string) {
  for (const [from, to] of ways) stage.network.cut(from, to)
  return {
    text,
    end: () => {
      for (const [from, to] of ways) stage.network.mend(from, to)
    }
  }
}

function hosts({ cluster }: Stage): string[] {
  return [...cluster.nodes.map(({ host }) => host), ...cluster.gateways.map(({ host }) => host), KV_HOST]
}

/** Both ways between two hosts. */
function both(a: string, b: string): [string, string][] {
  return [
    [a, b],
    [b, a]
  ]
}

/** Two hosts that talk to each other. */
function pair(stage: Stage): [string, string] {
  const { random, cluster } = stage
  const node = random.pick(cluster.nodes).host
  const others = hosts(stage).filter((host) => host !== node)
  return [node, random.pick(others)]
}

function leader(stage: Stage): AnySlot {
  const { cluster, random } = stage
  return cluster.leaderOf(random.below(cluster.options.fragments))
}

/** Waits for a call that fits, within `ms`; `then` is done to its machine just after it was made. */
function trap(
  stage: Stage,
  fits: (kind: string, key: string, slot: Slot<ClusterNode>) => boolean,
  then: (slot: AnySlot) => void
): () => void {
  const { kv, cluster, time } = stage
  let sprung = false
  const before = kv.onCall
  kv.onCall = (machine, kind, key) => {
    before(machine, kind, key)
    const slot = cluster.nodes.find((node) => node.machine === machine)
    if (sprung || !slot || machine.asleep || !fits(kind, key, slot)) return
    sprung = true
    time.after(0, () => then(slot))
  }
  return () => {
    sprung = true
  }
}

function endAll(...ends: readonly (() => void)[]): void {
  for (const end of ends) end()
}

const isEntry = (kind: string, key: string) => kind === 'setIfAbsent' && key.includes(':e:') && !key.includes('meta')
const isSnapshot = (kind: string, key: string) =>
  (kind === 'set' && key.includes(':c:')) || (kind !== 'get' && key.includes(':s:')) || kind === 'delete'

/** Once, when a value takes the place of a deleted one, all that was deleted in that log comes back. Returns what calls it off. */
function haunt({ kv, trace }: Stage): () => void {
  const off = () => {
    kv.onGhost = () => {}
  }
  kv.onGhost = (key) => {
    if (!key.includes(':e:')) return
    off()
    trace(`trap: ${key} is written anew, and what was deleted around it is back`)
    kv.bringBack(key.slice(0, key.indexOf('}') + 3))
  }
  return off
}

export const FAULTS: Readonly<Record<string, Fault>> = {
  crash: (stage) => crash(stage.random.pick(stage.cluster.nodes), false),
  crashLeader: (stage) => crash(leader(stage), false),
  powerLoss: (stage) => crash(leader(stage), true),
  gatewayCrash: (stage) => crash(stage.random.pick(stage.cluster.gateways), stage.random.next() < 0.3),
  pause: (stage) => pause(leader(stage)),
  gatewayPause: (stage) => pause(stage.random.pick(stage.cluster.gateways)),
  // A leader that sleeps with a write on its way: others take over, write on and trim, and then it wakes.
  longPause: (stage, ms) => {
    const { random, time } = stage
    const off = trap(stage, isEntry, (slot) => {
      const fault = pause(slot)
      const at = time.now + 1_200 + random.below(2_000)
      stage.trace(`trap: ${fault.text}`)
      time.at(at, fault.end)
    })
    return { text: `who writes next falls asleep (${ms})`, end: off }
  },
  // A leader that is silent for a while; who wants its place falls asleep with the claim on its way, and the leader goes on as if nothing was.
  sleepyClaim: (stage) => {
    const { random, time, cluster } = stage
    const silent = leader(stage)
    const back = pause(silent)
    const isClaim = (slot: Slot<ClusterNode>, key: string) =>
      slot.process?.fragment(Number(/:(\d+)\}:e:/.exec(key)?.[1]))?.role === 'candidate'
    const fits = (kind: string, key: string, slot: Slot<ClusterNode>) => isEntry(kind, key) && isClaim(slot, key)
    const off = trap(stage, fits, (slot) => {
      back.end()
      const fault = pause(slot)
      stage.trace(`trap: ${fault.text}, with a claim`)
      if (random.next() < 0.7) haunt(stage)
      time.after(1_200 + random.below(2_000), fault.end)
      // Who else might claim does so as well, and is kept from it.
      for (const other of cluster.nodes) {
        if (other === slot || other === silent || other.machine.asleep || random.next() < 0.5) continue
        const too = pause(other)
        time.after(200 + random.below(2_500), too.end)
      }
    })
    return { text: `${back.text}, and so will who claims its place`, end: () => endAll(off, back.end) }
  },
  // While a leader sleeps another serves, of whom it hears nothing; a third starts anew, and knows only the old leader's word. The old one
  // wakes, and cannot look into the log.
  lonelyHeir: (stage) => {
    const { random, time, cluster } = stage
    const fragment = random.below(cluster.options.fragments)
    const old = cluster.leaderOf(fragment)
    const others = cluster.nodes.filter((slot) => slot !== old)
    const sleeper = pause(old)
    const cuts = new Map(others.map((other) => [other, cutBetween(stage, both(old.host, other.host), '').end]))
    const ends = [sleeper.end]
    const look = () => {
      if (!old.machine.asleep) return
      const heir = others.find((slot) => slot.process?.fragment(fragment)?.role === 'leader')
      if (!heir) return void time.after(40, look)
      const third = others.find((slot) => slot !== heir)
      if (third) time.after(100 + random.below(500), () => alone(heir, third))
    }
    const alone = (heir: Node, third: Node) => {
      if (!old.machine.asleep) return
      cuts.get(third)!()
      cuts.delete(third)
      const ways = [...both(heir.host, third.host), ...both(old.host, KV_HOST)]
      ends.push(cutBetween(stage, ways, '').end)
      stage.trace(`trap: ${third.name} starts anew, away from ${heir.name}`)
      third.kill(false)
      time.after(30, () => third.start())
      time.after(150 + random.below(500), sleeper.end)
    }
    time.after(40, look)
    return { text: `${sleeper.text}, and hears of no other node`, end: () => endAll(...ends, ...cuts.values()) }
  },
  // A store that loses deletions just when a late write has taken a deleted key's place.
  ghosts: (stage) => ({ text: 'the next late write meets a store that loses deletions', end: haunt(stage) }),
  snapshotCrash: (stage, ms) => {
    let starts = () => {}
    const off = trap(stage, isSnapshot, (slot) => {
      const fault = crash(slot, false)
      stage.trace(`trap: ${fault.text}`)
      stage.time.after(ms, fault.end)
      starts = fault.end
    })
    return { text: 'who writes a snapshot next is killed', end: () => endAll(off, starts) }
  },
  restart: (stage, ms) => {
    const slot = stage.random.pick(stage.cluster.nodes)
    const node = slot.process
    const { machine } = slot
    if (node) machine.enter(() => void node.stop(500).then(() => machine === slot.machine && slot.kill(false)))
    return {
      text: `${slot.name} is stopped in order (${ms})`,
      end: () =>
        endAll(
          () => slot.kill(false),
          () => slot.start()
        )
    }
  },
  partition: (stage) => {
    const all = hosts(stage)
    const side = all.filter(() => stage.random.next() < 0.5)
    const ways = side.flatMap((a) =>
      all
        .filter((b) => !side.includes(b))
        .flatMap(
          (b) =>
            [
              [a, b],
              [b, a]
            ] as const
        )
    )
    return cutBetween(stage, ways, `${side.join(' ')} are cut off from all others`)
  },
  oneWay: (stage) => {
    const [a, b] = pair(stage)
    const way = stage.random.next() < 0.5 ? ([a, b] as const) : ([b, a] as const)
    return cutBetween(stage, [way], `nothing comes from ${way[0]} to ${way[1]}`)
  },
  partial: (stage) => {
    const [a, b] = pair(stage)
    return cutBetween(
      stage,
      [
        [a, b],
        [b, a]
      ],
      `${a} and ${b} are cut off from each other`
    )
  },
  // To who dials, it looks as if the other's process were gone; the other lives, and reaches the store.
  wall: (stage) => {
    const { cluster, network, random } = stage
    const node = random.pick(cluster.nodes).host
    const other = random.pick(hosts(stage).filter((host) => host !== node && host !== KV_HOST))
    const way: [string, string] = random.next() < 0.5 ? [node, other] : [other, node]
    const ways = random.next() < 0.5 ? both(node, other) : [way]
    for (const [from, to] of ways) network.refuse(from, to)
    return {
      text: `connections are refused ${ways.map(([from, to]) => `from ${from} to ${to}`).join(' and ')}`,
      end: () => {
        for (const [from, to] of ways) network.allow(from, to)
      }
    }
  },
  kvSilent: ({ kv }) => {
    kv.weather = { ...kv.weather, silent: true }
    return { text: 'the store does not answer', end: () => void (kv.weather = { ...kv.weather, silent: false }) }
  },
  kvErrors: ({ kv }) => {
    kv.weather = { ...kv.weather, lost: 0.1, applied: 0.1, late: 0.1 }
    return { text: 'the store fails', end: () => void (kv.weather = { ...kv.weather, ...without(FAIR) }) }
  },
  kvSlow: ({ kv, random }) => {
    kv.weather = { ...kv.weather, slow: 10 + random.below(200) }
    return {
      text: `the store takes up to ${kv.weather.slow} ms`,
      end: () => void (kv.weather = { ...kv.weather, slow: 0 })
    }
  },
  resurrection: ({ kv, random }) => {
    kv.resurrect(1 + random.below(20))
    return { text: 'deleted keys are back' }
  },
  clockLeap: ({ cluster, random }) => {
    const { machine, name } = random.pick(cluster.nodes)
    const ms = random.below(random.next() < 0.5 ? 500 : 5_000)
    machine.leap(ms)
    return { text: `the clock of ${name} leaps by ${ms} ms` }
  },
  reset: ({ network, random }) => {
    const ends = [...network.streams]
    for (let n = 1 + random.below(4); n > 0 && ends.length > 0; n--) network.reset(random.pick(ends))
    return { text: 'connections break' }
  },
  slowWay: (stage) => {
    const [a, b] = pair(stage)
    const ms = 20 + stage.random.below(600)
    stage.network.slow(a, b, ms)
    return { text: `from ${a} to ${b} it takes up to ${ms} ms`, end: () => stage.network.slow(a, b, 0) }
  },
  clientMoves: ({ apps, random }) => {
    const app = random.pick(apps)
    app.connection.leave()
    return { text: `${app.name} goes to another gateway` }
  },
  leaderStorm: (stage, ms) => {
    const { time } = stage
    const slots = new Set<AnySlot>()
    for (let at = 0; at < ms; at += 150 + stage.random.below(300)) {
      time.after(at, () => {
        const slot = leader(stage)
        slots.add(slot)
        slot.kill(false)
        time.after(60 + stage.random.below(300), () => slot.start())
      })
    }
    return {
      text: 'leaders die one after the other',
      end: () => {
        for (const slot of slots) slot.start()
      }
    }
  }
}

function without({ lost, applied, late }: typeof FAIR) {
  return { lost, applied, late }
}

const LONG: readonly string[] = ['longPause', 'sleepyClaim', 'lonelyHeir']

/** Some runs see few kinds of faults again and again, others see all. */
function kindsOf(random: Random): readonly string[] {
  const names = Object.keys(FAULTS)
  const kinds = random.next() < 0.5 ? names : names.filter(() => random.next() < 0.3)
  return kinds.length > 0 ? kinds : names
}

/**
 * Draws faults, of these kinds or of any, and lets them happen from `from` to `to`, ms; returns how many of each. Whatever began has ended
 * at `to`.
 */
export function schedule(
  stage: Stage,
  from: number,
  to: number,
  kinds: readonly string[] = kindsOf(stage.random)
): Map<string, number> {
  const { random, time } = stage
  const drawn = new Map<string, number>()
  const count = 2 + random.below(9)
  for (let n = 0; n < count; n++) {
    const name = random.pick(kinds)
    // What takes its time has to begin in time.
    const long = LONG.includes(name)
    const at = from + random.next() * (to - from) * (long ? 0.4 : 0.85)
    const ms = Math.min(long ? 3_000 : 20 + random.below(random.next() < 0.5 ? 400 : 2_500), to - at - 1)
    drawn.set(name, (drawn.get(name) ?? 0) + 1)
    time.at(at, () => {
      const { text, end } = FAULTS[name]!(stage, ms)
      stage.trace(`fault: ${text}`)
      if (!end) return
      time.after(ms, () => {
        stage.trace(`end of fault: ${text}`)
        end()
      })
    })
  }
  return drawn
}
