// The connections of the load program, registered as TM or RM, with their heartbeats.
import { MessageType } from '../../tc-core/wire/codes.ts'
import type { MessageOf } from '../../tc-core/wire/message.ts'
import {
  RegisterRM,
  type RegisterRMResult,
  RegisterTM,
  type RegisterTMResult
} from '../../tc-core/wire/messages/index.ts'
import { Channel, type Outgoing } from './channel.ts'
import { RESOURCES } from './workloads.ts'

const HEARTBEAT_MS = 5_000
/** Opened at once; a server's queue of new connections is short. */
const TOGETHER = 100

const IDENTITY = {
  version: '2.0.0',
  applicationId: 'bench',
  transactionServiceGroup: 'default_tx_group',
  extraData: ''
}

const REGISTRATIONS = {
  tm: { type: RegisterTM.code, ...IDENTITY },
  rm: { type: RegisterRM.code, ...IDENTITY, resourceIds: Object.values(RESOURCES).join(',') },
  /** An RM of something else: nobody calls it. */
  idleRm: { type: RegisterRM.code, ...IDENTITY, resourceIds: 'benchIdle' }
}

async function connection(host: string, port: number, registration: Outgoing): Promise<Channel> {
  const channel = await Channel.open(host, port)
  await new Promise<void>((resolve, reject) => {
    channel.onClose = (reason) => reject(new Error(`registration: ${reason}`))
    channel.onMessage = (message) => {
      const answer = message as MessageOf<typeof RegisterTMResult> | MessageOf<typeof RegisterRMResult>
      if (answer.identified) resolve()
      else reject(new Error(`registration ${registration.type} was refused`))
    }
    channel.send(registration, MessageType.Request, 1)
  })
  return channel
}

export async function connections(
  host: string,
  port: number,
  kind: keyof typeof REGISTRATIONS,
  count: number
): Promise<Channel[]> {
  const channels: Channel[] = []
  while (channels.length < count) {
    const some = Math.min(TOGETHER, count - channels.length)
    const opening = Array.from({ length: some }, () => connection(host, port, REGISTRATIONS[kind]))
    channels.push(...(await Promise.all(opening)))
  }
  return channels
}

/** Heartbeats, spread over their period, so that many connections are no burst. */
export function keepAlive(channels: readonly Channel[]): void {
  const slices = Math.min(channels.length, 50)
  let slice = 0
  setInterval(() => {
    slice = (slice + 1) % slices
    for (let i = slice; i < channels.length; i += slices) channels[i]!.ping(i + 1)
  }, HEARTBEAT_MS / slices)
}
