// A node is cut off from others, from the store, or from both, and the way is mended: what it led goes to another node once and comes back
// once. Nobody takes the lead from anybody twice.
import test from 'ava'
import { KV_HOST } from './kv.ts'
import { Steady } from './steady.ts'

const FRAGMENTS = 6
const LOOK_MS = 5
/** After the way is mended. */
const WATCHED_MS = 3_000

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
