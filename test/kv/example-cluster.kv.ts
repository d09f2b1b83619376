// examples/cluster as its page says: it starts, both gateways commit, what is killed comes back, and Ctrl-C stops all of it.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import test from 'ava'
import { BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { SeataClient } from '../client/client.ts'
import { eventually } from '../host/harness.ts'

const root = join(import.meta.dirname, '../..')
/** As in run.ts. */
const PORTS = [2379, 2380, 2381, 2382, 2383, 2384, 9091, 9092, 9093, 7191, 7192, 7193, 8091, 8092, 7091, 7092]

async function isFree(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const taken = await once(socket, 'connect').then(
    () => true,
    () => false
  )
  socket.destroy()
  return !taken
}

/** A number that takes every port to a free one, below those that the system gives away by itself. */
async function freeShift(): Promise<number> {
  for (let shift = 10_000 + Math.floor(Math.random() * 8000); ; shift++) {
    const free = await Promise.all(PORTS.map((port) => isFree(port + shift)))
    if (free.every(Boolean)) return shift
  }
}

test('it starts, commits through each gateway and across both, starts again what is killed, and stops', async (t) => {
  t.timeout(120_000)
  const shift = await freeShift()
  const run = spawn(process.execPath, [join(root, 'examples/cluster/run.ts'), '--shift', String(shift)], {
    stdio: ['ignore', 'pipe', 'inherit']
  })
  let out = ''
  run.stdout.on('data', (chunk: Buffer) => (out += chunk))
  const exited = once(run, 'exit')
  t.teardown(async () => {
    // The second signal kills what the first could not stop.
    if (run.exitCode !== null) return
    run.kill('SIGTERM')
    run.kill('SIGTERM')
    await exited
  })
  await eventually(() => out.includes('ready; Ctrl-C stops all') || run.exitCode !== null, 'a ready cluster', 90_000)
  t.regex(out, /ready; Ctrl-C stops all/)

  const clients: SeataClient[] = []
  for (const port of [8091, 8092]) {
    const client = await SeataClient.connect({ port: port + shift })
    t.teardown(() => client.close())
    await client.registerTM()
    await client.registerRM('stock')
    clients.push(client)
  }
  const [a, b] = clients as [SeataClient, SeataClient]
  for (const [begins, commits] of [
    [a, a],
    [b, b],
    [a, b]
  ] as const) {
    const { xid, resultCode } = await begins.begin()
    t.is(resultCode, 1)
    t.is((await begins.register(xid, 'stock', BranchType.TCC)).resultCode, 1)
    t.is((await commits.commit(xid)).globalStatus, GlobalStatus.Committed)
  }

  process.kill(Number(/^n1 +pid (\d+)/m.exec(out)![1]), 'SIGKILL')
  const { xid } = await a.begin()
  t.is((await b.commit(xid)).globalStatus, GlobalStatus.Committed)
  await eventually(() => /^n1 is started again, pid \d+$/m.test(out), 'n1 started again', 20_000)

  const folder = /^data and logs in (.*)$/m.exec(out)![1]!
  t.true(existsSync(folder))
  run.kill('SIGINT')
  t.deepEqual(await exited, [0, null])
  t.regex(out, /all stopped\n$/)
  t.false(existsSync(folder))
  for (const port of PORTS) t.true(await isFree(port + shift), `port ${port + shift} is still taken`)
})
