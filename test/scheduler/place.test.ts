// Placement: every fragment has its replicas on different nodes, counts are even, and nothing moves that need not.
import test from 'ava'
import fc from 'fast-check'
import { Meta, type MetaEffect, readMeta, writeMeta } from '../../tc-core/scheduler/meta.ts'
import { become, join, leave, place } from '../../tc-core/scheduler/place.ts'
import { Writer } from '../../tc-core/wire/bytes.ts'

const rules = { fragments: 8, lockParts: 1, replicas: 3 }
const member = (name: string) => ({ name, link: `${name}:9091`, http: `${name}:7191` })

/** Through the bytes, as the log does it. */
function apply(meta: Meta, effects: readonly MetaEffect[]): void {
  const w = new Writer(16)
  writeMeta(w, effects)
  readMeta(w.written, (effect) => meta.apply(effect))
}

function counts(placement: readonly (readonly string[])[], names: readonly string[]) {
  const replicas = names.map((name) => placement.filter((nodes) => nodes.includes(name)).length)
  const leads = names.map((name) => placement.filter((nodes) => nodes[0] === name).length)
  const spread = (list: number[]) => Math.max(...list) - Math.min(...list)
  return { replicas: spread(replicas), leads: spread(leads) }
}

function moved(before: readonly (readonly string[])[], after: readonly (readonly string[])[]): number {
  return after.flatMap((nodes, i) => nodes.filter((name) => !(before[i] ?? []).includes(name))).length
}

test('the first node creates the fragments and leads them all; the second and third take their share', (t) => {
  const meta = new Meta()
  apply(meta, join(meta, member('n1'), rules))
  t.is(meta.fragments, 8)
  t.deepEqual(meta.nodesOf(7), ['n1'])
  apply(meta, join(meta, member('n2'), rules))
  apply(meta, join(meta, member('n3'), rules))
  const placement = Array.from({ length: 8 }, (_, f) => meta.nodesOf(f))
  t.true(placement.every((nodes) => nodes.length === 3))
  t.is(counts(placement, ['n1', 'n2', 'n3']).leads, 1)
})

test('who starts again with the same addresses changes nothing, with others only these', (t) => {
  const meta = new Meta()
  for (const name of ['n1', 'n2']) apply(meta, join(meta, member(name), rules))
  t.deepEqual(join(meta, member('n2'), rules), [])
  const effects = join(meta, { ...member('n2'), link: 'elsewhere:1' }, rules)
  t.is(effects.length, 1)
  apply(meta, effects)
  t.is(meta.members.get('n2')!.link, 'elsewhere:1')
})

test('other wishes for the number of fragments do not change a cluster that exists', (t) => {
  const meta = new Meta()
  apply(meta, join(meta, member('n1'), rules))
  apply(meta, join(meta, member('n2'), { ...rules, fragments: 64 }))
  t.is(meta.fragments, 8)
})

test('four fragments on three nodes: a fourth node takes three replicas of the twelve', (t) => {
  let before = place([[], [], [], []], ['a'], 3)
  for (const names of [
    ['a', 'b'],
    ['a', 'b', 'c']
  ])
    before = place(before, names, 3)
  const after = place(before, ['a', 'b', 'c', 'd'], 3)
  t.is(moved(before, after), 3)
  t.deepEqual(counts(after, ['a', 'b', 'c', 'd']), { replicas: 0, leads: 0 })
})

test('a node that leaves gives its replicas to the others', (t) => {
  const meta = new Meta()
  for (const name of ['a', 'b', 'c', 'd']) apply(meta, join(meta, member(name), rules))
  apply(meta, leave(meta, 'b', rules))
  const placement = Array.from({ length: 8 }, (_, f) => meta.nodesOf(f))
  t.true(placement.every((nodes) => nodes.length === 3 && !nodes.includes('b')))
  t.deepEqual(leave(meta, 'b', rules), [])
})

test('M3: a learner follows every fragment beside its replicas and is first in none; promoted, it takes its share', (t) => {
  const meta = new Meta()
  for (const name of ['a', 'b', 'c']) apply(meta, join(meta, member(name), rules))
  const before = [...meta.placement]
  apply(meta, join(meta, member('l'), rules, true))
  t.deepEqual([...meta.placement], before, 'nothing moves for a learner')
  t.is(meta.members.get('l')!.role, 'learner')
  for (let f = 0; f < 8; f++) {
    t.deepEqual(meta.nodesOf(f), [...meta.candidatesOf(f), 'l'])
    t.false(meta.candidatesOf(f).includes('l'))
  }
  t.deepEqual(join(meta, member('l'), rules, true), [], 'the same again changes nothing')
  apply(meta, become(meta, 'l', 'member', rules))
  const placement = Array.from({ length: 8 }, (_, f) => meta.candidatesOf(f))
  t.deepEqual(counts(placement, ['a', 'b', 'c', 'l']), { replicas: 0, leads: 0 })
  t.deepEqual(join(meta, member('l'), rules, true), [], 'who is promoted stays so')
})

test('M3: a learner that starts without wishing to be one is promoted, and learners alone hold nothing', (t) => {
  const meta = new Meta()
  apply(meta, join(meta, member('l'), rules, true))
  t.is(meta.fragments, 8)
  for (let f = 0; f < 8; f++) t.deepEqual([meta.candidatesOf(f), meta.nodesOf(f)], [[], ['l']])
  apply(meta, join(meta, member('l'), rules))
  for (let f = 0; f < 8; f++) t.deepEqual([meta.candidatesOf(f), meta.nodesOf(f)], [['l'], ['l']])
})

test('a node that drains holds nothing and gets nothing, also when others come and when it starts again', (t) => {
  const meta = new Meta()
  for (const name of ['a', 'b', 'c']) apply(meta, join(meta, member(name), rules))
  apply(meta, become(meta, 'b', 'draining', rules))
  const holdsNothing = () => t.true([...meta.placement.values()].every((nodes) => !nodes.includes('b')))
  holdsNothing()
  t.deepEqual(meta.nodesOf(0).length, 2)
  t.deepEqual(become(meta, 'b', 'draining', rules), [])
  apply(meta, join(meta, member('d'), rules))
  apply(meta, join(meta, { ...member('b'), link: 'b:1' }, rules))
  holdsNothing()
  t.is(meta.members.get('b')!.role, 'draining')
  t.deepEqual(become(meta, 'x', 'member', rules), [], 'who is no member cannot become one so')
  apply(meta, become(meta, 'b', 'member', rules))
  t.is(meta.nodesOf(0).length, 3)
  apply(meta, become(meta, 'b', 'draining', rules))
  const placement = [...meta.placement]
  apply(meta, leave(meta, 'b', rules))
  t.deepEqual([...meta.placement], placement, 'nothing is left to move')
  t.false(meta.members.has('b'))
})

test('any history of nodes coming and going leaves an even placement, and a second look moves nothing', (t) => {
  const history = fc.array(fc.nat(6), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(
      history,
      fc.integer({ min: 1, max: 40 }),
      fc.integer({ min: 1, max: 5 }),
      (steps, fragments, replicas) => {
        let placement: string[][] = Array.from({ length: fragments }, () => [])
        const names: string[] = []
        for (const step of steps) {
          const name = `n${step}`
          if (names.includes(name) && names.length > 1) names.splice(names.indexOf(name), 1)
          else if (!names.includes(name)) names.push(name)
          placement = place(placement, names, replicas)
          for (const nodes of placement) {
            if (nodes.length !== Math.min(replicas, names.length) || new Set(nodes).size !== nodes.length) return false
          }
          if (counts(placement, names).replicas > 1 || counts(placement, names).leads > 1) return false
          if (JSON.stringify(place(placement, names, replicas)) !== JSON.stringify(placement)) return false
        }
        return true
      }
    )
  )
  t.pass()
})
