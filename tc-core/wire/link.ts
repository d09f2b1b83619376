// What passes between a gateway and the nodes: requests up, phase-two calls down. In one process these are the calls themselves.
import type { Dialect } from './fields.ts'
import type { LockHomes } from './lock-homes.ts'

/** A client connection, as it registered. */
export interface Client {
  readonly applicationId: string
  readonly transactionServiceGroup: string
  /** `applicationId:ip:port`: phase two of a branch looks for this connection first. */
  readonly clientId: string
  /** As a number, see version.ts. */
  readonly version: number
}

/** A request on its way to the leader of its fragment, and the way back. Exactly one of `answer` and `refuse` is called, once. */
export interface LinkRequest {
  readonly client: Client
  readonly fragment: number
  /** Form and serializer of the body, and of the answer. */
  readonly dialect: Dialect
  readonly codec: number
  /** The body lies in `bytes[start, end)`: valid only while `Upstream.request` runs. */
  readonly bytes: Buffer
  readonly start: number
  readonly end: number
  /** For GlobalBegin: the XID that the gateway proposes. */
  readonly proposed: string
  /** The same for every sending of this request, and no other's: a number that no two gateways share. */
  readonly identity: bigint
  /** It was sent before and may have been executed. */
  readonly again: boolean
  /** How long it had waited at the gateway when it was sent this time, ms: its client's patience goes on, wherever it is sent. */
  readonly waited: number
  /** The traceparent of the span that it is part of; empty or none: it is not traced. */
  readonly trace?: string
  /** Of a begin: the traceparent that the client sent, which its transaction belongs to; empty or none: there is none. */
  readonly origin?: string
  /** It goes to this node over a link, which is a hop of its trace. */
  hop?(node: string): void
  /** Makes the body its own, so that it can be sent again. */
  keep(): void
  /** A whole body, valid only during the call. */
  answer(body: Buffer): void
  refuse(reason: Refusal): void
}

/**
 * Why a request was not answered. `xid-taken`: propose another XID. `unavailable`: nobody serves the fragment, it was not executed.
 * `lost`: the leader lost its place, whether it was executed is open. The order is the link's: see link-frames.ts.
 */
export const REFUSALS = ['xid-taken', 'unavailable', 'lost'] as const
export type Refusal = (typeof REFUSALS)[number]

/** A phase-two request to an RM. */
export interface BranchCall {
  readonly id: number
  readonly kind: 'commit' | 'rollback'
  readonly xid: string
  readonly branchId: bigint
  readonly branchType: number
  readonly resourceId: string
  /** The connection that registered the branch. */
  readonly clientId: string
  readonly applicationData: string
  /** Any application that registered the resource will do, not only the one that registered the branch. */
  readonly anyApplication: boolean
  /** Ms after which nobody waits for the answer any more. */
  readonly timeout: number
  /** As of a request. */
  readonly trace?: string
  /** The node that calls, over a link; none: it is in the same process. */
  readonly node?: string
}

/** `not-connected`: no connection fits. `no-answer`: it was sent, or may have been, and the RM did not answer in a way that counts. */
export const CALL_FAILURES = ['not-connected', 'no-answer'] as const
export type CallFailure = (typeof CALL_FAILURES)[number]

/** How a call came out: the RM's branch status, or why there is none. */
export type CallOutcome = number | CallFailure

/** A gateway as clients find it: `host:port` for Seata's protocol and for HTTP. */
export interface Place {
  readonly name: string
  readonly transaction: string
  readonly control: string
}

/** What a gateway forwards to. Today the nodes of this product; later also an existing Seata server. */
export interface Upstream {
  request(request: LinkRequest): void
  /** The RM connection serves these resources from now on. */
  rmServes(clientId: string, resourceIds: readonly string[]): void
  rmDrops(clientId: string, resourceIds: readonly string[]): void
  /** The client's connection is gone. */
  clientGone(client: Client): void
  /** The fragments that take new transactions. */
  openFragments(): readonly number[]
  /** Whether somebody answers for the fragment now; a request for one that is not served is better kept back. */
  serves(fragment: number): boolean
  /** Whether there is such a fragment. */
  exists(fragment: number): boolean
  /** Where the rows of a table are guarded; null where they have several homes, or it is not known, or all are guarded where they are locked. */
  readonly tableHomes: LockHomes | null
  /** Set by the gateway. */
  downstream: Downstream | null
}

/** Who carries phase two to the RMs. */
export interface Callee {
  /** Delivers a call to a fitting RM; `done` is called once at most, and not after the call's timeout. */
  call(call: BranchCall, done: (outcome: CallOutcome) => void): void
}

/** What the nodes ask of a gateway. */
export interface Downstream extends Callee {
  /** A fragment is served, or no longer. */
  servingChanged(fragment: number): void
  /** Other fragments than before exist, or take new transactions. */
  fragmentsChanged(): void
}
