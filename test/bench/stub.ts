// A do-nothing coordinator: answers every request at once and keeps nothing but what phase two needs. It shows what
// load program, sockets and codec cost: the floor under any coordinator in Node, and the load program's ceiling.
import { type AddressInfo, createServer } from 'node:net'
import { parseArgs } from 'node:util'
import { BranchType, GlobalStatus, MessageType, ResultCode } from '../../tc-core/wire/codes.ts'
import type { AnyMessage, MessageOf } from '../../tc-core/wire/message.ts'
import * as m from '../../tc-core/wire/messages/index.ts'
import { transactionId } from '../../tc-core/wire/xid.ts'
import { Channel, type Outgoing } from './channel.ts'

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } })
const Success = ResultCode.Success

interface Branch {
  readonly rm: Channel
  readonly id: bigint
  readonly request: MessageOf<typeof m.BranchRegister>
}

let lastId = transactionId(0, Date.now(), 0)
let lastRequest = 0
const branches = new Map<string, Branch[]>()
const COMMITTED = { type: m.GlobalCommitResult.code, resultCode: Success, globalStatus: GlobalStatus.Committed }
/** TCC commits that wait for their branch, by the id of the request to the RM. */
const commits = new Map<number, () => void>()

function answerTo(channel: Channel, message: AnyMessage): Outgoing {
  switch (message.type) {
    case m.GlobalBegin.code:
      return { type: m.GlobalBeginResult.code, resultCode: Success, xid: `127.0.0.1:8091:${++lastId}` }
    case m.BranchRegister.code: {
      const request = message as MessageOf<typeof m.BranchRegister>
      const id = ++lastId
      const branch = { rm: channel, id, request }
      const others = branches.get(request.xid)
      if (others) others.push(branch)
      else branches.set(request.xid, [branch])
      return { type: m.BranchRegisterResult.code, resultCode: Success, branchId: id }
    }
    case m.GlobalCommit.code:
      for (const branch of take(message as MessageOf<typeof m.GlobalCommit>)) branchCommit(branch)
      return COMMITTED
    case m.RegisterTM.code:
    case m.RegisterRM.code:
      return { type: message.type + 1, identified: true, version: '2.0.0' }
    default:
      throw new Error(`the stub knows no type ${message.type}`)
  }
}

function branchCommit({ rm, id, request }: Branch): number {
  const { xid, branchType, resourceId, applicationData } = request
  const requestId = (lastRequest = (lastRequest + 1) & 0x7fff_ffff)
  const message = { type: m.BranchCommit.code, xid, branchId: id, branchType, resourceId, applicationData }
  rm.send(message, MessageType.Request, requestId)
  return requestId
}

function take({ xid }: MessageOf<typeof m.GlobalCommit>): readonly Branch[] {
  const mine = branches.get(xid) ?? []
  branches.delete(xid)
  return mine
}

/** A commit of TCC is answered after its branch; there is one. */
function commit(channel: Channel, message: MessageOf<typeof m.GlobalCommit>, id: number): void {
  const answer = () => channel.send(COMMITTED, MessageType.Response, id)
  const branch = branches.get(message.xid)?.[0]
  if (branch?.request.branchType !== BranchType.TCC)
    return channel.send(answerTo(channel, message), MessageType.Response, id)
  take(message)
  commits.set(branchCommit(branch), answer)
}

function onMessage(channel: Channel, message: AnyMessage, id: number): void {
  if (message.type === m.GlobalCommit.code) {
    commit(channel, message as MessageOf<typeof m.GlobalCommit>, id)
  } else if (message.type === m.BranchCommitResult.code) {
    commits.get(id)?.()
    commits.delete(id)
  } else if (message.type === m.MergedWarp.code) {
    const { messages } = message as MessageOf<typeof m.MergedWarp>
    const results = messages.map((one) => answerTo(channel, one))
    channel.send({ type: m.MergeResult.code, messages: results }, MessageType.Response, id)
  } else {
    channel.send(answerTo(channel, message), MessageType.Response, id)
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  const channel = new Channel(socket)
  channel.onMessage = (message, id) => onMessage(channel, message, id)
  socket.on('data', (chunk: Buffer) => channel.push(chunk))
})
server.listen(Number(values.port), '127.0.0.1', () => {
  console.log(`stub ready rpc=${(server.address() as AddressInfo).port}`)
})
