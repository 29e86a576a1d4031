import { SignoutError, type ErrorCode } from '../src/errors.ts'
import { IssuedInFutureError } from '../src/tokens/claims.ts'

/** A scheme and something after it. */
const sentToken = /^Bearer\s+\S/i

/**
 * What went wrong with a token, in our terms. @fastify/jwt answers 400 or 500 to several tokens that are merely wrong
 * (an unknown `crit`, a future `nbf`, another `alg`, a bare `Bearer `); whatever is wrong with a token is a 401 here.
 * What is no error of a token is returned as it is.
 *
 * @param authorization the header, for telling a token that is malformed from one that was not sent
 */
export function toTokenError (error: unknown, authorization = ''): unknown {
  if (error instanceof SignoutError) return error
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code !== 'string' || !/^(FST|FAST)_JWT_/.test(code)) return error
  if (code.startsWith('FST_JWT_NO_AUTHORIZATION') || (code.startsWith('FST_JWT_BAD_') && !sentToken.test(authorization))) return new SignoutError('authorization_required')
  if (code.endsWith('_EXPIRED')) return new SignoutError('token_expired')
  return new SignoutError('invalid_token', { cause: error })
}

/** Whether a token with a good signature was refused for its time: `exp`, `nbf`, `iat`, or the age that is allowed. */
function isRefusedForTime (error: unknown): boolean {
  const { code, cause } = (error ?? {}) as { code?: unknown, cause?: unknown }
  return code === 'token_expired' || cause instanceof IssuedInFutureError || (cause as { code?: unknown } | null | undefined)?.code === 'FAST_JWT_INACTIVE'
}

/**
 * Replaces the refusal of a token for its time by 503 `revocation_unavailable` while the clock may be wrong. Returns any other
 * error as it is.
 *
 * @param error what `toTokenError` returned
 */
export function withClock (error: unknown, findClockFault: (() => Error | undefined) | undefined): unknown {
  const cause = isRefusedForTime(error) ? findClockFault?.() : undefined
  return cause === undefined ? error : new SignoutError('revocation_unavailable', { cause, description: 'The clocks of the servers differ, so the token cannot be judged now. Try again.' })
}

const tokenErrors: ErrorCode[] = ['invalid_token', 'token_expired', 'token_revoked']

/**
 * The value of a `WWW-Authenticate` header (RFC 6750, section 3). `error` is there only when the token is what is wrong:
 * a request that sent none may not have known that it needed one.
 */
export function challenge (realm: string, error: SignoutError): string {
  const scheme = `Bearer realm="${realm.replace(/["\\]/g, '\\$&')}"`
  if (error.code === 'forbidden') return `${scheme}, error="insufficient_scope", error_description="${error.message}", scope="admin"`
  if (!tokenErrors.includes(error.code)) return scheme
  return `${scheme}, error="invalid_token", error_description="${error.message}"`
}

/** Whether it says that the blocklist could not be asked. */
export function isUnavailable (error: unknown): error is SignoutError {
  return error instanceof SignoutError && error.code === 'revocation_unavailable'
}
