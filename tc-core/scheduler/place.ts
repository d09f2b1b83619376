// Where fragments go: pure decisions over the members and the placement as it is.
import type { Birth } from '../wire/lock-homes.ts'
import {
  FragmentsCreated,
  type Member,
  type Meta,
  type MetaEffect,
  NodeJoined,
  NodeLeft,
  NodeRole,
  Placed,
  ROLES,
  type Role,
  TablesParted
} from './meta.ts'

/** What a cluster is born with counts at its birth only. */
export interface PlacementRules extends Birth {
  /** Replicas of a fragment, or as many as there are nodes. */
  readonly replicas: number
}

/** What is to be logged at a cluster's birth. */
export function born({ fragments, lockParts }: Birth): MetaEffect[] {
  return [
    { type: FragmentsCreated.code, count: fragments },
    { type: TablesParted.code, parts: lockParts }
  ]
}

/**
 * What is to be logged when a node starts; empty when everything is so already.
 * @param learner it wants to be one: so it is when it is new, or was one before. A learner that starts without this is promoted.
 */
export function join(meta: Meta, member: Omit<Member, 'role'>, rules: PlacementRules, learner = false): MetaEffect[] {
  const { name, link, http } = member
  const effects: MetaEffect[] = []
  const known = meta.members.get(name)
  if (!known || known.link !== link || known.http !== http) effects.push({ type: NodeJoined.code, name, link, http })
  const before = known?.role ?? 'member'
  const role = learner ? (known?.role ?? 'learner') : before === 'learner' ? 'member' : before
  if (role !== before) effects.push({ type: NodeRole.code, name, role: ROLES.indexOf(role) })
  if (meta.fragments === 0) effects.push(...born(rules))
  return [...effects, ...placed(meta, members(meta, name, role), meta.fragments || rules.fragments, rules.replicas)]
}

/** What is to be logged when a node leaves for good. */
export function leave(meta: Meta, name: string, rules: PlacementRules): MetaEffect[] {
  if (!meta.members.has(name)) return []
  return [{ type: NodeLeft.code, name }, ...placed(meta, members(meta, name, null), meta.fragments, rules.replicas)]
}

/** What is to be logged when a node is to be something else. */
export function become(meta: Meta, name: string, role: Role, rules: PlacementRules): MetaEffect[] {
  if ((meta.members.get(name)?.role ?? role) === role) return []
  const effect = { type: NodeRole.code, name, role: ROLES.indexOf(role) } as const
  return [effect, ...placed(meta, members(meta, name, role), meta.fragments, rules.replicas)]
}

/** Who may lead when `name` has this role; null: when it is gone. */
function members(meta: Meta, name: string, role: Role | null): string[] {
  const names = meta.named('member')
  if (role !== 'member') return names.filter((other) => other !== name)
  return names.includes(name) ? names : [...names, name]
}

function placed(meta: Meta, names: readonly string[], fragments: number, replicas: number): MetaEffect[] {
  const before = Array.from({ length: fragments }, (_, fragment) => meta.candidatesOf(fragment))
  return place(before, names, replicas).flatMap((nodes, fragment) =>
    nodes.join() === before[fragment]!.join() ? [] : [{ type: Placed.code, fragment, nodes: nodes.join() } as const]
  )
}

/**
 * Replicas and leaders spread so that counts differ by at most one, moving as little as can be: who holds a replica keeps it unless it
 * has too many, and who leads goes on leading unless it leads too many.
 */
export function place(before: readonly (readonly string[])[], names: readonly string[], replicas: number): string[][] {
  const copies = Math.min(replicas, names.length)
  const sets = spread(
    before.map((nodes) => nodes.filter((name) => names.includes(name))),
    names,
    copies
  )
  return lead(sets, names)
}

function spread(kept: string[][], names: readonly string[], copies: number): string[][] {
  const sets = kept.map((nodes) => nodes.slice(0, copies))
  const load = new Map(names.map((name) => [name, 0]))
  for (const nodes of sets) for (const name of nodes) load.set(name, load.get(name)! + 1)
  const add = (name: string, n: number) => load.set(name, load.get(name)! + n)
  const lightest = (not: readonly string[]) =>
    best(
      names.filter((name) => !not.includes(name)),
      (name) => load.get(name)!
    )
  for (const nodes of sets) {
    while (nodes.length < copies) {
      const name = lightest(nodes)!
      nodes.push(name)
      add(name, 1)
    }
  }
  // One replica at a time from the fullest to the emptiest, for as long as that evens them out.
  for (;;) {
    const light = lightest([])
    const heavy = best(names, (name) => -load.get(name)!)
    if (light === undefined || heavy === undefined || load.get(heavy)! - load.get(light)! <= 1) return sets
    const set = sets.findLast((nodes) => nodes.includes(heavy) && !nodes.includes(light))!
    set[set.indexOf(heavy)] = light
    add(heavy, -1)
    add(light, 1)
  }
}

/**
 * Puts each fragment's leader first: the one before if it can be, and no node more than its share. Who leads too many may share no
 * fragment with who leads too few: then leadership moves along a chain of nodes that do.
 */
function lead(sets: string[][], names: readonly string[]): string[][] {
  for (;;) {
    const leads = new Map(names.map((name) => [name, sets.filter((nodes) => nodes[0] === name).length]))
    const byLoad = [...names].sort((a, b) => leads.get(b)! - leads.get(a)!)
    const chain = firstChain(sets, byLoad, leads)
    if (!chain) return sets
    for (const { nodes, to } of chain) {
      nodes.splice(nodes.indexOf(to), 1)
      nodes.unshift(to)
    }
  }
}

interface Move {
  readonly nodes: string[]
  readonly to: string
}

/** The shortest chain of moves from a node to one that leads at least two fragments fewer; the fullest nodes are tried first. */
function firstChain(sets: string[][], byLoad: readonly string[], leads: ReadonlyMap<string, number>): Move[] | null {
  for (const from of byLoad) {
    const reached = new Map<string, Move[]>([[from, []]])
    for (const [name, chain] of reached) {
      if (leads.get(name)! <= leads.get(from)! - 2) return chain
      for (const nodes of sets) {
        if (nodes[0] !== name) continue
        for (const to of nodes) if (!reached.has(to)) reached.set(to, [...chain, { nodes, to }])
      }
    }
  }
  return null
}

/** The first with the lowest score. */
function best(names: readonly string[], score: (name: string) => number): string | undefined {
  let found: string | undefined
  for (const name of names) if (found === undefined || score(name) < score(found)) found = name
  return found
}
