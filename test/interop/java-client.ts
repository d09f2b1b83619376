// The Java program of one Seata version: its sources fitted to that version, built by Maven, and run against a coordinator.
import { cpSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { parseVersion, V1_5_0, V2_3_0 } from '../../tc-core/wire/version.ts'
import type { Database } from './mariadb.ts'
import { download, findTool, MAVEN, type Processes } from './processes.ts'

const SOURCES = join(import.meta.dirname, 'java')
const APACHE = 'org.apache.seata'
const BEFORE_APACHE = 'io.seata'
const BUILD_MS = 600_000
const RUN_MS = 180_000

/** The Maven group of a version, which is its Java package too: the name changed with 2.1.0. */
function groupOf(version: string): string {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 1) ? APACHE : BEFORE_APACHE
}

/** From 1.5 on the serializer protobuf is a jar of its own; there is none of 2.1.0, and that of 2.3.0 is the last. */
function hasProtobufApart(version: string): boolean {
  const number = parseVersion(version)
  return number >= V1_5_0 && number <= V2_3_0 && version !== '2.1.0'
}

export interface Round {
  /** Of its log file. */
  readonly name: string
  /** The feature that all its checks are of; without it, each scenario is one of its own. */
  readonly feature?: string
  /** `HOST:PORT` for Seata clients, several with a semicolon; of a client that finds them itself, what it is given. */
  readonly coordinator: string
  /** A folder with a `registry.conf` to be taken instead of the default one. */
  readonly registry?: string
  /** Scenarios to leave out. */
  readonly skipped: readonly string[]
  /** Settings of the client, as system properties. */
  readonly properties?: Readonly<Record<string, string>>
  /** A class without which this Seata does not offer what is tried. */
  readonly needs?: string
}

export class JavaClient {
  readonly version: string
  readonly #processes: Processes
  readonly #folder: string

  constructor(processes: Processes, folder: string, version: string) {
    this.#processes = processes
    this.version = version
    this.#folder = join(folder, `java-${version}`)
  }

  /** A class name of the newest Seata in terms of this one. */
  #named(text: string): string {
    return text.replaceAll(APACHE, groupOf(this.version))
  }

  async build(): Promise<void> {
    const group = groupOf(this.version)
    cpSync(join(SOURCES, 'pom.xml'), join(this.#folder, 'pom.xml'))
    cpSync(join(SOURCES, 'src'), join(this.#folder, 'src'), { recursive: true })
    for (const path of globSync(join(this.#folder, 'src/**/*.java'))) {
      writeFileSync(path, this.#named(readFileSync(path, 'utf8')))
    }
    const properties = [`-Dseata.group=${group}`, `-Dseata.version=${this.version}`, '-Dstyle.color=never']
    if (hasProtobufApart(this.version)) properties.push('-Pprotobuf')
    const build = this.#processes.run(
      `build-${this.version}`,
      {
        command: findTool('mvn'),
        args: ['--batch-mode', '--quiet', ...properties, 'compile', 'dependency:build-classpath'],
        cwd: this.#folder
      },
      BUILD_MS
    )
    await download(build, MAVEN)
  }

  /** Gives each line that the program prints, and fails when the program does. */
  async run(
    database: Database,
    round: Round,
    onLine: (line: string, say: (text: string) => void) => void
  ): Promise<void> {
    const { name, coordinator, registry, skipped, needs } = round
    const properties = { ...round.properties, ...(needs && { 'interop.needs': this.#named(needs) }) }
    const classes = join(this.#folder, 'target/classes')
    const libraries = readFileSync(join(this.#folder, 'target/classpath.txt'), 'utf8').trim()
    const path = [...(registry === undefined ? [] : [registry]), classes, libraries].join(delimiter)
    const schema = `interop_${this.version.replaceAll(/\W/g, '_')}`
    const url = `jdbc:mysql://127.0.0.1:${database.port}/${schema}?createDatabaseIfNotExist=true&useSSL=false`
    await this.#processes.run(
      `client-${this.version}-${name}`,
      {
        command: findTool('java'),
        args: [
          '-Xmx256m',
          '-XX:TieredStopAtLevel=1',
          // The Spring of Seata 1.4 makes classes in a way that Java 17 refuses else.
          '--add-opens=java.base/java.lang=ALL-UNNAMED',
          '-Dorg.slf4j.simpleLogger.showDateTime=true',
          '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
          ...Object.entries(properties).map(([key, value]) => `-D${key}=${value}`),
          '-cp',
          path,
          'interop.Main',
          coordinator,
          url,
          database.user,
          database.password,
          ...skipped
        ],
        onLine
      },
      RUN_MS
    )
  }
}
