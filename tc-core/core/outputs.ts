// What goes into a fragment's step and what comes out of it.
import type { HomeMessage } from '../wire/home.ts'
import type { BranchCall, CallFailure, Client } from '../wire/link.ts'
import type { AnyMessage } from '../wire/message.ts'
import { empty } from '../wire/table.ts'
import type { Effect } from './effects.ts'
import type { Session } from './session.ts'

/** A request and the way back. The core hands `R` back untouched with the reply. */
export interface Request {
  readonly client: Client
  readonly message: AnyMessage
  /** For GlobalBegin: the XID that the gateway proposes. */
  readonly proposed?: string
  /** The same for every sending of this request and no other's; 0 or none: it cannot be told from others. */
  readonly identity?: bigint
  /** It was sent before. Identities are looked up in any case, for the first sending may also come after the second. */
  readonly again?: boolean
  /** Of a begin: the trace that the client was in, as it sent it; kept with the session. */
  readonly origin?: string
}

export type Input =
  | { readonly kind: 'request'; readonly request: Request }
  /** The RM answered a call. */
  | { readonly kind: 'answered'; readonly call: number; readonly branchStatus: number }
  /** The call came to nothing: no channel, or the channel broke. */
  | { readonly kind: 'failed'; readonly call: number; readonly reason: CallFailure }
  /** RMs registered these resources: who waits for one of them need wait no longer. */
  | { readonly kind: 'resources'; readonly resourceIds: readonly string[] }
  /** The leader of another fragment says something about rows; `term` is that leader's. */
  | {
      readonly kind: 'between'
      readonly from: number
      readonly term: number
      readonly message: HomeMessage
      /** As of a request: for the host. */
      readonly trace?: string
    }
  | { readonly kind: 'tick' }

/**
 * When something may leave. `confirmed`: when everything up to this step is in the log, and it is certain that this replica led after the
 * step. `eventually`: the same, but nobody waits, so it need not bring about a record of its own. `logged`: when what earlier steps promised
 * somebody is in the log; as an answer that was long on its way, it may come from a leader that has just been deposed. `now`: what it says
 * is in the log already, or does no harm if it never comes to be there.
 */
export type Release = 'confirmed' | 'eventually' | 'logged' | 'now'

/** To the leader of another fragment. It may be lost: what has to arrive is sent again from here. */
export interface Send {
  readonly to: number
  readonly message: HomeMessage
  readonly release: Release
}

export interface Reply {
  readonly request: Request
  readonly message: AnyMessage
  readonly release: Release
}

/** For the operator: something happened that a person may have to look at. */
export interface Note {
  readonly level: 'info' | 'warn' | 'error'
  readonly text: string
  readonly xid: string
}

/** A transaction that is over, with its last status. */
export interface Ended {
  readonly session: Session
  readonly status: number
}

/** What a step brings forth, in order. One object serves many steps: who drives the core empties it. */
export class Outputs {
  readonly effects: Effect[] = []
  readonly replies: Reply[] = []
  readonly calls: { readonly call: BranchCall; readonly release: Release }[] = []
  readonly sends: Send[] = []
  readonly notes: Note[] = []
  /** For who counts and traces: the state knows these sessions no more. */
  readonly ended: Ended[] = []

  clear(): void {
    empty(this.effects)
    empty(this.replies)
    empty(this.calls)
    empty(this.sends)
    empty(this.notes)
    empty(this.ended)
  }
}
