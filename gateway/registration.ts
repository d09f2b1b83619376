// RegisterTM, RegisterRM and UnregisterRM: who a connection is.

import { MessageType } from '../tc-core/wire/codes.ts'
import type { Frame } from '../tc-core/wire/frame.ts'
import type { Client } from '../tc-core/wire/link.ts'
import type { AnyMessage, MessageOf } from '../tc-core/wire/message.ts'
import { type RegisterRM, RegisterTM, UnregisterRM } from '../tc-core/wire/messages/index.ts'
import { parseVersion } from '../tc-core/wire/version.ts'
import type { ClientSession } from './session.ts'

/**
 * The version that clients are told. Clients up to 2.6 only log it; a 2.7 client sends UnregisterRM to whoever is at least 2.6.0, and we
 * know what that is.
 */
export const SERVER_VERSION = '2.6.0'

type Identity = MessageOf<typeof RegisterTM>

/** Who is told what an RM connection serves. */
export interface RmDirectory {
  rmServes(session: ClientSession, resourceIds: readonly string[]): void
  rmDrops(session: ClientSession, resourceIds: readonly string[]): void
  /** The connection, which was `before`, registered as another. */
  renamed(session: ClientSession, before: Client): void
}

/** Takes a registration in and returns its result. */
export function takeRegistration(
  session: ClientSession,
  message: AnyMessage,
  frame: Pick<Frame, 'messageType' | 'codec' | 'version'>,
  directory: RmDirectory
): AnyMessage {
  const type = message.type + 1
  if (message.type === RegisterTM.code) {
    // seata-go alone registers its TM without waiting for an answer.
    const before = session.client
    identify(session, message as Identity, frame, frame.messageType === MessageType.OneWay)
    if (before && before !== session.client) directory.renamed(session, before)
    return accepted(type)
  }
  const { resourceIds } = message as MessageOf<typeof RegisterRM>
  const list = resourceIds.split(',').filter((resourceId) => resourceId !== '')
  if (message.type === UnregisterRM.code) {
    directory.rmDrops(session, list)
    return { type, identified: list.length > 0, version: SERVER_VERSION } as AnyMessage
  }
  // The first registration of a connection says who it is; a later RegisterRM only adds resources, as on the Java server.
  if (!session.client) identify(session, message as Identity, frame, false)
  session.isRm = true
  directory.rmServes(session, list)
  return accepted(type)
}

function identify(
  session: ClientSession,
  message: Identity,
  frame: Pick<Frame, 'codec' | 'version'>,
  shortMsg: boolean
): void {
  const { applicationId, transactionServiceGroup, version } = message
  const clientId = `${applicationId}:${session.address}`
  const client = { applicationId, transactionServiceGroup, clientId, version: parseVersion(version) }
  // Who says the same again stays the same: nodes know clients one by one.
  if (!isSame(session.client, client)) session.client = client
  session.dialect = { version: frame.version, shortMsg: shortMsg || session.dialect.shortMsg }
  session.codec = frame.codec
}

function isSame(a: Client | null, b: Client): boolean {
  const { clientId, transactionServiceGroup, version } = b
  return a?.clientId === clientId && a.transactionServiceGroup === transactionServiceGroup && a.version === version
}

function accepted(type: number): AnyMessage {
  return { type, resultCode: 1, identified: true, version: SERVER_VERSION } as AnyMessage
}
