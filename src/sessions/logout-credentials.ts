import { SignoutError, type ErrorCode } from '../errors.ts'
import type { Requester } from '../input/requester.ts'
import type { AccessTokenClaims } from '../tokens/claims.ts'
import type { Logout, LogoutScope, RefusedToken } from './logout.ts'

/**
 * The access token of a logout: accepted; refused, with a good signature; or not a token of this service at all, and
 * then only the refusal is known.
 */
export type AccessProof =
  | { claims: AccessTokenClaims, refusal?: never }
  | RefusedToken
  | { claims?: never, refusal: SignoutError }

/** The credentials that a client sends to log out. Either may be stale, malformed or missing. */
export interface LogoutCredentials {
  access: AccessProof | undefined
  refreshToken: string | undefined
}

/**
 * Logs out with every credential that is good, and fails only if none is (P8). So a client that holds a stale token
 * beside a good one gets out.
 *
 * The scope is that of the access token if it is good, and the refresh token then ends its own session only. With
 * `others`, the refresh token of the access token's session ends nothing. If the access token is not good, the scope is
 * that of the refresh token.
 *
 * If no credential is good, it rejects with the refusal that says most. Rejects with 503 if a session could not be
 * ended, even if another one was: repeating is safe.
 */
export type LogOut = (credentials: LogoutCredentials, scope: LogoutScope, requester: Requester) => Promise<void>

/** Refusals, from the one that says most of the session. */
const telling: ErrorCode[] = ['token_revoked', 'refresh_token_reused', 'token_expired', 'invalid_token']

export function createLogOut (logout: Logout): LogOut {
  async function withAccess (access: AccessProof, scope: LogoutScope, requester: Requester): Promise<void> {
    const { claims, refusal } = access
    if (claims === undefined) throw refusal
    if (refusal === undefined) await logout.withAccessToken(claims, scope, requester)
    else await logout.withRefusedToken({ claims, refusal }, scope, requester)
  }

  return async ({ access, refreshToken }, scope, requester) => {
    const failures: unknown[] = []
    const succeeds = (attempt: Promise<void>) =>
      attempt.then(() => true, failure => { failures.push(failure) }).then(Boolean)
    const byAccess = access !== undefined && await succeeds(withAccess(access, scope, requester))
    const byRefresh = refreshToken !== undefined && await succeeds(
      byAccess
        ? logout.withRefreshToken(refreshToken, 'session', requester, access.claims?.sid)
        : logout.withRefreshToken(refreshToken, scope, requester)
    )
    const outage = failures.find(failure => !isRefusal(failure))
    if (outage !== undefined) throw outage
    if (!byAccess && !byRefresh) throw mostTelling(failures as SignoutError[])
  }
}

/** Returns true for an error that says something of the credential. Any other leaves open whether a session lives. */
function isRefusal (failure: unknown): boolean {
  return failure instanceof SignoutError && failure.statusCode < 500
}

function mostTelling (refusals: SignoutError[]): SignoutError {
  const rank = ({ code }: SignoutError) => telling.includes(code) ? telling.indexOf(code) : telling.length
  const [first] = refusals.sort((a, b) => rank(a) - rank(b))
  return first ?? new SignoutError('authorization_required')
}
