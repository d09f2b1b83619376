// The Seata port: accepts client connections, watches over them, and lets them go.
import type { AddressInfo } from 'node:net'
import { errorText } from '../tc-core/wire/errors.ts'
import type { Frame, FrameError } from '../tc-core/wire/frame.ts'
import { type Log, RateLimited } from '../tc-core/wire/log.ts'
import { type ByteServer, type ByteStream, every, type Runtime } from '../tc-core/wire/runtime.ts'
import type { Traffic } from './figures.ts'
import { ClientSession, type SessionOwner } from './session.ts'

export interface ListenerOptions {
  readonly maxClients: number
  readonly maxInFlight: number
  /** Bytes of all clients together: of unfinished frames, and of what they do not read. */
  readonly maxHeld: number
  readonly maxUnread: number
  readonly traffic: Traffic
  readonly logger: Log
  readonly runtime: Runtime
  frame(session: ClientSession, frame: Frame): void
  /** There will be no answer to this call of the coordinator. */
  lost(id: number): void
  closed(session: ClientSession): void
}

/** A connection without a byte for so long is closed: Java's own limit, and its clients are not silent for more than 10 s. */
const IDLE_MS = 15_000
/** A response's header without its body for so long: the RM that sent it failed while it wrote. */
const HEADER_ONLY_MS = 1_000
const SWEEP_MS = 500

export class Listener implements SessionOwner {
  readonly maxInFlight: number
  readonly traffic: Traffic
  waiting = 0
  readonly #options: ListenerOptions
  readonly #server: ByteServer
  readonly #sessions = new Set<ClientSession>()
  readonly #unframeable = new RateLimited()
  readonly #idle = new RateLimited()
  readonly #refused = new RateLimited()
  readonly #greedy = new RateLimited()
  #stopSweeps: () => void = () => {}

  constructor(options: ListenerOptions) {
    this.#options = options
    this.maxInFlight = options.maxInFlight
    this.traffic = options.traffic
    this.#server = options.runtime.server((stream) => this.#accept(stream))
  }

  /** Resolves with the address it listens on; rejects when it cannot. */
  async listen(host: string, port: number): Promise<AddressInfo> {
    const address = await this.#server.listen(port, host)
    this.#stopSweeps = every(this.#options.runtime, SWEEP_MS, () => this.#sweep())
    return address
  }

  get sessions(): ReadonlySet<ClientSession> {
    return this.#sessions
  }

  now(): number {
    return this.#options.runtime.now()
  }

  defer(then: () => void): void {
    this.#options.runtime.defer(then)
  }

  #accept(stream: ByteStream): void {
    const { maxClients, logger } = this.#options
    if (this.#sessions.size >= maxClients) {
      stream.destroy()
      const text = errorText('SEATA_TOO_MANY_CLIENTS', maxClients)
      return this.#refused.pass(this.now(), (held) => logger.warn({ code: 'SEATA_TOO_MANY_CLIENTS', held }, text))
    }
    this.#sessions.add(new ClientSession(stream, this))
  }

  frame(session: ClientSession, frame: Frame): void {
    this.traffic.framesIn++
    this.#options.frame(session, frame)
  }

  spoiled(session: ClientSession, id: number): void {
    this.#options.logger.warn(
      { client: session.address, id },
      'the RM left a header without a body: its handler failed'
    )
    this.#options.lost(id)
  }

  unframeable(session: ClientSession, error: FrameError): void {
    session.destroy()
    const fields = { code: 'SEATA_FRAME_INVALID', client: session.address }
    const text = errorText('SEATA_FRAME_INVALID', error.message)
    this.#unframeable.pass(this.now(), (held) => this.#options.logger.warn({ ...fields, held }, text))
  }

  closed(session: ClientSession): void {
    this.#sessions.delete(session)
    this.#options.closed(session)
  }

  #sweep(): void {
    const now = this.now()
    const { maxHeld, maxUnread } = this.#options
    this.#keepWithin(maxHeld, 'unfinished requests', (session) => session.held)
    this.#keepWithin(maxUnread, 'answers that are not read', (session) => session.unread)
    for (const session of this.#sessions) {
      if (now - session.heardAt >= IDLE_MS && !session.paused) this.#close(session, now)
      else if (session.headerOnlySince > 0 && now - session.headerOnlySince >= HEADER_ONLY_MS) {
        // Should the body still come, the frame is whole; should another frame begin instead, the reader sees that.
        session.headerOnlySince = 0
        this.spoiled(session, session.headerOnly)
      }
    }
  }

  /** Parts with those that hold most, until the rest keeps within `max`. */
  #keepWithin(max: number, what: string, of: (session: ClientSession) => number): void {
    let sum = 0
    for (const session of this.#sessions) sum += of(session)
    if (sum <= max) return
    for (const session of [...this.#sessions].sort((a, b) => of(b) - of(a))) {
      if (sum <= max) return
      const bytes = of(session)
      const text = errorText('SEATA_TOO_MUCH_HELD', sum, what, max, bytes)
      const fields = { code: 'SEATA_TOO_MUCH_HELD', client: session.address }
      this.#greedy.pass(this.now(), (held) => this.#options.logger.warn({ ...fields, held }, text))
      session.destroy()
      sum -= bytes
    }
  }

  #close(session: ClientSession, now: number): void {
    session.destroy()
    const text = errorText('SEATA_IDLE', IDLE_MS)
    this.#idle.pass(now, (held) => this.#options.logger.info({ client: session.address, held }, text))
  }

  /** Accepts no more. */
  stopAccepting(): void {
    this.#server.close()
  }

  /** Somebody waits for an answer, or has not been told yet that this is the end. */
  busy(all: boolean): boolean {
    for (const session of this.#sessions) if (all || session.inFlight > 0) return true
    return false
  }

  /** Sends what is left to send, `ms` at most, and closes every connection. */
  async close(ms: number): Promise<void> {
    this.#server.close()
    this.#stopSweeps()
    const ends = [...this.#sessions].map((session) => {
      session.end()
      // Not events.once: a client that is gone already is no reason to fail.
      return new Promise<void>((resolve) => session.stream.on('close', resolve))
    })
    await new Promise<void>((resolve) => {
      const stop = this.#options.runtime.timer(ms, resolve)
      void Promise.all(ends).then(() => {
        stop()
        resolve()
      })
    })
    for (const session of this.#sessions) session.destroy()
  }
}
