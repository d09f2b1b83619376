// Makes the pages that follow from tables: docs/configuration.md, docs/errors.md, and what docs/clients.md and docs/performance.md show of
// the last runs of all clients and of the bench.
// `npm run docs` writes them, a test compares.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  allowedOf,
  type Command,
  defaultOf,
  flagOf,
  hasOption,
  OPTIONS,
  type Option,
  variableOf
} from '../../plugin/options.ts'
import { exceptionOrdinal } from '../../tc-core/wire/codes.ts'
import { ERRORS } from '../../tc-core/wire/errors.ts'
import { parseVersion, V2_0_0 } from '../../tc-core/wire/version.ts'
import { type Cell, savedResults } from '../interop/matrix.ts'
import { SCENARIOS, SETTINGS } from '../interop/rounds.ts'
import { growthPicture, performancePage, ratiosPicture } from './performance.ts'
import { tableOf } from './table.ts'

const COMMANDS: readonly Command[] = ['start', 'node', 'gateway']

function optionRow(option: Option): string[] {
  const commands = COMMANDS.filter((command) => hasOption(command, option))
  const byDefault = [...new Set(commands.map((command) => String(defaultOf(command, option))))]
  const standard = byDefault.map((value) => (value === '' ? '' : `\`${value}\``)).join(', ')
  const where = [...commands, ...(hasOption('plugin', option) ? ['plugin'] : [])].join(', ')
  return [
    `\`${option.key}\``,
    `\`${flagOf(option)}\``,
    `\`${variableOf(option)}\``,
    standard,
    allowedOf(option),
    option.doc,
    where
  ]
}

export function configurationPage(): string {
  const limits = OPTIONS.filter(
    (option) =>
      option.key.startsWith('max') && option.key !== 'maxCommitRetryTimeout' && option.key !== 'maxRollbackRetryTimeout'
  )
  const others = OPTIONS.filter((option) => !limits.includes(option))
  const head = ['key', 'flag', 'variable', 'default', 'allowed', 'what it does', 'of']
  return `# Configuration

Every option is a flag of \`fastify-seata start\`, \`node\` or \`gateway\` (the last column says of which), an environment variable, and a key of one YAML file (\`--config FILE\` or \`SEATA_CONFIG\`).
A flag wins over a variable, a variable over the file. As a plugin the keys are the options of \`app.register(seata, { … })\`.
One file may serve all commands. A value that is not allowed, or a key that does not exist, stops the start with a message that names it.

    # seata.yml
    host: 0.0.0.0
    advertise: seata.example.com:8091
    kv: sqlite:/var/lib/seata

    fastify-seata start --config seata.yml --port 8092

## Options

${tableOf(head, others.map(optionRow))}

## Limits

What may grow has a limit; at the limit the client gets a clear error (see [errors](errors.md)) and nothing else changes.

${tableOf(head, limits.map(optionRow))}

Fixed limits: a frame has at most 8 MiB; lock key and application data of one branch together 512 KiB; an XID 64 bytes (XA allows no more).
Of all connections of a gateway together, requests that have not come whole may be 256 MiB, and answers that are not read 512 MiB: beyond that those who
hold most are closed.

## Stores

| URL | what | when |
| --- | --- | --- |
| \`sqlite:DIR\` | SQLite's write-ahead log, in a thread of its own; part of Node | the default: one machine |
| \`lmdb:DIR\` | LMDB | one machine; slower, for those who know and want it |
| \`etcd://HOST:PORT,…\`, \`etcds://…\` | etcd, over gRPC | clusters |
| \`redis://HOST:PORT,…\`, \`rediss://…\` | a Redis-compatible store with consensus, or one plain Redis or Valkey that flushes every write | clusters |
| \`memory:\` | nothing is kept | tests |

[Stores](kv.md) has all their options, says which products are safe and which are not, and how etcd has to be started.

Whatever the store, an answer leaves only after what it promises is flushed to disk. A directory belongs to one coordinator at a time: a second
process that is started on it takes over, and the first stops serving and says so. The nodes of a cluster share a store.
`
}

function errorRows(answers: boolean): string[][] {
  return Object.entries(ERRORS)
    .filter(([, entry]) => 'exception' in entry === answers)
    .map(([code, entry]) => {
      const text = `\`${entry.text.replaceAll('%s', '…')}\``
      if (!('exception' in entry)) return [`\`${code}\``, entry.effect, text]
      return [
        `\`${code}\``,
        `${entry.exception} (${exceptionOrdinal(entry.exception, V2_0_0)})`,
        `${entry.wrapper}[${text}]`
      ]
    })
}

export function errorsPage(): string {
  return `# Errors

Every error has a code. Clients do not see the code: they get what their protocol has for it.

## What a client gets

A failed result with this exception code (its number here is that of clients from 2.0 on; older clients get theirs, and never one that they
cannot read) and this text. Java's TM looks only at the global status in the results of commit, rollback and status: there the status is what the
transaction has, or, when nothing is known, \`Finished\` for a commit, so that the TM raises \`CommitHeuristic\` and does not take it for a success,
and \`UnKnown\` for the others.

${tableOf(['code', 'exception code', 'text'], errorRows(true))}

## What else happens

${tableOf(['code', 'effect', 'text'], errorRows(false))}
`
}

/** What each feature is, beside its name in the programs. */
const FEATURES: Readonly<Record<string, string>> = {
  tm: 'begin, commit, rollback, status',
  tcc: 'TCC, with branches that refuse once',
  parallel: 'forty transactions at once',
  at: 'AT: insert, update, delete, undo',
  lock: 'AT locks: conflict, retry, SELECT FOR UPDATE',
  timeout: 'timeouts',
  order: 'order of phase two',
  xa: 'XA',
  saga: 'SAGA: report, state machine',
  reconnect: 'coordinator restarted meanwhile',
  cluster: 'cluster, leaders killed meanwhile',
  'registry raft': 'registry `raft`, its gateway killed'
}

function cellText(cell: Cell | null | undefined): string {
  if (cell === undefined) return ''
  if (cell === null) return '–'
  return cell.failed > 0 ? `**${cell.failed} failed**, ${cell.passed}` : String(cell.passed)
}

/** Clients by kind and version, features as rows. */
export function clientMatrix(): string {
  const results = savedResults()
  const number = (client: string) => parseVersion(client.replace(/^\D+/, ''))
  const isJava = (client: string) => /^\d/.test(client)
  const clients = Object.keys(results).sort((a, b) => Number(isJava(b)) - Number(isJava(a)) || number(a) - number(b))
  const features = [...SCENARIOS, ...SETTINGS.map(({ feature }) => feature), 'cluster', 'registry raft'].filter(
    (feature) => feature !== 'gateways'
  )
  const rows = features.map((feature) => [
    FEATURES[feature] ?? feature,
    ...clients.map((client) => cellText(results[client]![feature]))
  ])
  return tableOf(['', ...clients.map((client) => (isJava(client) ? `Java ${client}` : client))], rows)
}

const MATRIX = /(<!-- matrix -->\n)[\s\S]*(<!-- \/matrix -->)/

export function clientsPage(page: string): string {
  return page.replace(MATRIX, (_, begin, end) => `${begin}\n${clientMatrix()}\n\n${end}`)
}

if (process.argv[1] === import.meta.filename) {
  const docs = join(import.meta.dirname, '../../docs')
  writeFileSync(join(docs, 'configuration.md'), configurationPage())
  writeFileSync(join(docs, 'errors.md'), errorsPage())
  const clients = join(docs, 'clients.md')
  writeFileSync(clients, clientsPage(readFileSync(clients, 'utf8')))
  const performance = join(docs, 'performance.md')
  writeFileSync(performance, performancePage(readFileSync(performance, 'utf8')))
  for (const [name, picture] of Object.entries({ performance: ratiosPicture(), growth: growthPicture() })) {
    if (picture !== null) writeFileSync(join(docs, `${name}.svg`), picture)
  }
}
