import type { FastifyInstance, FastifyRequest } from 'fastify'
import { SignoutError } from '../../src/errors.ts'
import { shown } from '../../src/input/check-options.ts'
import type { AnyReply, AnyRequest } from './authorization.ts'

/** Options of `app.requireRecentAuthentication`. */
export interface RecentAuthenticationOptions {
  /** The longest time since the user last proved the password, in seconds: a whole number from 1. */
  maxAgeSeconds: number
}

/** An `onRequest` hook that requires a recent login. */
export type RecentAuthenticationHook = (request: AnyRequest, reply: AnyReply) => Promise<void>

/**
 * Creates `app.requireRecentAuthentication`.
 *
 * @param leewaySeconds by how much the clocks of the issuer and of this machine may differ
 * @param now returns the time, in milliseconds since the epoch. Defaults to `Date.now`.
 */
export function createRequireRecentAuthentication (
  { authenticate, userProperty }: { authenticate: FastifyInstance['authenticate'], userProperty: string },
  leewaySeconds: number,
  now: () => number = Date.now
): (options: RecentAuthenticationOptions) => RecentAuthenticationHook {
  function readUser (request: FastifyRequest): { auth_time?: unknown } | undefined {
    const user = (request as unknown as Record<string, unknown>)[userProperty]
    return typeof user === 'object' && user !== null ? user : undefined
  }

  return options => {
    const maxAgeSeconds: unknown = (options as RecentAuthenticationOptions | undefined)?.maxAgeSeconds
    if (!Number.isSafeInteger(maxAgeSeconds) || Number(maxAgeSeconds) < 1) {
      throw new TypeError(
        `The option maxAgeSeconds is ${shown(maxAgeSeconds)}; it must be a whole number of seconds from 1.`
      )
    }
    return async (request, reply) => {
      // Alone on a route it must not let a request pass that nothing has authenticated.
      if (readUser(request) === undefined) await authenticate(request, reply)
      const user = readUser(request)
      // A preflight has no user.
      if (user === undefined) return
      const { auth_time: authTime } = user
      const ageSeconds = typeof authTime === 'number' ? now() / 1000 - authTime : NaN
      // Written so that a token without a time fails, and one from the future.
      if (ageSeconds >= -leewaySeconds && ageSeconds <= Number(maxAgeSeconds) + leewaySeconds) return
      throw new SignoutError('insufficient_user_authentication', {
        description: 'The login was too long ago. Sign in again.',
        maxAgeSeconds: Number(maxAgeSeconds)
      })
    }
  }
}
