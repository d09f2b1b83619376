// A command's options out of flags, SEATA_ variables and a YAML file; a flag wins over a variable, a variable over the file.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { parseArgs } from 'node:util'
import { SeataError } from '../tc-core/wire/errors.ts'
import { type Config, configure, suggestion } from './config.ts'
import { allowedOf, type Command, defaultOf, flagOf, hasOption, OPTIONS, type Option, variableOf } from './options.ts'

/** For what only few starts need. */
const require = createRequire(import.meta.url)

export interface Arguments {
  readonly help: boolean
  readonly config: Config
  /** SEATA_ variables that are no options: perhaps misspelt. */
  readonly unknownVariables: readonly string[]
}

/** Throws SEATA_OPTION_INVALID. */
export function readArguments(command: Command, args: readonly string[], env: NodeJS.ProcessEnv): Arguments {
  const options = OPTIONS.filter((option) => hasOption(command, option))
  const flags = readFlags(args, options)
  if (flags.get('help') === 'true') return { help: true, config: {} as Config, unknownVariables: [] }
  const file = flags.get('config') ?? env.SEATA_CONFIG
  const given: Record<string, unknown> = file === undefined ? {} : readFile(file)
  // One file may serve several commands: what is another's does not concern this one.
  for (const option of OPTIONS) if (!options.includes(option)) delete given[option.key]
  const names = new Map<string, string>(Object.keys(given).map((key) => [key, `${key} in ${file}`]))
  for (const option of options) {
    const variable = variableOf(option)
    const flag = flagOf(option).slice(2)
    const text = flags.get(flag) ?? env[variable]
    if (text === undefined) continue
    given[option.key] = typed(option, text)
    names.set(option.key, flags.has(flag) ? flagOf(option) : variable)
  }
  const known = new Set(['SEATA_CONFIG', ...OPTIONS.map(variableOf)])
  return {
    help: false,
    config: configure(given, command, (key) => names.get(key) ?? key),
    unknownVariables: Object.keys(env).filter((name) => name.startsWith('SEATA_') && !known.has(name))
  }
}

function readFlags(args: readonly string[], options: readonly Option[]): Map<string, string> {
  const booleans = options.filter((option) => option.type === 'boolean').map((option) => flagOf(option).slice(2))
  const known = new Set(['config', 'help', ...options.map((option) => flagOf(option).slice(2))])
  const flags = new Map<string, string>()
  const { tokens } = parseArgs({ args: [...args], strict: false, tokens: true, options: optionTypes(known) })
  for (const token of tokens) {
    if (token.kind !== 'option') throw invalid(`${args[token.index]} is not an option`)
    const { name, rawName, value } = token
    if (!known.has(name))
      throw invalid(`${rawName} is not an option${suggestion(name.replace(/-./g, (s) => s[1]!.toUpperCase()))}`)
    if (name === 'help') flags.set(name, 'true')
    else if (value !== undefined) flags.set(name, value)
    else if (booleans.includes(name)) flags.set(name, 'true')
    else throw invalid(`${rawName} needs a value`)
  }
  return flags
}

function optionTypes(known: ReadonlySet<string>) {
  const types: Record<string, { type: 'string' | 'boolean'; short?: string }> = {}
  for (const name of known) types[name] = { type: 'string' }
  for (const option of OPTIONS) if (option.type === 'boolean') types[flagOf(option).slice(2)] = { type: 'boolean' }
  types.help = { type: 'boolean', short: 'h' }
  return types
}

function readFile(path: string): Record<string, unknown> {
  let content: unknown
  try {
    const { parse } = require('yaml') as typeof import('yaml')
    content = parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw invalid(`the file ${path} cannot be read: ${(error as Error).message.split('\n')[0]}`)
  }
  if (content === null || content === undefined) return {}
  if (typeof content !== 'object' || Array.isArray(content))
    throw invalid(`the file ${path} has to hold keys and values`)
  return { ...content }
}

/** Text as the option's type, or the text itself when it is none: then the check says what is wrong with it. */
function typed(option: Option, text: string): unknown {
  if (option.type === 'integer' && /^-?\d+$/.test(text.trim())) return Number(text)
  if (option.type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true'
  return text
}

function invalid(text: string): SeataError {
  return new SeataError('SEATA_OPTION_INVALID', [text])
}

const WHAT: Readonly<Record<Command, string>> = {
  start: 'a Seata coordinator in one process',
  node: 'a node of a cluster; it holds replicas of fragments and takes no clients',
  gateway: 'a gateway of a cluster; it takes clients and keeps nothing'
}

/** The text of --help. */
export function helpText(command: Command): string {
  const lines = OPTIONS.filter((option) => hasOption(command, option)).map((option) => {
    const value = option.type === 'boolean' ? '' : ` ${option.type === 'integer' ? 'N' : 'TEXT'}`
    const head = `  ${flagOf(option)}${value}`
    const byDefault = defaultOf(command, option)
    const standard = byDefault === '' ? '' : ` (default ${byDefault})`
    return `${head.padEnd(36)}${option.doc}${standard}\n${' '.repeat(36)}${variableOf(option)}; ${allowedOf(option)}`
  })
  return `fastify-seata ${command} [options]: ${WHAT[command]}

  --config FILE                     YAML file with options as keys: host, port, httpPort, … (SEATA_CONFIG)
${lines.join('\n')}
  -h, --help                        this text

A flag wins over a variable, a variable over the file.
`
}
