import type { Client } from '../clients/client-authentication.ts'
import { SignoutError } from '../errors.ts'
import type { Requester } from '../input/requester.ts'
import type { Refresh } from '../sessions/refresh.ts'
import type { TokenPair } from '../sessions/token-pair.ts'
import { OAuthError } from './oauth-error.ts'

/** The grants of `POST /oauth/token`. There is none for passwords (RFC 9700, section 2.4). */
export const grantTypes = ['refresh_token'] as const

export interface GrantRequest {
  grant_type: string
  refresh_token?: string | undefined
  /** Space-separated. It must not exceed the scope of the session. */
  scope?: string | undefined
}

/**
 * Exchanges a refresh token for a new pair, as `POST /refresh` does: with rotation and the detection of reuse. Rejects
 * with:
 *
 * - `unsupported_grant_type` for any other grant;
 * - `unauthorized_client` for a registered client, because every refresh token belongs to the built-in one;
 * - `invalid_grant` for a refresh token that is unknown, expired, spent, or of a session that has ended;
 * - `invalid_scope` for a scope that the session does not have. Then the refresh token is not spent.
 */
export type Grant = (client: Client, request: GrantRequest, requester: Requester) => Promise<TokenPair>

export function createGrant (refresh: Refresh): Grant {
  return async (client, { grant_type: grantType, refresh_token: token, scope }, requester) => {
    if (!(grantTypes as readonly string[]).includes(grantType)) throw new OAuthError('unsupported_grant_type')
    if (!client.isBuiltIn) throw new OAuthError('unauthorized_client', { description: 'This client has no grant.' })
    if (token === undefined) {
      throw new SignoutError('invalid_request', { description: 'The parameter refresh_token is missing.' })
    }
    try {
      return await refresh(token, requester, granted => { requireWithin(granted, scope) })
    } catch (error) {
      throw isRefusal(error) ? new OAuthError('invalid_grant', { description: error.message, cause: error }) : error
    }
  }
}

/** Throws `invalid_scope` if a scope is wanted that is not granted (RFC 6749, section 6). */
function requireWithin (granted: string, wanted: string | undefined): void {
  const scopes = granted.split(' ')
  const isWithin = wanted === undefined || wanted.split(' ').every(scope => scopes.includes(scope))
  if (!isWithin) throw new OAuthError('invalid_scope')
}

/** Returns true for an error that refuses a refresh token. */
function isRefusal (error: unknown): error is SignoutError {
  return error instanceof SignoutError && error.statusCode === 401
}
