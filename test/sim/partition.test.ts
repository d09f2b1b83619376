// A node is cut off from others, from the store, or from both, and the way is mended: what it led goes to another node once and comes back
// once. Nobody takes the lead from anybody twice.
import test from 'ava'
import { KV_HOST } from './kv.ts'
import { Steady } from './steady.ts'

const FRAGMENTS = 6
const LOOK_MS = 5
/** After the way is mended. */
const WATCHED_MS = 3_000
/** Longer than a node watches in the store who refuses its connections. */
const REFUSED_MS = 8_000

/** From which hosts the first node is cut off: the nodes behind it, the gateways, the store. */
const CUTS: Readonly<Record<string, (nodes: readonly string[], gateways: readonly string[]) => readonly string[]>> = {
  everybody: (nodes, gateways) => [...nodes, ...gateways, KV_HOST],
  'all nodes': (nodes) => nodes,
  'one node': (nodes) => nodes.slice(0, 1),
  'the store': () => [KV_HOST],
  'the store and one node': (nodes) => [...nodes.slice(0, 1), KV_HOST]
}

for (const [from, cut] of Object.entries(CUTS)) {
  for (const direction of ['both directions', 'one direction']) {
    test(`T11, R12: a node is cut off from ${from} in ${direction}: its leads go once and come back once`, async (t) => {
      for (const [i, ms] of [600, 800, 1_500, 4_000].entries()) {
        const steady = new Steady(i + 1, FRAGMENTS)
        await steady.settled()
        const { network, nodes, gateways } = steady.cluster
        const [me, ...others] = nodes.map(({ host }) => host)
        const far = cut(
          others,
          gateways.map(({ host }) => host)
        )
        const ways = far.flatMap((host) =>
          direction === 'both directions'
            ? [
                [me!, host],
                [host, me!]
              ]
            : [[host, me!]]
        )
        const home = steady.leaders
        for (const [a, b] of ways) network.cut(a!, b!)
        const gone = await moves(steady, ms)
        const hosts = home.map((_, fragment) => nodes[0]!.process!.fragment(fragment)!)
        if (far.includes(KV_HOST) && ms === 4_000) {
          t.false(
            hosts.some(({ serving }) => serving),
            'without the store it serves nobody'
          )
          const heard = far.length === 1
          if (heard)
            t.false(
              hosts.some(({ role }) => role === 'leader'),
              'and leads nothing once another says that it does'
            )
        }
        for (const [a, b] of ways) network.mend(a!, b!)
        const back = await moves(steady, WATCHED_MS)
        t.deepEqual(steady.leaders, home, `after ${ms} ms`)
        for (let fragment = 0; fragment < FRAGMENTS; fragment++) {
          const path = [...gone[fragment]!, ...back[fragment]!]
          const most = home[fragment] === nodes[0]!.name ? 2 : 0
          t.true(path.length <= most, `after ${ms} ms fragment ${fragment} of ${home[fragment]} went to ${path}`)
        }
      }
    })
  }
}

// A wall that refuses looks like a process that is gone; the store, which both reach, tells that it is not.
for (const direction of ['both directions', 'one direction']) {
  test(`R12: two nodes' connections are refused in ${direction}: no lead goes more than once and comes back once, and clients notice nothing`, async (t) => {
    for (const seed of [1, 4, 10, 12]) {
      const steady = new Steady(seed, FRAGMENTS)
      await steady.settled()
      steady.load()
      const { network, nodes } = steady.cluster
      const [a, b] = nodes.map(({ host }) => host) as [string, string]
      const ways: [string, string][] = [[a, b]]
      if (direction === 'both directions') ways.push([b, a])
      const home = steady.leaders
      for (const [from, to] of ways) network.refuse(from, to)
      const gone = await moves(steady, REFUSED_MS)
      t.true(gone.some((path) => path.length > 0))
      for (const [from, to] of ways) network.allow(from, to)
      const back = await moves(steady, WATCHED_MS)
      t.deepEqual(steady.leaders, home, `seed ${seed}`)
      for (const [fragment, path] of gone.entries())
        t.true(
          path.length + back[fragment]!.length <= 2,
          `seed ${seed}, fragment ${fragment}: ${path}; ${back[fragment]}`
        )
      t.deepEqual(steady.failures, [])
    }
  })
}

/** For each fragment the nodes that it went to meanwhile. */
async function moves(steady: Steady, ms: number): Promise<string[][]> {
  const paths: string[][] = Array.from({ length: FRAGMENTS }, () => [])
  const last = steady.leaders
  for (const until = steady.time.now + ms; steady.time.now < until; await steady.pass(LOOK_MS)) {
    for (const [fragment, leader] of steady.leaders.entries()) {
      if (leader === undefined || leader === last[fragment]) continue
      last[fragment] = leader
      paths[fragment]!.push(leader)
    }
  }
  return paths
}
