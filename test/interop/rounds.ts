// What a Java client is run through: its features by name, and the settings that are tried one by one.

/** Every version that is run with --all; the first of each line of development and the last of each name of the Maven group. */
export const ALL_VERSIONS = ['1.4.2', '1.5.2', '1.6.1', '1.7.1', '1.8.0', '2.0.0', '2.1.0', '2.3.0', '2.5.0', '2.6.0']
/** Those of every CI run: both ends, and both sides of the changes on the wire. */
export const CI_VERSIONS = ['1.4.2', '1.6.1', '2.1.0', '2.6.0']
/** Of these, those that go through a cluster in every CI run. */
export const CLUSTER_VERSIONS = ['1.6.1', '2.6.0']

/** The scenarios of the Java program, in its order. */
export const SCENARIOS = [
  'tm',
  'tcc',
  'parallel',
  'at',
  'gateways',
  'lock',
  'timeout',
  'order',
  'xa',
  'saga',
  'reconnect'
] as const
export type Scenario = (typeof SCENARIOS)[number]

export function allBut(...kept: readonly Scenario[]): Scenario[] {
  return SCENARIOS.filter((scenario) => !kept.includes(scenario))
}

export interface Setting {
  /** Its name among the features. */
  readonly feature: string
  readonly properties: Readonly<Record<string, string>>
  /** What is run of it; a few scenarios if it does not say. */
  readonly scenarios?: readonly Scenario[]
  /** A class without which this Seata does not offer it; the package is that of the newest. */
  readonly needs?: string
}

/** `called` is its name in Seata's settings. */
const compressor = (name: string, needs: string, called = name): Setting => ({
  feature: `compressor ${name}`,
  properties: { 'transport.compressor': called },
  needs: `org.apache.seata.compressor.${needs}Compressor`
})

/** What is run of most settings. */
export const SETTING_SCENARIOS: readonly Scenario[] = ['tm', 'tcc', 'at']

export const SETTINGS: readonly Setting[] = [
  {
    feature: 'batching the other way',
    scenarios: [...SETTING_SCENARIOS, 'parallel'],
    properties: {
      'transport.enableClientBatchSendRequest': 'false',
      'transport.enableTmClientBatchSendRequest': 'true',
      'transport.enableRmClientBatchSendRequest': 'false'
    }
  },
  {
    feature: 'serializer protobuf',
    properties: { 'transport.serialization': 'protobuf' },
    needs: 'org.apache.seata.serializer.protobuf.ProtobufSerializer'
  },
  compressor('gzip', 'gzip.Gzip'),
  compressor('zip', 'zip.Zip'),
  compressor('bzip2', 'bzip2.BZip2'),
  compressor('lz4', 'lz4.Lz4'),
  compressor('deflater', 'deflater.Deflater'),
  compressor('zstd', 'zstd.Zstd'),
  // Where it is in the list decides who tries it in a CI run: this one has to be 1.4.2, and zstd a later one.
  compressor('7z', 'sevenz.SevenZ', 'sevenz')
]

/** The settings of one version: all of them, or its share, so that the versions of a run try all of them together. */
export function settingsOf(index: number, versions: number, all: boolean): readonly Setting[] {
  return all ? SETTINGS : SETTINGS.filter((_, i) => i % versions === index)
}
