// From flags, environment, file or plugin options to a configuration that is whole and checked.
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv'
import { SeataError } from '../tc-core/wire/errors.ts'
import type { Limits } from '../tc-core/wire/limits.ts'
import { MAX_XID_BYTES } from '../tc-core/wire/xid.ts'
import { allowedOf, type Command, OPTIONS, schemaOf } from './options.ts'

/** Every option that a command has, with its value; names and meaning in options.ts. */
export interface Config extends Limits {
  host: string
  port: number
  httpPort: number
  name: string
  link: string
  nodes: string
  advertise: string
  kv: string
  cluster: string
  clusterKey: string
  learner: boolean
  fragments: number
  lockParts: number
  replicas: number
  shardingStrategy: string
  beginAffinity: string
  logLevel: string
  traceKeep: string
  traceSlow: number
  traceLimit: number
  retryPeriod: number
  maxCommitRetryTimeout: number
  maxRollbackRetryTimeout: number
  rollbackFailedUnlockEnable: boolean
  xaerNotaRetryTimeout: number
  rpcTcRequestTimeout: number
  undoLogSaveDays: number
  undoLogDeletePeriod: number
  /** Seconds. */
  snapshotInterval: number
  snapshotRecords: number
  snapshotBytes: number
}

/** As Seata has it: the port for clients is so far above the one for HTTP, so that several run on one machine by their HTTP ports alone. */
const PORT_ABOVE_HTTP = 1_000
const LINK_ABOVE_HTTP = 1_900
const TRANSACTION_ID_CHARACTERS = 20

/** Without the schema of schemas: ours are made of the option table, and a test holds them against it. It would cost more than the check itself. */
const ajv = new Ajv({ useDefaults: true, allErrors: true, meta: false, validateSchema: false })
const validators = new Map<'plugin' | Command, ValidateFunction>()

/** Made when it is asked for: a process is one of them, and to make all four would be a fifth of the CPU of its start. */
function validatorOf(kind: 'plugin' | Command): ValidateFunction {
  let validate = validators.get(kind)
  if (!validate) validators.set(kind, (validate = ajv.compile(schemaOf(kind))))
  return validate
}

/**
 * Fills in defaults and checks. Throws SEATA_OPTION_INVALID with every mistake: the key, the value and what is allowed.
 * @param nameOf how the user wrote the key: as a flag, a variable, a key
 */
export function configure(
  given: object,
  kind: 'plugin' | Command,
  nameOf: (key: string) => string = (key) => key
): Config {
  const config = { ...given } as Config
  const validate = validatorOf(kind)
  const mistakes = validate(config) ? [] : validate.errors!.map((error) => mistake(error, config, nameOf))
  followHttpPort(config, given, kind)
  if (kind === 'gateway' && config.nodes === '') mistakes.push(wrong('nodes', config, nameOf))
  if (mistakes.length === 0 && config.advertise.length + TRANSACTION_ID_CHARACTERS > MAX_XID_BYTES) {
    mistakes.push(wrong('advertise', config, nameOf))
  }
  if (mistakes.length > 0) throw new SeataError('SEATA_OPTION_INVALID', [[...new Set(mistakes)].join('; ')])
  return config
}

function followHttpPort(config: Config, given: object, kind: 'plugin' | Command): void {
  const port = (above: number) => Math.min(config.httpPort + above, 65535)
  if (kind === 'plugin' || !(config.httpPort > 0)) return
  if (kind !== 'node' && !('port' in given)) config.port = port(PORT_ABOVE_HTTP)
  if (kind === 'node' && !('link' in given)) config.link = `127.0.0.1:${port(LINK_ABOVE_HTTP)}`
}

function mistake(error: ErrorObject, config: object, nameOf: (key: string) => string): string {
  if (error.keyword === 'additionalProperties') {
    const key = String(error.params.additionalProperty)
    return `${nameOf(key)} is not an option${suggestion(key)}`
  }
  return wrong(error.instancePath.slice(1), config, nameOf)
}

function wrong(key: string, config: object, nameOf: (key: string) => string): string {
  const option = OPTIONS.find((o) => o.key === key)!
  const value = (config as Record<string, unknown>)[key]
  return `${nameOf(key)} is ${JSON.stringify(value)}, allowed is ${allowedOf(option)}`
}

/** The nearest option, if one is near. */
export function suggestion(key: string): string {
  const near = OPTIONS.map((option) => ({
    key: option.key,
    distance: distance(option.key.toLowerCase(), key.toLowerCase())
  }))
    .filter((o) => o.distance <= 2)
    .sort((a, b) => a.distance - b.distance)[0]
  return near ? `, did you mean ${near.key}?` : ''
}

/** Edits from one word to the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next[j] = Math.min(change, row[j]! + 1, next[j - 1]! + 1)
    }
    row = next
  }
  return row[b.length]!
}
