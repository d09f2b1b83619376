// examples/tracing without containers: its transfers at a cluster whose spans Jaeger gets, with the kill; Jaeger finds each by its XID.
import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import test from 'ava'
import { Cluster } from '../e2e/cluster.ts'
import { temporaryDirectory } from '../e2e/servers.ts'
import { eventually } from '../host/harness.ts'
import { hasJaeger, Jaeger } from './jaeger.ts'

const TRANSFERS = join(import.meta.dirname, '../../examples/tracing/transfers.ts')

/** Skipped where there is no Jaeger, and no Go that is new enough to build it. */
const withJaeger = hasJaeger() ? test : test.skip

withJaeger('Jaeger finds the transfers of the example by their XIDs, each as one trace', async (t) => {
  t.timeout(700_000)
  const jaeger = await Jaeger.start(t)
  const cluster = new Cluster(t, undefined, [], {
    OTEL_EXPORTER_OTLP_ENDPOINT: jaeger.otlp,
    OTEL_BSP_SCHEDULE_DELAY: '100'
  })
  for (const name of ['n1', 'n2', 'n3']) await cluster.node(name)
  const gateway = await cluster.gateway()
  await cluster.settled()
  const pids = [...cluster.nodes.values()].map(({ name, process }) => `${name}) kill -9 ${process.child.pid};;`)
  const script = join(temporaryDirectory(t), 'kill.sh')
  writeFileSync(script, `case $1 in ${pids.join(' ')} *) exit 1;; esac\n`)
  const at = ['--gateway', `127.0.0.1:${gateway.port}`, '--http', `127.0.0.1:${gateway.httpPort}`]
  const args = [TRANSFERS, ...at, '--jaeger', jaeger.url, '--kill', `sh ${script}`]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  t.teardown(() => child.kill('SIGKILL'))
  const [said, complained] = await Promise.all([text(child.stdout), text(child.stderr)])
  t.is(complained, '')
  const lines = [...said.matchAll(/^(.+): (\S+:\d+:\d+)$/gm)].map(([, what, xid]) => ({ what: what!, xid: xid! }))
  t.deepEqual(
    lines.map(({ what }) => what.replace(/n\d/, 'n')),
    ['committed', 'rolled back', 'committed, though n was killed']
  )
  for (const { what, xid } of lines) {
    const end = what === 'rolled back' ? 'Rollback' : 'Commit'
    const wanted = ['seata.transaction', `seata.TC/Global${end}`, `seata.RM/Branch${end}`]
    wanted.push('seata.TC/BranchRegister', 'seata.log.append')
    // Each process sends its spans in its own time.
    const whole = (found: string[][]) => found.length === 1 && wanted.every((name) => found[0]!.includes(name))
    await eventually(async () => whole(await jaeger.find(xid)), `all of ${what} in Jaeger`, 20_000)
    const [names = []] = await jaeger.find(xid)
    t.log(`${what}: ${names.length} spans`)
  }
  for (const [, link] of said.matchAll(/^ {2}(http\S+)$/gm)) t.true((await fetch(link!)).ok, link)
})
