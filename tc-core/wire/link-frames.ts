// The frames of a link: what gateways and nodes say to each other over TCP. A table a frame, as for Seata's own messages.
//   u32 length of what follows | u8 kind | fields
import type { Writer } from './bytes.ts'
import { bool8, type Dialect, type Field, i32, i64, str16, str32, u8, u16, u53 } from './fields.ts'
import { type MessageOf, Registry, table } from './message.ts'

/** Bytes up to the end of the frame, as they are; valid as long as the frame is. */
const rest: Field<Buffer> = {
  initial: Buffer.alloc(0),
  read: (r) => r.raw(r.left),
  write: (w: Writer, bytes: Buffer) => w.raw(bytes),
  skip: (r) => void r.skip(r.left)
}

/** A traceparent after one byte of length, which is all that is there when there is none. */
const traceparent: Field<string> = {
  initial: '',
  read: (r) => r.text(r.u8()),
  write(w, text) {
    const at = w.room(1)
    const n = w.text(text)
    w.bytes[at] = n
  },
  skip: (r) => void r.skip(r.u8())
}

/**
 * The first frame of both sides. `writer` is drawn anew with every start of a process. `challenge`: 16 bytes that are drawn anew for every
 * link, by who has a cluster key; empty without one.
 */
export const Hello = table(1, 'hello', {
  protocol: u8,
  role: u8,
  cluster: str16,
  name: str16,
  writer: i64,
  challenge: rest
})

/** Says no more than that this side lives, when nothing else was said for a while. */
export const Ping = table(2, 'ping', { sequence: i32 })

/** A client session of the gateway, before its first request over this link. */
export const ClientKnown = table(4, 'clientKnown', {
  client: i32,
  applicationId: str16,
  transactionServiceGroup: str16,
  clientId: str16,
  version: i32
})
export const ClientGone = table(5, 'clientGone', { client: i32 })

/** A request: `body` is Seata's body, untouched. `again`: it may have been executed before, under the same identity. */
export const Request = table(6, 'request', {
  id: i32,
  client: i32,
  fragment: u16,
  again: bool8,
  /** As of LinkRequest: how long, for nobody's clock is another's. */
  waited: u16,
  /** As Dialect: the version byte, and whether short messages are one byte long. */
  version: u8,
  shortMsg: bool8,
  codec: u8,
  identity: i64,
  proposed: str16,
  /** As of LinkRequest. */
  trace: traceparent,
  origin: traceparent,
  body: rest
})
export const Answer = table(7, 'answer', { id: i32, body: rest })
/** `reason`: place in REFUSALS. */
export const Refused = table(8, 'refused', { id: i32, reason: u8 })

/** Phase two, from a leader to the gateway that holds a fitting connection. `kind`: 0 commit, 1 rollback. */
export const Call = table(9, 'call', {
  id: i32,
  kind: u8,
  xid: str16,
  branchId: i64,
  branchType: u8,
  resourceId: str16,
  clientId: str16,
  applicationData: str32,
  anyApplication: bool8,
  timeout: i32,
  trace: traceparent
})
/** `outcome`: a branch status, or CALL_FAILED less the place in FAILURES. */
export const Called = table(10, 'called', { id: i32, outcome: i32 })

/** An RM connection of this gateway serves these resources, a comma between two, from now on. */
export const RmServes = table(11, 'rmServes', { clientId: str16, resourceIds: str32 })
export const RmDrops = table(12, 'rmDrops', { clientId: str16, resourceIds: str32 })
export const RmGone = table(13, 'rmGone', { clientId: str16 })

/** The fragments that this node leads and serves: all of them, whenever that changes. */
export const Leads = table(14, 'leads', { list: leadList() })
/** The cluster as this node knows it: members, fragments, and how new the knowledge is. JSON, for it is seldom. */
export const View = table(15, 'view', { json: str32 })

/** A message from one fragment to another; `term` is the sender's. It may be lost. */
export const Between = table(16, 'between', { from: u16, to: u16, term: u53, trace: traceparent, body: rest })
/** A record of the log, confirmed: for the replicas that follow. */
export const Appended = table(17, 'appended', { fragment: u16, record: rest })
/** The leader has stopped at `index`: the node `to` is to take the lead, and the others leave it to it. */
export const HandOver = table(18, 'handOver', { fragment: u16, index: u53, to: str16 })
/**
 * How far a replica has read, or written when it leads: a leader hands over to who has caught up, and a follower need not look. `ready`: the
 * store answers this node, so that it could lead.
 */
export const Follows = table(19, 'follows', { ready: bool8, list: leadList() })

/** Where clients reach a gateway, `host:port` each: from the gateway to the nodes. Empty: it stops. */
export const GatewayAt = table(20, 'gatewayAt', { transaction: str16, control: str16 })
/** Every gateway that has a link to this node. JSON: see Place in link.ts. */
export const Gateways = table(21, 'gateways', { json: str32 })

/** Both sides, after their hellos, when there is a cluster key: see link-key.ts. */
export const Proof = table(22, 'proof', { mac: rest })
/** Before the hello of a gateway that does not reach a node itself: the rest of the connection is for the node whose link is at `link`. */
export const Through = table(23, 'through', { link: str16 })

export const linkFrames = new Registry([
  Hello,
  Ping,
  ClientKnown,
  ClientGone,
  Request,
  Answer,
  Refused,
  Call,
  Called,
  RmServes,
  RmDrops,
  RmGone,
  Leads,
  View,
  Between,
  Appended,
  HandOver,
  Follows,
  GatewayAt,
  Gateways,
  Proof,
  Through
])

export type LinkFrame = MessageOf<(typeof linkFrames.tables)[number]>

/** A fragment and a number: of the term in which it is led, or of the record up to which it is read. */
export interface FragmentMark {
  readonly fragment: number
  readonly mark: number
}

function leadList(): Field<readonly FragmentMark[]> {
  return {
    initial: [],
    read(r) {
      const count = r.u16()
      return Array.from({ length: count }, () => ({ fragment: r.u16(), mark: r.u53() }))
    },
    write(w, list) {
      w.u16(list.length)
      for (const { fragment, mark } of list) {
        w.u16(fragment)
        w.u53(mark)
      }
    },
    skip(r) {
      r.skip(r.u16() * 9)
    }
  }
}

export const LINK_PROTOCOL = 4
export const LinkRole = { Gateway: 0, Node: 1 } as const
export const LINK_DIALECT: Dialect = { version: 1, shortMsg: false }
/** A snapshot never goes over a link, a record is below 1 MiB, a client's frame below 8 MiB. */
export const MAX_LINK_FRAME_BYTES = 9 * 1024 * 1024
