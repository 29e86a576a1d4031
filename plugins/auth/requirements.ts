import type { FastifyInstance, FastifyRequest } from 'fastify'
import { SignoutError } from '../../src/errors.ts'
import { shown } from '../../src/input/check-options.ts'
import { isRecent, requireScopes, scopesPattern } from '../../src/tokens/requirements.ts'
import type { AnyReply, AnyRequest } from './authorization.ts'

/** Options of `app.requireRecentAuthentication`. */
export interface RecentAuthenticationOptions {
  /** The longest time since the user last proved the password, in seconds: a whole number from 1. */
  maxAgeSeconds: number
}

/** An `onRequest` hook that requires a recent login. */
export type RecentAuthenticationHook = (request: AnyRequest, reply: AnyReply) => Promise<void>

/** An `onRequest` hook that requires scopes. */
export type ScopeHook = (request: AnyRequest, reply: AnyReply) => Promise<void>

/** The hooks that require something of a token beside that it is accepted. */
export interface Requirements {
  requireRecentAuthentication: (options: RecentAuthenticationOptions) => RecentAuthenticationHook
  requireScope: (scope: string) => ScopeHook
}

interface AcceptedClaims { auth_time?: unknown, scope?: unknown, scp?: unknown }

const pattern = new RegExp(scopesPattern)

/**
 * Creates `app.requireRecentAuthentication` and `app.requireScope`.
 *
 * @param leewaySeconds by how much the clocks of the issuer and of this machine may differ
 * @param now returns the time, in milliseconds since the epoch. Defaults to `Date.now`.
 */
export function createRequirements (
  { authenticate, userProperty }: { authenticate: FastifyInstance['authenticate'], userProperty: string },
  leewaySeconds: number,
  now: () => number = Date.now
): Requirements {
  function readUser (request: FastifyRequest): AcceptedClaims | undefined {
    const user = (request as unknown as Record<string, unknown>)[userProperty]
    return typeof user === 'object' && user !== null ? user : undefined
  }

  /** Returns a hook that checks the claims of an authenticated request. */
  function hookOf (check: (claims: AcceptedClaims) => void): ScopeHook {
    return async (request, reply) => {
      // Alone on a route it must not let a request pass that nothing has authenticated.
      if (readUser(request) === undefined) await authenticate(request, reply)
      const claims = readUser(request)
      // A preflight has no claims.
      if (claims !== undefined) check(claims)
    }
  }

  return {
    requireRecentAuthentication (options) {
      const maxAgeSeconds: unknown = (options as RecentAuthenticationOptions | undefined)?.maxAgeSeconds
      if (!Number.isSafeInteger(maxAgeSeconds) || Number(maxAgeSeconds) < 1) {
        throw new TypeError(
          `The option maxAgeSeconds is ${shown(maxAgeSeconds)}; it must be a whole number of seconds from 1.`
        )
      }
      return hookOf(({ auth_time: authTime }) => {
        if (isRecent(authTime, Number(maxAgeSeconds), leewaySeconds, now())) return
        throw new SignoutError('insufficient_user_authentication', {
          description: 'The login was too long ago. Sign in again.',
          maxAgeSeconds: Number(maxAgeSeconds)
        })
      })
    },
    requireScope (scope) {
      if (typeof scope !== 'string' || !pattern.test(scope)) {
        throw new TypeError(`The scope is ${shown(scope)}; it must be one scope, or several with a space between two.`)
      }
      const required = scope.split(' ')
      return hookOf(claims => { requireScopes(claims, required) })
    }
  }
}
