// kv-check: a good store passes and is left as it was found; of a bad one the words say which promise it breaks.
import test, { type ExecutionContext } from 'ava'
import { kvCheck } from '../../plugin/kv-check.ts'
import type { Lane, Storage } from '../../tc-core/host/kv-check.ts'
import { CHECKS } from '../../tc-core/storage/conformance.ts'
import { MemoryData, openMemory } from '../../tc-core/storage/memory.ts'
import { openStorage } from '../../tc-core/storage/open.ts'
import { StorageError } from '../../tc-core/storage/port.ts'
import { temporaryDirectory } from '../e2e/servers.ts'

const MEASURE_MS = 30

async function checked(t: ExecutionContext, url: string, open?: () => Promise<Storage>) {
  const lines: string[] = []
  const good = await kvCheck(url, (line) => lines.push(line), open, MEASURE_MS)
  t.log(lines.join('\n'))
  const text = lines.join('\n')
  return { good, text, failed: lines.filter((line) => line.startsWith('FAILED')) }
}

/** Stores over one map, with lanes that break something. */
function broken(data: MemoryData, change: (lane: Lane) => Partial<Lane>, more: Partial<Storage> = {}) {
  return async (): Promise<Storage> => {
    const storage = openMemory(data)
    return {
      ...storage,
      ...more,
      lane: (name) => {
        const lane = storage.lane(name)
        const whole: Lane = {
          setIfAbsent: (k, v) => lane.setIfAbsent(k, v),
          get: (k) => lane.get(k),
          getMany: (ks) => lane.getMany(ks),
          set: (k, v) => lane.set(k, v),
          delete: (ks) => lane.delete(ks)
        }
        return { ...whole, ...change(whole) }
      }
    }
  }
}

test('memory: all is well, and it is said that it keeps nothing', async (t) => {
  const { good, text } = await checked(t, 'memory:')
  t.true(good)
  t.is(text.match(/^ok {6}/gm)?.length, CHECKS.length)
  t.regex(text, /^\d+ appends\/s of 2 KiB in 1 lane: half within [\d.]+ ms, 99 % within [\d.]+ ms$/m)
  t.regex(text, /^\d+ appends\/s of 2 KiB in 8 lanes/m)
  t.regex(text, /keeps nothing/)
  t.regex(text, /Reads are linearizable/)
})

test('sqlite: all is well, every connection is closed, and nothing stays behind', async (t) => {
  const url = `sqlite:${temporaryDirectory(t)}`
  const named = new Set<string>()
  let open = 0
  const { good, text } = await checked(t, url, async () => {
    open++
    const storage = await openStorage(url)
    const remembering = (lane: Lane): Lane => ({
      setIfAbsent(k, v) {
        named.add(k)
        return lane.setIfAbsent(k, v)
      },
      get: (k) => lane.get(k),
      getMany: (ks) => lane.getMany(ks),
      set(k, v) {
        named.add(k)
        return lane.set(k, v)
      },
      delete: (ks) => lane.delete(ks)
    })
    const close = () => {
      open--
      return storage.close()
    }
    return { ...storage, lane: (name) => remembering(storage.lane(name)), close }
  })
  t.true(good)
  t.regex(text, /What no check can see/)
  t.is(open, 0)
  t.true(named.size > 100)
  const storage = await openStorage(url)
  const values = await storage.lane('0').getMany([...named])
  await storage.close()
  t.true(values.every((value) => value === null))
})

test('a store that overwrites is not safe, and the words say which promise is broken and why it matters', async (t) => {
  const overwrites = broken(new MemoryData(), (lane) => ({
    setIfAbsent: async (k, v) => {
      await lane.set(k, v)
      return true
    }
  }))
  const { good, failed, text } = await checked(t, 'memory:', overwrites)
  t.false(good)
  t.regex(failed[0]!, /^FAILED {2}set-if-absent writes once: the second write was taken/)
  t.regex(failed[0]!, /one writer for ever/)
  t.true(failed.length < CHECKS.length)
  t.regex(text, /NOT SAFE: \d of 8 promises are broken/)
})

test('a store that fails is told from one that lies, is not measured, and cannot be cleaned up', async (t) => {
  const fail = async () => {
    throw new StorageError('the disk is full')
  }
  const { good, failed, text } = await checked(
    t,
    'memory:',
    broken(new MemoryData(), () => ({ setIfAbsent: fail, delete: fail }))
  )
  t.false(good)
  t.true(failed.some((line) => line.includes('the store failed: the disk is full')))
  t.regex(text, /could not be measured: the disk is full/)
  t.regex(text, /could not be deleted/)
})

test('stale reads are named with what they mean, and break no promise by themselves', async (t) => {
  const { good, text } = await checked(
    t,
    'memory:',
    broken(new MemoryData(), () => ({}), { linearizableReads: false })
  )
  t.true(good)
  t.regex(text, /Reads may be stale/)
})

test('keys of a store in use are not touched', async (t) => {
  const data = new MemoryData()
  data.values.set('{default:0}:hint', Buffer.from('mine'))
  await checked(
    t,
    'memory:',
    broken(data, () => ({}))
  )
  t.deepEqual([...data.values.keys()], ['{default:0}:hint'])
})

test('a store that cannot be opened rejects', async (t) => {
  await t.throwsAsync(
    kvCheck('nothing:', () => {}),
    { code: 'SEATA_STORE_OPEN_FAILED' }
  )
})
