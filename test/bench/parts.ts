// The parts of the whole measurement: `npm run bench -- PART` gives each with these options, and writes results/PART.json.

export interface Part {
  readonly what: string
  /** About how long it takes on two cores. */
  readonly minutes: number
  readonly options: readonly string[]
}

const SHORT = ['--rounds', '5', '--seconds', '5', '--warmup', '1', '--first-warmup', '8']
const RAFT = ['--apart', '--keep', '--sides', 'etcd,redis,peer', '--peer-mode', 'raft', '--first-warmup', '40']

export const PARTS: Readonly<Record<string, Part>> = {
  file: {
    what: 'one process beside the Java server in file mode, and the stub',
    minutes: 14,
    options: [...SHORT, '--sides', 'ours,peer,stub', '--only', 'empty,tcc,at,at4,hot,merged,idle']
  },
  log: {
    what: "the Java server's log level: WARN and INFO, as it is shipped",
    minutes: 4,
    options: [...SHORT, '--rounds', '3', '--sides', 'peer,peer-info', '--only', 'empty,tcc,at']
  },
  // Java's raft servers burn CPU for minutes after they were asked anything, and take one to start: so one side after the other.
  raft: {
    what: 'three nodes and a gateway over etcd and over Redis, beside three Java servers in raft mode',
    minutes: 18,
    options: [...SHORT, ...RAFT, '--only', 'empty,tcc,at,at4']
  },
  redis: {
    what: 'one process, and three nodes over Redis, beside the Java server in redis mode',
    minutes: 8,
    options: [...SHORT, '--sides', 'ours,redis,peer,stub', '--peer-mode', 'redis', '--only', 'empty,tcc,at']
  },
  open: {
    what: "latency at 50 % and 80 % of what each can, and of ours at the peer's rates, by an open loop",
    minutes: 11,
    options: [...SHORT, '--rounds', '3', '--sides', 'ours,peer', '--only', 'empty,tcc,at', '--open', '50,80']
  },
  steady: {
    what: 'ten minutes without a break: how steady it is, snapshots included',
    minutes: 11,
    options: ['--sides', 'ours', '--only', 'tcc', '--rounds', '1', '--seconds', '600', '--first-warmup', '8']
  },
  live: {
    what: 'others while a snapshot of 100,000 live transactions is taken',
    minutes: 2,
    options: [...SHORT, '--sides', 'calm,snapshots', '--only', 'live']
  }
}
