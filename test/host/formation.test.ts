// How a cluster comes about: in any order, with any number of fragments, and with log lines that tell what happened.
import { readFileSync } from 'node:fs'
import test from 'ava'
import { Load, TestCluster } from './cluster.ts'
import { eventually } from './harness.ts'

/** Connections to a port of this machine that are open, as the kernel has them: seen from the side that dialled. */
function connectionsTo(port: number): number {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const lines = readFileSync('/proc/self/net/tcp', 'utf8').split('\n').slice(1)
  return lines.filter((line) => {
    const [, , remote, state] = line.trim().split(/\s+/)
    return remote?.endsWith(`:${hex}`) && state === '01'
  }).length
}

for (const order of [
  ['n1', 'n2', 'n3'],
  ['n3', 'n1', 'n2'],
  ['n2', 'n3', 'n1']
]) {
  test.serial(
    `R18: three nodes that start at the same time, ${order.join()}: every fragment is led soon, and the log tells how`,
    async (t) => {
      const cluster = new TestCluster(t, { fragments: 4, lockParts: 1, replicas: 3 })
      const at = performance.now()
      await Promise.all(order.map((name) => cluster.node(name, { snapshots: { records: 20 } })))
      await cluster.led()
      const ms = performance.now() - at
      t.true(ms < 5_000, `${ms} ms`)
      await cluster.settled()
      const { client } = await cluster.gateway()
      const c = await client()
      await c.registerRM('db')
      const load = new Load(t, c, 4)
      const lines = (text: string) =>
        cluster.log.lines.filter((line) => line.text === text).map(({ fields }) => fields!)
      await eventually(() => lines('snapshot saved, log trimmed').length > 0, 'a snapshot')
      await load.stop()
      for (const text of ['leads the fragment', 'follows the fragment']) {
        t.true(lines(text).length >= 4, text)
        for (const { fragment, term, index } of lines(text)) {
          for (const value of [fragment, term, index]) t.is(typeof value, 'number', text)
        }
      }
      for (const { fragment, index } of lines('snapshot saved, log trimmed')) t.true(fragment >= 0 && index > 0)
      t.deepEqual([...lines('the cluster has changed').at(-1)!.members].sort(), ['n1', 'n2', 'n3'])
    }
  )
}

for (const fragments of [3, 16, 64]) {
  test.serial(
    `M1: ${fragments} fragments on three nodes: each has a leader, leads are even, and two nodes share one link a direction`,
    async (t) => {
      const cluster = new TestCluster(t, { fragments, lockParts: 1, replicas: 3 })
      for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
      await cluster.settled()
      t.is(
        cluster.shares.reduce((sum, share) => sum + share),
        fragments
      )
      for (const node of cluster.nodes.values()) {
        t.is(node.health.fragments.length, fragments)
        const { link } = node.health.members.find(({ name }) => name === node.health.name)!
        t.is(connectionsTo(Number(link.split(':')[1])), 2)
      }
    }
  )
}
