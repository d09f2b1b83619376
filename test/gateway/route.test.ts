// The routing table row by row, the ring, and the ids that the gateway proposes.
import test from 'ava'
import fc from 'fast-check'
import { shardingStrategy } from '../../gateway/ring.ts'
import { fragmentOfXid, treatmentOf } from '../../gateway/route.ts'
import { XidSource } from '../../gateway/xid-source.ts'
import { configure } from '../../plugin/config.ts'
import { messages } from '../../tc-core/wire/messages/index.ts'
import { systemRuntime } from '../../tc-core/wire/runtime.ts'
import { EPOCH_MS, fragmentOf, MAX_FRAGMENT, timeOf, transactionId } from '../../tc-core/wire/xid.ts'
import { random } from '../core/random.ts'

test('M11: what becomes of every message there is', (t) => {
  const treatments = Object.fromEntries(
    messages.tables.map((table) => [table.name, treatmentOf(table.code) ?? 'refused'])
  )
  t.deepEqual(treatments, {
    GlobalBegin: 'begin',
    GlobalBeginResult: 'refused',
    GlobalCommit: 'by-xid',
    GlobalCommitResult: 'refused',
    GlobalRollback: 'by-xid',
    GlobalRollbackResult: 'refused',
    GlobalStatus: 'by-xid',
    GlobalStatusResult: 'refused',
    GlobalReport: 'by-xid',
    GlobalReportResult: 'refused',
    BranchRegister: 'by-xid',
    BranchRegisterResult: 'refused',
    BranchReport: 'by-xid',
    BranchReportResult: 'refused',
    GlobalLockQuery: 'by-xid',
    GlobalLockQueryResult: 'refused',
    BranchCommit: 'refused',
    BranchCommitResult: 'branch-result',
    BranchRollback: 'refused',
    BranchRollbackResult: 'branch-result',
    UndoLogDelete: 'refused',
    RegisterTM: 'registration',
    RegisterTMResult: 'refused',
    RegisterRM: 'registration',
    RegisterRMResult: 'refused',
    UnregisterRM: 'registration',
    UnregisterRMResult: 'refused',
    MergedWarp: 'split',
    MergeResult: 'refused',
    BatchResult: 'refused'
  })
})

test('M7: an xid names its fragment for ever: whatever the fragment, the time and the sequence', (t) => {
  const r = random(1)
  for (let i = 0; i < 2000; i++) {
    const fragment = r.below(MAX_FRAGMENT + 1)
    const ms = Date.UTC(2021, 0, 1) + r.below(2 ** 40)
    t.is(fragmentOf(`host:8091:${transactionId(fragment, ms, r.below(4096))}`), fragment)
  }
})

test('M10: an xid of another coordinator, or no xid at all, goes to one and the same fragment, which says that it knows none such', (t) => {
  const ring = shardingStrategy('consistent-hash', [0, 1, 2])
  const exists = (fragment: number) => fragment <= 2
  for (const xid of [
    '10.0.0.1:8091:2612341069705662465',
    'nonsense',
    '',
    '2001:db8::1:8091:x',
    ':',
    `:${'9'.repeat(40)}`
  ]) {
    const fragment = fragmentOfXid(xid, exists, ring)
    t.true(ring.getAllGroups().includes(fragment), xid)
    t.is(fragmentOfXid(xid, exists, ring), fragment)
  }
  const own = `h:1:${transactionId(2, Date.now(), 5)}`
  t.is(fragmentOfXid(own, exists, ring), 2)
})

test('M8: the strategies spread a million ids evenly: max/mean at most 1.15 for 3 to 16 fragments', async (t) => {
  t.timeout(120_000)
  for (const name of ['consistent-hash', 'range']) {
    for (const count of [3, 8, 16]) {
      const groups = Array.from({ length: count }, (_, i) => i)
      const strategy = shardingStrategy(name, groups)
      t.deepEqual(strategy.getAllGroups(), groups)
      const hits = new Array<number>(count).fill(0)
      // A million where it costs seconds, enough to tell elsewhere.
      const ids = name === 'consistent-hash' && count === 8 ? 1_000_000 : 100_000
      await new Promise((resolve) => setImmediate(resolve))
      for (let i = 0; i < ids; i++) hits[strategy.determineGroup(`${1_800_000_000_000 + i}:${i}`)]!++
      const worst = Math.max(...hits) / (ids / count)
      t.true(worst <= 1.15, `${name}, ${count} fragments: ${worst}`)
    }
  }
})

test('M2, M11: an xid goes to one fragment that exists, whatever the strategy, and whatever fragments are open now or later', (t) => {
  const strategies = ['consistent-hash', 'range']
  const group = fc.integer({ min: 0, max: 40 })
  const groups = fc.uniqueArray(group, { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(groups, groups, fc.constantFrom(...strategies), fc.string(), (before, after, name, key) => {
      const strategy = shardingStrategy(name, before)
      const chosen = strategy.determineGroup(key)
      t.true(before.includes(chosen))
      t.is(shardingStrategy(name, before).determineGroup(key), chosen, 'the same after a restart')
      const xid = new XidSource('10.0.0.7:8091', systemRuntime).next(chosen, Date.now())
      const exists = (fragment: number) => before.includes(fragment) || after.includes(fragment)
      for (const later of strategies) {
        t.is(fragmentOfXid(xid, exists, shardingStrategy(later, after)), chosen)
        t.is(fragmentOfXid(xid, exists, shardingStrategy(later, [])), chosen)
      }
    })
  )
})

test('M11: what follows a begin lands in its fragment: a hundred thousand begins of as many applications', (t) => {
  const all = Array.from({ length: 16 }, (_, fragment) => fragment)
  const ring = shardingStrategy('consistent-hash', all)
  const source = new XidSource('10.0.0.7:8091', systemRuntime)
  const r = random(3)
  let wrong = 0
  for (let i = 0; i < 100_000; i++) {
    const fragment = ring.determineGroup(`application-${r.below(2 ** 31)}`)
    if (fragmentOfXid(source.next(fragment, Date.now()), (f) => f < 16, ring) !== fragment) wrong++
  }
  t.is(wrong, 0)
})

test('M7: the XIDs of a gateway are the ids of its sequence, each once, also where their last digits run over', (t) => {
  const epoch = transactionId(0, EPOCH_MS, 0)
  t.is(epoch, 0n)
  // In this ms the last nine digits of the ids of fragment 0 pass 10^9.
  const over = EPOCH_MS + 244_140
  t.true(transactionId(0, over, 0) < 10n ** 9n && transactionId(0, over, 4095) > 10n ** 9n)
  for (const ms of [EPOCH_MS + 1, over, over + 50_000_000_000, Date.UTC(2026, 0, 1)]) {
    for (const start of [0, 2047]) {
      const source = new XidSource('hôte:8091', { below: () => start })
      const seen = new Set<string>()
      for (let n = 0; n < 2048; n++) {
        const [fragment, traced] = [n % 3 === 0 ? 0 : (n >> 8) * 100, n % 7 === 0]
        const xid = source.next(fragment, ms, traced)
        const sequence = ((start + n) % 2048) * 2 + (traced ? 1 : 0)
        t.is(xid, `hôte:8091:${transactionId(fragment, ms, sequence)}`)
        seen.add(xid)
      }
      t.is(seen.size, 2048)
      t.is(timeOf(source.next(5, ms)), ms + 1, 'a ms that is used up borrows from the next')
    }
  }
})

test('M8: the ring is the same in every process, and a strategy of no such name is refused', (t) => {
  const [a, b] = [shardingStrategy('consistent-hash', [0, 1, 2]), shardingStrategy('consistent-hash', [0, 1, 2])]
  for (let i = 0; i < 100; i++) t.is(a.determineGroup(`key-${i}`), b.determineGroup(`key-${i}`))
  t.is(shardingStrategy('consistent-hash', [4]).determineGroup('x'), 4)
  t.throws(() => shardingStrategy('modulo', [0]), { message: /consistent-hash/ })
  for (const kind of ['plugin', 'start', 'gateway'] as const) {
    const given = { shardingStrategy: 'modulo', nodes: kind === 'gateway' ? 'n:1' : '' }
    t.throws(() => configure(given, kind), { message: /is "modulo", allowed is one of consistent-hash, range/ })
  }
})

test('M7: proposed ids never repeat, not even beyond 4096 in one ms, and are ip:port:transactionId as Java reads it', (t) => {
  const source = new XidSource('10.0.0.7:8091', systemRuntime)
  const seen = new Set<string>()
  const now = Date.now()
  for (let i = 0; i < 20_000; i++) seen.add(source.next(3, now))
  t.is(seen.size, 20_000)
  for (const xid of seen) {
    t.true(xid.startsWith('10.0.0.7:8091:'))
    t.is(fragmentOf(xid), 3)
    // Java: everything up to the last colon is the address that its load balancer looks for, the rest a positive long.
    const id = xid.slice(xid.lastIndexOf(':') + 1)
    t.regex(id, /^[1-9]\d*$/)
    t.true(BigInt(id) < 2n ** 63n)
  }
})
