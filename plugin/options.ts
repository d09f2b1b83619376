// The one option table: every option's flag, environment variable, YAML and plugin key, default, bounds and words.
// --help, the plugin's schema and docs/configuration.md are made of it.
import { DEFAULT_SETTINGS, DEFAULT_SNAPSHOTS, STORAGE_URLS } from '../tc-core/host/node.ts'
import { DEFAULT_LIMITS } from '../tc-core/wire/limits.ts'

interface OptionBase {
  /** As a YAML key and in the plugin's options. The flag is `--` and the same with dashes; the variable is SEATA_ and the same in capitals. */
  readonly key: string
  readonly doc: string
  /** Only the command has it: in somebody's Fastify app it is that app's business. */
  readonly commandOnly?: true
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
const HOST_PORT = '^(\\S+:[0-9]{1,5})?$'

function integer(key: string, value: number, minimum: number, maximum: number, doc: string): Option {
  return { key, type: 'integer', default: value, minimum, maximum, doc }
}

function limit(key: keyof typeof DEFAULT_LIMITS, doc: string): Option {
  return integer(key, DEFAULT_LIMITS[key], 1, 2 ** 31 - 1, doc)
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
  integer('port', 8091, 0, 65535, 'Port for Seata clients; 0 takes a free one.'),
  { ...integer('httpPort', 7091, 0, 65535, 'Port for HTTP (health); 0 takes a free one.'), commandOnly: true },
  {
    key: 'advertise',
    type: 'string',
    default: '',
    pattern: HOST_PORT,
    form: 'HOST:PORT of at most 44 characters',
    doc: 'HOST:PORT that XIDs carry: where clients reach the coordinator. Empty: where it listens (listening everywhere: its first address).'
  },
  {
    key: 'kv',
    type: 'string',
    default: 'sqlite:./data',
    pattern: '^(sqlite:.+|lmdb:.+|memory:)$',
    form: STORAGE_URLS.join(', '),
    doc: 'The store that holds the log.'
  },
  {
    key: 'cluster',
    type: 'string',
    default: 'default',
    pattern: '^[A-Za-z0-9_.-]{1,64}$',
    form: 'up to 64 letters, digits, dots, dashes and underscores',
    doc: 'Name of the cluster: part of every key in the store.'
  },
  integer('fragments', 1, 1, 1, 'Fragments of the coordinator.'),
  {
    key: 'shardingStrategy',
    type: 'string',
    default: 'consistent-hash',
    values: ['consistent-hash'],
    doc: 'How transactions are spread over fragments.'
  },
  {
    key: 'logLevel',
    type: 'string',
    default: 'info',
    values: LOG_LEVELS,
    commandOnly: true,
    doc: 'How much is logged (JSON lines on stderr).'
  },
  integer(
    'retryPeriod',
    DEFAULT_SETTINGS.retryPeriod,
    10,
    MAX,
    'Ms between two passes of phase two over a transaction whose RMs did not all agree.'
  ),
  integer(
    'maxCommitRetryTimeout',
    DEFAULT_SETTINGS.maxCommitRetryTimeout,
    -1,
    MAX,
    'Ms after begin until an unfinished commit is given up; -1: never.'
  ),
  integer(
    'maxRollbackRetryTimeout',
    DEFAULT_SETTINGS.maxRollbackRetryTimeout,
    -1,
    MAX,
    'Ms after begin until an unfinished rollback is given up; -1: never.'
  ),
  {
    key: 'rollbackFailedUnlockEnable',
    type: 'boolean',
    default: DEFAULT_SETTINGS.rollbackFailedUnlockEnable,
    doc: 'Free the rows of a rollback that is given up; its data may be dirty then.'
  },
  integer(
    'xaerNotaRetryTimeout',
    DEFAULT_SETTINGS.xaerNotaRetryTimeout,
    0,
    MAX,
    'Ms beyond its timeout until an XA branch unknown to its database counts as done.'
  ),
  integer(
    'rpcTcRequestTimeout',
    DEFAULT_SETTINGS.rpcTcRequestTimeout,
    100,
    MAX,
    'Ms that an RM has to answer a phase-two request.'
  ),
  integer('undoLogSaveDays', 7, 1, 32767, 'Days that AT resources keep undo logs.'),
  integer('undoLogDeletePeriod', 86_400_000, 1000, 2 ** 31 - 1, 'Ms between two requests to delete old undo logs.'),
  integer('snapshotInterval', DEFAULT_SNAPSHOTS.ms / 1000, 1, 86_400, 'Seconds after which a snapshot is due.'),
  integer('snapshotRecords', DEFAULT_SNAPSHOTS.records, 1, MAX, 'Records of the log after which a snapshot is due.'),
  integer('snapshotBytes', DEFAULT_SNAPSHOTS.bytes, 1, MAX, 'Bytes of the log after which a snapshot is due.'),
  limit('maxTransactions', 'Global transactions alive in one fragment; one more begin is refused.'),
  limit('maxBranches', 'Branches of one transaction; one more is refused.'),
  limit('maxLockKeys', 'Rows in the lock key of one branch.'),
  limit('maxNameBytes', 'Bytes of a transaction name, an application id or a transaction service group.'),
  limit('maxApplicationDataBytes', 'Bytes of the application data of a branch.'),
  limit('maxOutcomes', 'Ended transactions of a fragment whose outcome is remembered.'),
  limit('maxClients', 'Client connections; one more is closed.'),
  limit('maxInFlight', 'Requests of one connection that wait for an answer; at the limit it is not read.'),
  limit('maxParked', 'Requests kept back while nobody serves their fragment; one more is refused.')
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

/** The JSON schema of the options: for the plugin without the command's own. */
export function schemaOf(forPlugin: boolean): object {
  const options = OPTIONS.filter((option) => !forPlugin || !option.commandOnly)
  const properties = options.map((option) => {
    const { type, default: value, doc: description } = option
    const bounds =
      type === 'integer'
        ? { minimum: option.minimum, maximum: option.maximum }
        : type === 'string'
          ? { ...(option.pattern && { pattern: option.pattern }), ...(option.values && { enum: option.values }) }
          : {}
    return [option.key, { type, default: value, description, ...bounds }]
  })
  return { type: 'object', additionalProperties: false, properties: Object.fromEntries(properties) }
}
