// A rehearsal before a node joins. V8 has made nothing yet of the code that serves requests: the first dozen transactions take as much of its time
// as the next thousand, and all that time everybody waits whose fragment has just been handed over. So the first are of a coordinator that keeps
// nothing and that nobody knows.
import { openMemory } from '../storage/memory.ts'
import { Reader, Writer } from '../wire/bytes.ts'
import { BranchStatus, BranchType } from '../wire/codes.ts'
import type { Client, LinkRequest } from '../wire/link.ts'
import type { Log } from '../wire/log.ts'
import type { AnyMessage, MessageOf } from '../wire/message.ts'
import {
  BranchRegister,
  GlobalBegin,
  type GlobalBeginResult,
  GlobalCommit,
  GlobalRollback,
  GlobalStatus,
  readBody,
  writeBody
} from '../wire/messages/index.ts'
import { EPOCH_MS, transactionId } from '../wire/xid.ts'
import { NodeFigures } from './figures.ts'
import { Node } from './node.ts'

/** Transactions at a time, and how many times: beyond some hundred they get hardly faster. It takes about 70 ms of CPU. */
const TOGETHER = 16
const ROUNDS = 24
const STOP_MS = 1_000

const DIALECT = { version: 1, shortMsg: false } as const
const NAME = 'rehearsal'
const CLIENT: Client = {
  applicationId: NAME,
  transactionServiceGroup: NAME,
  clientId: `${NAME}:127.0.0.1:1`,
  version: 0
}

/** Resolves with the number of requests that were answered. */
export async function rehearse(logger: Log): Promise<number> {
  const node = new Node({
    ...{ cluster: NAME, name: NAME, fragments: 1, storage: openMemory(), figures: new NodeFigures() },
    logger: {
      debug: () => {},
      info: () => {},
      warn: (fields, text) => logger.warn(fields, text),
      error: (fields, text) => logger.error(fields, text)
    }
  })
  node.downstream = {
    call: (_call, done) => void setImmediate(() => done(BranchStatus.PhaseTwo_Committed)),
    servingChanged: () => {},
    fragmentsChanged: () => {}
  }
  await node.start()
  let requests = 0
  let answers = 0
  const ask = async (message: AnyMessage & Record<string, unknown>): Promise<AnyMessage> => {
    const answer = await sent(node, message, ++requests)
    answers++
    return answer
  }
  for (let round = 0; round < ROUNDS; round++) {
    await Promise.all(Array.from({ length: TOGETHER }, (_, i) => transaction(ask, round * TOGETHER + i)))
  }
  await node.stop(STOP_MS)
  return answers
}

async function transaction(
  ask: (message: AnyMessage & Record<string, unknown>) => Promise<AnyMessage>,
  n: number
): Promise<void> {
  const begun = await ask({ type: GlobalBegin.code, timeout: 60_000, transactionName: NAME })
  const { xid } = begun as MessageOf<typeof GlobalBeginResult>
  const [branchType, lockKey] = n % 2 === 0 ? [BranchType.AT, `${NAME}:${n}`] : [BranchType.TCC, '']
  await ask({ type: BranchRegister.code, xid, branchType, resourceId: NAME, lockKey, applicationData: '{}' })
  await ask({ type: (n % 8 === 0 ? GlobalRollback : GlobalCommit).code, xid, extraData: '' })
  if (n % 8 === 0) await ask({ type: GlobalStatus.code, xid, extraData: '' })
}

/** Resolves with the answer, as a gateway would get it. */
function sent(node: Node, message: AnyMessage, n: number): Promise<AnyMessage> {
  const w = new Writer(256)
  writeBody(w, message, DIALECT)
  return new Promise((resolve, reject) => {
    const request: LinkRequest = {
      ...{ client: CLIENT, fragment: 0, dialect: DIALECT, codec: 1, bytes: w.bytes, start: 0, end: w.pos },
      proposed: `127.0.0.1:8091:${transactionId(0, EPOCH_MS + n, 0)}`,
      identity: BigInt(n),
      again: false,
      waited: 0,
      keep: () => {},
      answer: (body) => resolve(readBody(new Reader(body), DIALECT)),
      refuse: (reason) => reject(new Error(reason))
    }
    node.request(request)
  })
}
