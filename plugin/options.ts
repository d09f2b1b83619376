// The one option table: every option's flag, environment variable, YAML and plugin key, default, bounds and words.
// --help, the plugin's schema and docs/configuration.md are made of it.
import { DEFAULT_SETTINGS, DEFAULT_SNAPSHOTS, STORAGE_URLS } from '../tc-core/host/node.ts'
import { DEFAULT_LIMITS } from '../tc-core/wire/limits.ts'
import { MAX_LOCK_PARTS } from '../tc-core/wire/lock-homes.ts'

/** The commands that run; `plugin` is what app.register(seata) takes. */
export type Command = 'start' | 'node' | 'gateway'

interface OptionBase {
  /** As a YAML key and in the plugin's options. The flag is `--` and the same with dashes; the variable is SEATA_ and the same in capitals. */
  readonly key: string
  readonly doc: string
  /** Only commands have it: in somebody's Fastify app it is that app's business. */
  readonly commandOnly?: true
  /** The commands that have it; default: all. */
  readonly of?: readonly Command[]
  /** Where a command's default is another. */
  readonly defaults?: Partial<Record<Command, number | string>>
}

export type Option = OptionBase &
  (
    | { readonly type: 'integer'; readonly default: number; readonly minimum: number; readonly maximum: number }
    | { readonly type: 'boolean'; readonly default: boolean }
    | {
        readonly type: 'string'
        readonly default: string
        /** What it has to look like, and that in words. */
        readonly pattern?: string
        readonly form?: string
        readonly values?: readonly string[]
      }
  )

const MAX = Number.MAX_SAFE_INTEGER
const PORT = '([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])'
const HOST_PORT = `^(\\S+:${PORT})?$`

/** What holds fragments, and what clients connect to. */
const CORE = ['start', 'node'] as const
const FRONT = ['start', 'gateway'] as const

function integer(
  key: string,
  value: number,
  minimum: number,
  maximum: number,
  doc: string,
  of?: readonly Command[]
): Option {
  return { key, type: 'integer', default: value, minimum, maximum, doc, ...(of && { of }) }
}

function limit(key: keyof typeof DEFAULT_LIMITS, of: readonly Command[], doc: string): Option {
  return integer(key, DEFAULT_LIMITS[key], 1, 2 ** 31 - 1, doc, of)
}

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const

export const OPTIONS: readonly Option[] = [
  {
    key: 'host',
    type: 'string',
    default: '127.0.0.1',
    pattern: '\\S',
    form: 'an address or host name',
    doc: 'Address to listen on. 0.0.0.0 opens the ports to the network.'
  },
  integer(
    'port',
    8091,
    0,
    65535,
    'Port for Seata clients; not given: 1,000 above the HTTP port. 0 takes a free one.',
    FRONT
  ),
  {
    ...integer('httpPort', 7091, 0, 65535, 'Port for HTTP (health); 0 takes a free one.'),
    defaults: { node: 7191 },
    commandOnly: true
  },
  {
    key: 'name',
    type: 'string',
    default: '',
    pattern: '^[A-Za-z0-9_.-]{0,64}$',
    form: 'up to 64 letters, digits, dots, dashes and underscores',
    doc: 'Name of this process; of a node unique in its cluster and the same after a restart. Empty: the name of the machine.',
    of: ['node', 'gateway']
  },
  {
    key: 'link',
    type: 'string',
    default: '127.0.0.1:9091',
    pattern: `^\\S+:(0|${PORT})$`,
    form: 'HOST:PORT',
    doc: 'Where a node listens for gateways and other nodes; not given: at 127.0.0.1, 1,900 above its HTTP port.',
    commandOnly: true,
    of: ['node']
  },
  {
    key: 'nodes',
    type: 'string',
    default: '',
    pattern: `^([^\\s,]+:${PORT}(,[^\\s,]+:${PORT})*)?$`,
    form: 'HOST:PORT,HOST:PORT,…',
    doc: 'Links of some nodes of the cluster; the others are learned from them. A plugin with nodes is a gateway and has no store of its own.',
    of: ['gateway']
  },
  {
    key: 'advertise',
    type: 'string',
    default: '',
    pattern: HOST_PORT,
    form: 'HOST:PORT of at most 44 characters',
    doc: 'HOST:PORT that XIDs carry: where clients reach the coordinator; of a node, the link that others are told. Empty: where it listens (listening everywhere: its first address).'
  },
  {
    key: 'kv',
    type: 'string',
    default: 'sqlite:./data',
    pattern: '^(sqlite:.+|lmdb:.+|memory:|rediss?://.+|etcds?://.+)$',
    form: STORAGE_URLS.join(', '),
    doc: 'The store that holds the log.',
    of: CORE
  },
  {
    key: 'cluster',
    type: 'string',
    default: 'default',
    pattern: '^[A-Za-z0-9_.-]{1,64}$',
    form: 'up to 64 letters, digits, dots, dashes and underscores',
    doc: 'Name of the cluster: part of every key in the store.'
  },
  {
    key: 'clusterKey',
    type: 'string',
    default: '',
    doc: 'A secret that all nodes and gateways of the cluster share: links are taken only from who knows it. Empty: from anybody. Better given as a variable: others on the machine can see flags.',
    of: ['node', 'gateway']
  },
  {
    key: 'learner',
    type: 'boolean',
    default: false,
    doc: 'The node follows every fragment and never leads, until it is promoted or started without this.',
    commandOnly: true,
    of: ['node']
  },
  {
    ...integer('fragments', 1, 1, 128, 'Fragments of a new cluster; one that exists keeps its own.', CORE),
    defaults: { node: 8 }
  },
  integer(
    'lockParts',
    1,
    1,
    MAX_LOCK_PARTS,
    'Parts that the rows of a table are in, in a new cluster: the locks of each are guarded by one fragment.',
    CORE
  ),
  {
    ...integer('replicas', 3, 1, 9, 'Nodes that hold a fragment, or as many as there are.', ['node']),
    commandOnly: true
  },
  {
    key: 'shardingStrategy',
    type: 'string',
    default: 'consistent-hash',
    values: ['consistent-hash', 'range'],
    doc: 'How transactions are spread over fragments: on a ring with 256 places each, or by equal ranges of a hash.',
    of: FRONT
  },
  {
    key: 'beginAffinity',
    type: 'string',
    default: 'rows',
    values: ['rows', 'none'],
    doc: 'Where transactions begin: in the fragment that guards the rows which others of their name locked, while not much waits, or anywhere.',
    of: FRONT
  },
  {
    key: 'logLevel',
    type: 'string',
    default: 'info',
    values: LOG_LEVELS,
    commandOnly: true,
    doc: 'How much is logged (JSON lines on stderr).'
  },
  {
    key: 'traceKeep',
    type: 'string',
    default: 'rollback,timeout,slow',
    pattern: '^(none|(rollback|timeout|slow)(,(rollback|timeout|slow))*)$',
    form: 'none, or some of rollback,timeout,slow',
    doc: 'Transactions that are traced, from the moment on when they are known to be such, also when sampling passes them over.'
  },
  integer(
    'traceLimit',
    100,
    0,
    MAX,
    'Transactions begun in one second at this process that are traced; what is beyond is passed over, each transaction as a whole. As many more may be traced by traceKeep.'
  ),
  integer('traceSlow', 10_000, 1, MAX, 'Ms from begin to end after which a transaction counts as slow for traceKeep.'),
  integer(
    'retryPeriod',
    DEFAULT_SETTINGS.retryPeriod,
    10,
    MAX,
    'Ms between two passes of phase two over a transaction whose RMs did not all agree.',
    CORE
  ),
  integer(
    'maxCommitRetryTimeout',
    DEFAULT_SETTINGS.maxCommitRetryTimeout,
    -1,
    MAX,
    'Ms after begin until an unfinished commit is given up; -1: never.',
    CORE
  ),
  integer(
    'maxRollbackRetryTimeout',
    DEFAULT_SETTINGS.maxRollbackRetryTimeout,
    -1,
    MAX,
    'Ms after begin until an unfinished rollback is given up; -1: never.',
    CORE
  ),
  {
    key: 'rollbackFailedUnlockEnable',
    type: 'boolean',
    default: DEFAULT_SETTINGS.rollbackFailedUnlockEnable,
    doc: 'Free the rows of a rollback that is given up; its data may be dirty then.',
    of: CORE
  },
  integer(
    'xaerNotaRetryTimeout',
    DEFAULT_SETTINGS.xaerNotaRetryTimeout,
    0,
    MAX,
    'Ms beyond its timeout until an XA branch unknown to its database counts as done.',
    CORE
  ),
  integer(
    'rpcTcRequestTimeout',
    DEFAULT_SETTINGS.rpcTcRequestTimeout,
    100,
    MAX,
    'Ms that an RM has to answer a phase-two request.',
    CORE
  ),
  integer('undoLogSaveDays', 7, 1, 32767, 'Days that AT resources keep undo logs.', FRONT),
  integer(
    'undoLogDeletePeriod',
    86_400_000,
    1000,
    2 ** 31 - 1,
    'Ms between two requests to delete old undo logs.',
    FRONT
  ),
  integer('snapshotInterval', DEFAULT_SNAPSHOTS.ms / 1000, 1, 86_400, 'Seconds after which a snapshot is due.', CORE),
  integer(
    'snapshotRecords',
    DEFAULT_SNAPSHOTS.records,
    1,
    MAX,
    'Records of the log after which a snapshot is due.',
    CORE
  ),
  integer('snapshotBytes', DEFAULT_SNAPSHOTS.bytes, 1, MAX, 'Bytes of the log after which a snapshot is due.', CORE),
  limit('maxTransactions', CORE, 'Global transactions alive in one fragment; one more begin is refused.'),
  limit('maxBranches', CORE, 'Branches of one transaction; one more is refused.'),
  limit('maxLockKeys', CORE, 'Rows in the lock key of one branch.'),
  limit('maxNameBytes', CORE, 'Bytes of a transaction name, an application id or a transaction service group.'),
  limit('maxApplicationDataBytes', CORE, 'Bytes of the application data of a branch.'),
  limit('maxOutcomes', CORE, 'Ended transactions of a fragment whose outcome is remembered.'),
  limit('maxClients', FRONT, 'Client connections; one more is closed.'),
  limit('maxInFlight', FRONT, 'Requests of one connection that wait for an answer; at the limit it is not read.'),
  limit(
    'maxWaiting',
    FRONT,
    'Requests of all connections that wait for an answer; at the limit begins are refused, so that what has begun can end. Below `maxInFlight`, or one connection alone is held back first.'
  ),
  limit('maxParked', FRONT, 'Requests kept back while nobody serves their fragment; one more is refused.')
]

export function flagOf(option: Option): string {
  return `--${kebab(option.key)}`
}

export function variableOf(option: Option): string {
  return `SEATA_${kebab(option.key).replaceAll('-', '_').toUpperCase()}`
}

function kebab(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

/** What is allowed, in words. */
export function allowedOf(option: Option): string {
  if (option.type === 'boolean') return 'true or false'
  if (option.type === 'integer') {
    const upTo = option.maximum === MAX ? 'or more' : `to ${option.maximum}`
    return option.minimum === option.maximum ? `${option.minimum}` : `a whole number, ${option.minimum} ${upTo}`
  }
  return option.values ? `one of ${option.values.join(', ')}` : (option.form ?? 'text')
}

/** Who has the option: a command, or the plugin, which has what `start` and `gateway` have but for what is a command's alone. */
export function hasOption(kind: Command | 'plugin', option: Option): boolean {
  const { of, commandOnly } = option
  if (kind === 'plugin') return !commandOnly && (of === undefined || of.includes('start') || of.includes('gateway'))
  return of === undefined || of.includes(kind)
}

export function defaultOf(kind: Command | 'plugin', option: Option): number | string | boolean {
  return option.defaults?.[kind === 'plugin' ? 'start' : kind] ?? option.default
}

/** The JSON schema of the options of a command or the plugin. */
export function schemaOf(kind: Command | 'plugin'): object {
  const options = OPTIONS.filter((option) => hasOption(kind, option))
  const properties = options.map((option) => {
    const { type, doc: description } = option
    const bounds =
      type === 'integer'
        ? { minimum: option.minimum, maximum: option.maximum }
        : type === 'string'
          ? { ...(option.pattern && { pattern: option.pattern }), ...(option.values && { enum: option.values }) }
          : {}
    return [option.key, { type, default: defaultOf(kind, option), description, ...bounds }]
  })
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(properties) }
}
