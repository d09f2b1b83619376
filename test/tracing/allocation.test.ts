// Without an SDK tracing costs nothing that would show: it allocates no object. The same measure sees it at once where there is an SDK.
import test from 'ava'
import { bytesPerTransaction } from '../bench/allocations.ts'

/** No object is smaller; what is less comes of V8's own, once. */
const OBJECT = 16

test('tracing allocates nothing for a transaction where there is no SDK, and is seen to where there is one', async (t) => {
  t.timeout(60_000)
  const without = await bytesPerTransaction(false)
  t.true(without < OBJECT, `${without} bytes a transaction`)
  const traced = await bytesPerTransaction(true)
  t.true(traced > 10_000, `${traced} bytes a transaction`)
})
