// `npm run bench:failover`: what clients notice of a cluster's failures. Three nodes and two gateways as processes over three members of
// etcd or another store, 64 transactions at a time. For each case: failed requests, the longest wait for an answer, and what the judge finds.
import { parseArgs } from 'node:util'
import { CASES, runCase } from './failover-cases.ts'

const list = Object.entries(CASES).map(([name, { says, times }]) => `    ${name.padEnd(13)}${says}, ${times} times\n`)
const USAGE = `npm run bench:failover -- [options]
  --only LIST      of the cases, each on a cluster of its own; default all
${list.join('')}  --times N        instead of the times above
  --kv etcd|URL    the store; etcd (three members on this machine) is the default
  --callers N      transactions at a time; default 64
  --kv-kill CMD    for the case kv of another store than etcd: a command that kills its leader
  --kv-start CMD   and one that starts again what is dead
`

const { values } = parseArgs({
  options: {
    kv: { type: 'string', default: 'etcd' },
    times: { type: 'string', default: '0' },
    only: { type: 'string', default: Object.keys(CASES).join(',') },
    callers: { type: 'string', default: '64' },
    'kv-kill': { type: 'string', default: '' },
    'kv-start': { type: 'string', default: '' },
    help: { type: 'boolean', default: false }
  }
})

if (values.help) process.stdout.write(USAGE)
else {
  const settings = {
    kv: values.kv,
    times: Number(values.times),
    callers: Number(values.callers),
    kvKill: values['kv-kill'],
    kvStart: values['kv-start']
  }
  const only = values.only.split(',')
  if (only.includes('kv') && settings.kv !== 'etcd' && !(settings.kvKill && settings.kvStart))
    throw new Error(`how is the leader of ${settings.kv} killed? --kv-kill and --kv-start, or --only without kv`)
  for (const name of only) await runCase(name, settings, (line) => process.stdout.write(`${line}\n`))
}
