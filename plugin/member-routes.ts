// What an operator changes about a node of the cluster, on the HTTP side of any node: `POST /members/<name>/drain`, `leave` and `promote`.
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { MemberAnswer, Membership } from '../tc-core/host/membership.ts'

export const MEMBER_ACTIONS = ['drain', 'leave', 'promote'] as const
export type MemberAction = (typeof MEMBER_ACTIONS)[number]

/** How far the clock of who asks may be from this one, ms. */
const SIGNED_MS = 60_000

/**
 * The header `authorization` of a call: it shows that the caller knows the cluster's key, for this call and a minute, and does not say it.
 * @param path at the node, as in `/members/n3/leave`
 */
export function authorization(key: string, path: string, now: number): string {
  const mac = createHmac('sha256', key).update(`POST ${path} ${now}`).digest('hex')
  return `Seata ${now}:${mac}`
}

function isAuthorized(key: string, path: string, header: string): boolean {
  const at = Number(/^Seata (\d+):/.exec(header)?.[1])
  const [given, expected] = [Buffer.from(header), Buffer.from(authorization(key, path, at))]
  // Written so that no number at all is too far away as well.
  return Math.abs(Date.now() - at) <= SIGNED_MS && given.length === expected.length && timingSafeEqual(given, expected)
}

/** @param key the cluster's; empty: whoever reaches this port may ask */
export function memberRoutes(app: FastifyInstance, membership: Membership, key: string): void {
  for (const action of MEMBER_ACTIONS) {
    app.post<{ Params: { name: string } }>(`/members/:name/${action}`, async (request, reply) => {
      const { name } = request.params
      reply.header('cache-control', 'no-store')
      if (key !== '' && !isAuthorized(key, `/members/${name}/${action}`, request.headers.authorization ?? '')) {
        return reply.code(401).send({ error: 'the cluster has a key: this call is not signed with it' })
      }
      const answer: MemberAnswer = await membership[action](name)
      if (!('refused' in answer)) return answer
      return reply.code(answer.refused === 'unknown' ? 404 : 409).send({ error: answer.reason })
    })
  }
}
