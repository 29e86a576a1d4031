import { SignoutError, type ErrorCode } from '../errors.ts'
import type { AccessTokenClaims } from '../tokens/access-token-claims.ts'
import {
  createLogoutActs, type LogoutActs, type LogoutOptions, type LogoutRequest, type RefusedToken
} from './logout-acts.ts'

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
 * If no credential is good, it rejects with the refusal that says most. Rejects with `invalid_credentials` (403),
 * `insufficient_user_authentication` or `too_many_requests` if other sessions may not be ended. Then none ends. Rejects
 * with 503 if a session could not be ended, even if another one was: repeating is safe.
 */
export type LogOut = (credentials: LogoutCredentials, request: LogoutRequest) => Promise<void>

/** Refusals that are not about a credential: the user may not end other sessions now. Then nothing ends. */
const forbidding: ErrorCode[] = ['invalid_credentials', 'insufficient_user_authentication', 'too_many_requests']

/** Refusals, from the one that says most of the session. */
const telling: ErrorCode[] = ['token_revoked', 'refresh_token_reused', 'token_expired', 'invalid_token']

/** Ends sessions on behalf of their user. */
export interface Logout {
  withCredentials: LogOut
  fromList: LogoutActs['fromList']
}

export function createLogout (options: LogoutOptions): Logout {
  const acts = createLogoutActs(options)
  return { withCredentials: createLogOut(acts), fromList: acts.fromList }
}

function createLogOut (acts: LogoutActs): LogOut {
  async function withAccess (access: AccessProof, request: LogoutRequest): Promise<void> {
    const { claims, refusal } = access
    if (claims === undefined) throw refusal
    if (refusal === undefined) await acts.withAccessToken(claims, request)
    else await acts.withRefusedToken({ claims, refusal }, request)
  }

  return async ({ access, refreshToken }, request) => {
    const failures: unknown[] = []
    async function succeeds (attempt: Promise<void>): Promise<boolean> {
      try {
        await attempt
        return true
      } catch (failure) {
        if (failure instanceof SignoutError && forbidding.includes(failure.code)) throw failure
        failures.push(failure)
        return false
      }
    }
    const byAccess = access !== undefined && await succeeds(withAccess(access, request))
    const byRefresh = refreshToken !== undefined && await succeeds(
      byAccess
        ? acts.withRefreshToken(refreshToken, { ...request, scope: 'session' }, access.claims?.sid)
        : acts.withRefreshToken(refreshToken, request)
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
