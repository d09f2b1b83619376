// The secret that all processes of a cluster may share: both ends of a link prove that they know it, and neither says it.
// Nothing that one end has sent proves anything to the other: each signs what the other has drawn, and says on which end it is.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'

export type Side = 'dialler' | 'listener'

const CHALLENGE_BYTES = 16
const NONE = Buffer.alloc(0)

/** One end's part in the handshake of one link. */
export class LinkKey {
  /** What the other end has to sign; empty: no key is asked for. */
  readonly challenge: Buffer
  readonly #key: string
  readonly #side: Side
  #theirs = NONE

  /** @param key empty: there is none */
  constructor(key: string, side: Side) {
    this.#key = key
    this.#side = side
    this.challenge = key === '' ? NONE : randomBytes(CHALLENGE_BYTES)
  }

  /** There is nothing to prove. */
  get isOpen(): boolean {
    return this.#key === ''
  }

  /** Takes in the other end's challenge. Returns why the two cannot come together; null: they may. */
  meet(theirs: Buffer): string | null {
    this.#theirs = Buffer.from(theirs)
    if (this.isOpen) return theirs.length === 0 ? null : 'it asks for a cluster key, and there is none here'
    return theirs.length === CHALLENGE_BYTES ? null : 'it has no cluster key'
  }

  get proof(): Buffer {
    return this.#sign(this.#side, this.#theirs, this.challenge)
  }

  /** Whether the other end knows the key. */
  proves(mac: Buffer): boolean {
    const expected = this.#sign(this.#side === 'dialler' ? 'listener' : 'dialler', this.challenge, this.#theirs)
    return mac.length === expected.length && timingSafeEqual(mac, expected)
  }

  #sign(signer: Side, asked: Buffer, own: Buffer): Buffer {
    return createHmac('sha256', this.#key).update(`${signer}\n`).update(asked).update(own).digest()
  }
}

/** What is said of the other end when its proof is wrong. */
export const WRONG_KEY = 'it has another cluster key'
