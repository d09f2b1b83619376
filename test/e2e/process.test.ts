// The command as a user runs it: its line, its options, its end by signal and by kill -9, and a full disk.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { readArguments } from '../../plugin/arguments.ts'
import { BranchType, GlobalStatus } from '../../tc-core/wire/codes.ts'
import { eventually } from '../host/harness.ts'
import { connect, ServerProcess, temporaryDirectory } from './servers.ts'

const free = ['--port', '0', '--http-port', '0']

test('start prints one line with both addresses, the store and the version', async (t) => {
  const server = new ServerProcess(t, ['start', ...free, '--kv', `sqlite:${temporaryDirectory(t)}/data`])
  const { port, httpPort } = await server.ready()
  t.regex(
    server.stdout,
    /^fastify-seata \d+\.\d+\.\d+: Seata on 127\.0\.0\.1:\d+, HTTP on 127\.0\.0\.1:\d+, store sqlite:\S+\/data\n$/
  )
  const health = await fetch(`http://127.0.0.1:${httpPort}/health`)
  t.is(health.status, 200)
  t.is(await health.text(), '"ok"')
  const detail = (await (await fetch(`http://127.0.0.1:${httpPort}/health/detail`)).json()) as { fragments: object[] }
  t.like(detail.fragments[0], { fragment: 0, role: 'leader', trouble: null })
  const client = await connect(t, { port })
  await client.registerTM()
  const { xid } = await client.begin()
  t.true(xid.startsWith(`127.0.0.1:${port}:`))
  t.is((await client.commit(xid)).globalStatus, GlobalStatus.Committed)
})

test('T2: without a word about ports, a client finds it on 8091, and its address is all that a client has to know', async (t) => {
  // An address of its own on the loopback: somebody may have the port on the usual one.
  const host = '127.82.9.1'
  const server = new ServerProcess(t, ['start', '--kv', 'memory:', '--host', host])
  await server.ready()
  t.true(server.stdout.includes(`Seata on ${host}:8091, HTTP on ${host}:7091`))
  const client = await connect(t, { host, port: 8091 })
  await client.registerTM()
  await client.registerRM('tcc')
  const { xid } = await client.begin()
  t.is((await client.register(xid, 'tcc', BranchType.TCC)).resultCode, 1)
  t.is((await client.commit(xid)).globalStatus, GlobalStatus.Committed)
})

test('R20: several on one host by their HTTP ports alone: the ports for clients and links follow', async (t) => {
  t.timeout(60_000)
  const host = '127.82.9.2'
  const clients = [7091, 7191, 7291].map(async (httpPort) => {
    const server = new ServerProcess(t, ['start', '--kv', 'memory:', '--host', host, '--http-port', String(httpPort)])
    t.deepEqual(await server.ready(), { port: httpPort + 1000, httpPort })
    const client = await connect(t, { host, port: httpPort + 1000 })
    await client.registerTM()
    t.true((await client.begin()).xid.startsWith(`${host}:${httpPort + 1000}:`))
  })
  await Promise.all(clients)
  const link = (...args: string[]) => readArguments('node', args, {}).config.link
  t.is(link(), '127.0.0.1:9091')
  t.is(link('--http-port', '7291'), '127.0.0.1:9191')
  t.is(link('--http-port', '7291', '--link', 'n1:1'), 'n1:1')
  t.is(readArguments('start', ['--http-port', '7191', '--port', '5'], {}).config.port, 5)
  t.is(readArguments('start', ['--http-port', '0'], {}).config.port, 8091)
})

test('R3: it needs nobody: the process has no connection but those of its clients', async (t) => {
  const server = new ServerProcess(t, ['start', ...free, '--kv', `sqlite:${temporaryDirectory(t)}`])
  const { port, httpPort } = await server.ready()
  const client = await connect(t, { port })
  await client.registerTM()
  await client.registerRM('tcc')
  const { xid } = await client.begin()
  await client.register(xid, 'tcc', BranchType.TCC)
  t.is((await client.commit(xid)).globalStatus, GlobalStatus.Committed)
  const sockets = socketsOf(server.child.pid!)
  const listens = sockets.filter(({ remotePort }) => remotePort === 0).map(({ localPort }) => localPort)
  t.deepEqual(listens.sort(), [port, httpPort].sort())
  const peers = sockets.filter(({ remotePort }) => remotePort !== 0)
  t.deepEqual(peers, [{ localPort: port, remotePort: client.socket.localPort! }])
})

/** The TCP sockets of a process, as the kernel has them. */
function socketsOf(pid: number): { localPort: number; remotePort: number }[] {
  const open = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
    } catch {
      return []
    }
  })
  const lines = ['tcp', 'tcp6'].flatMap((kind) => readFileSync(`/proc/${pid}/net/${kind}`, 'utf8').split('\n').slice(1))
  const portOf = (address: string) => Number.parseInt(address.split(':')[1]!, 16)
  return lines.flatMap((line) => {
    const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/)
    return open.includes(inode ?? '') ? { localPort: portOf(local!), remotePort: portOf(remote!) } : []
  })
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal}: what is in flight is finished, then it ends with 0`, async (t) => {
    const kv = `sqlite:${temporaryDirectory(t)}`
    const server = new ServerProcess(t, ['start', ...free, '--kv', kv])
    const { port } = await server.ready()
    const tm = await connect(t, { port })
    const rm = await connect(t, { port })
    await tm.registerTM()
    await rm.registerRM('tcc')
    const { xid } = await tm.begin()
    await rm.register(xid, 'tcc', BranchType.TCC)
    let answer: ((status: number) => void) | undefined
    rm.onBranch = () => new Promise((resolve) => (answer = resolve))
    const committed = tm.commit(xid)
    await eventually(() => answer !== undefined)
    server.child.kill(signal)
    await eventually(() => server.stderr.includes('stops'))
    answer!(5)
    t.is((await committed).globalStatus, GlobalStatus.Committed)
    t.deepEqual(await server.exited, { code: 0, signal: null })
  })
}

test('kill -9 and a restart: everything acknowledged is there, on the same port, with what was decided carried out', async (t) => {
  const kv = `sqlite:${temporaryDirectory(t)}`
  const first = new ServerProcess(t, ['start', ...free, '--kv', kv])
  const { port } = await first.ready()
  const tm = await connect(t, { port })
  const rm = await connect(t, { port })
  await tm.registerTM()
  await rm.registerRM('jdbc:db', 'tcc')
  const { xid: open } = await tm.begin('open')
  await rm.register(open, 'jdbc:db', BranchType.AT, 't:1')
  const { xid: committed } = await tm.begin('committed')
  await tm.commit(committed)
  const { xid: decided } = await tm.begin('decided')
  const { branchId } = await rm.register(decided, 'tcc', BranchType.TCC)
  rm.onBranch = () => 'silent'
  void tm.commit(decided).catch(() => {})
  await eventually(async () => (await tm.status(decided)).globalStatus === GlobalStatus.Committing)
  await first.kill('SIGKILL')

  const second = new ServerProcess(t, ['start', '--port', String(port), '--http-port', '0', '--kv', kv])
  await second.ready()
  const tm2 = await connect(t, { port })
  const rm2 = await connect(t, { port })
  await tm2.registerTM()
  const called: bigint[] = []
  rm2.onBranch = (request) => {
    called.push(request.branchId)
    return 5
  }
  t.is((await tm2.status(open)).globalStatus, GlobalStatus.Begin)
  t.is((await tm2.commit(committed)).globalStatus, GlobalStatus.Committed)
  await rm2.registerRM('jdbc:db', 'tcc')
  await eventually(async () => (await tm2.status(decided)).globalStatus === GlobalStatus.Committed)
  t.deepEqual(called, [branchId])
  const { xid: other } = await tm2.begin('other')
  t.is((await rm2.register(other, 'jdbc:db', BranchType.AT, 't:1')).transactionExceptionCode, 2)
  t.is((await tm2.commit(open)).globalStatus, GlobalStatus.Committed)
  t.is((await rm2.register(other, 'jdbc:db', BranchType.AT, 't:1')).resultCode, 1)
})

test('a full disk: nothing succeeds, /health says why, and all goes on when there is room', async (t) => {
  const directory = temporaryDirectory(t)
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', directory]).status !== 0) {
    t.log('skipped: a small disk cannot be mounted here')
    return t.pass()
  }
  t.teardown(() => spawnSync('umount', ['-l', directory]))
  const server = new ServerProcess(t, ['start', ...free, '--kv', `sqlite:${directory}/data`])
  const { port, httpPort } = await server.ready()
  const health = () => fetch(`http://127.0.0.1:${httpPort}/health`)
  const client = await connect(t, { port })
  await client.registerTM()
  const acknowledged: string[] = []
  const name = 'x'.repeat(500)
  let refused = ''
  while (refused === '') {
    const answers = await Promise.all(Array.from({ length: 50 }, () => client.begin(name)))
    for (const answer of answers) {
      if (answer.resultCode === 1) acknowledged.push(answer.xid)
      else refused = answer.msg
    }
  }
  t.regex(refused, /TransactionException\[(the store does not answer|no leader serves fragment)/)
  const sick = await health()
  t.is(sick.status, 503)
  t.regex(await sick.text(), /not_ok.*fragment 0: /)
  t.regex(server.stderr, /the store fails, nothing is answered until it is back/)
  t.is(spawnSync('mount', ['-o', 'remount,size=50m', directory]).status, 0)
  await eventually(async () => (await health()).status === 200)
  for (const xid of acknowledged) t.is((await client.status(xid)).globalStatus, GlobalStatus.Begin)
  t.is((await client.begin()).resultCode, 1)
})

test('--help shows every option, with its variable; no command and a wrong one show the commands', async (t) => {
  const help = new ServerProcess(t, ['start', '--help'])
  t.deepEqual(await help.exited, { code: 0, signal: null })
  for (const word of ['--config', '--port', '--http-port', '--kv', '--max-transactions', 'SEATA_HTTP_PORT', '8091']) {
    t.true(help.stdout.includes(word), word)
  }
  const none = new ServerProcess(t, [])
  t.is((await none.exited).code, 0)
  t.true(none.stdout.includes('fastify-seata start'))
  const wrong = new ServerProcess(t, ['strat'])
  t.is((await wrong.exited).code, 2)
  t.true(wrong.stderr.includes('strat is not a command'))
})

test('mistakes in options stop the start with a message that names key, value and what is allowed', async (t) => {
  const directory = temporaryDirectory(t)
  const yaml = (text: string) => {
    const file = join(directory, `${text.replace(/\W/g, '_')}.yml`)
    writeFileSync(file, text)
    return file
  }
  for (const [args, env, text] of [
    [['--port', '99999'], {}, /--port is 99999, allowed is a whole number, 0 to 65535/],
    [['--port', 'http'], {}, /--port is "http", allowed is a whole number/],
    [[], { SEATA_HTTP_PORT: '-1' }, /SEATA_HTTP_PORT is -1, allowed is/],
    [['--prt', '1'], {}, /--prt is not an option, did you mean port\?/],
    [['--port'], {}, /--port needs a value/],
    [['extra'], {}, /extra is not an option/],
    [['--kv', 'mysql://x'], {}, /--kv is "mysql:\/\/x", allowed is sqlite:DIR, lmdb:DIR, memory:/],
    [['--log-level', 'loud'], {}, /--log-level is "loud", allowed is one of fatal, error/],
    [['--fragments', '129'], {}, /--fragments is 129, allowed is a whole number, 1 to 128/],
    [['--advertise', `${'a'.repeat(60)}:1`], {}, /--advertise is .* at most 44 characters/],
    [['--config', join(directory, 'none.yml')], {}, /none\.yml cannot be read/],
    [['--config', yaml('prot: 1')], {}, /prot in .*\.yml is not an option, did you mean port\?/],
    [['--config', yaml('port: "abc"')], {}, /port in .*\.yml is "abc", allowed is/],
    [['--config', yaml('- a\n- b')], {}, /has to hold keys and values/]
  ] as [string[], NodeJS.ProcessEnv, RegExp][]) {
    const server = new ServerProcess(t, ['start', ...args], env)
    const { code } = await server.exited
    t.is(code, 2, `${args}`)
    t.regex(server.stderr, text)
    t.is(server.stdout, '')
  }
})

test('options come from the file, variables over it, flags over those', async (t) => {
  const directory = temporaryDirectory(t)
  const file = join(directory, 'seata.yml')
  writeFileSync(
    file,
    `port: 0\nhttpPort: 0\nkv: sqlite:${directory}/from-file\nadvertise: file.example:1\nmaxTransactions: 1\n`
  )
  const server = new ServerProcess(t, ['start', '--advertise', 'flag.example:3'], {
    SEATA_CONFIG: file,
    SEATA_ADVERTISE: 'variable.example:2',
    SEATA_KV: `sqlite:${directory}/from-variable`,
    SEATA_MISSPELT: '1'
  })
  const { port } = await server.ready()
  t.true(server.stdout.includes('/from-variable'))
  t.true(server.stderr.includes('SEATA_MISSPELT is not an option'))
  const client = await connect(t, { port })
  await client.registerTM()
  t.true((await client.begin()).xid.startsWith('flag.example:3:'))
  t.regex((await client.begin()).msg, /1 transactions are active and that is the limit/)
})

test('listening everywhere, XIDs carry an address that clients can dial', async (t) => {
  const server = new ServerProcess(t, ['start', ...free, '--kv', 'memory:', '--host', '0.0.0.0'])
  const { port } = await server.ready()
  const client = await connect(t, { port })
  await client.registerTM()
  const [host] = (await client.begin()).xid.split(':')
  t.not(host, '0.0.0.0')
  const there = await connect(t, { port, host: host! })
  t.like(await there.registerTM(), { identified: true })
})

test('a port that is taken, and a store that cannot be opened, end the start with a message', async (t) => {
  const first = new ServerProcess(t, ['start', ...free, '--kv', 'memory:'])
  const { port } = await first.ready()
  const second = new ServerProcess(t, ['start', '--port', String(port), '--http-port', '0', '--kv', 'memory:'])
  t.is((await second.exited).code, 1)
  t.regex(second.stderr, /EADDRINUSE.*127\.0\.0\.1/)
  const third = new ServerProcess(t, ['start', ...free, '--kv', 'sqlite:/dev/null/x'])
  t.is((await third.exited).code, 1)
  t.regex(third.stderr, /cannot open the store sqlite:\/dev\/null\/x/)
})
