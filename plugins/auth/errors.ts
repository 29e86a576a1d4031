import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SignoutError, type ErrorCode } from '../../src/errors.ts'
import { IssuedInFutureError } from '../../src/tokens/claims.ts'

/**
 * Returns the error of signout for an error of the verification of a token. @fastify/jwt fails with 400 or 500 for
 * several invalid tokens: an unknown `crit`, a future `nbf`, another `alg`. fast-jwt throws a RangeError for an `exp`
 * that is no date. All of them get a 401.
 */
export function toTokenError (error: unknown): SignoutError {
  if (error instanceof SignoutError) return error
  const code = codeOf(error)
  // FST_JWT_BAD_REQUEST and FST_JWT_BAD_COOKIE_REQUEST: the cookie or the app's `extractToken` has no token.
  if (code.startsWith('FST_JWT_NO_AUTHORIZATION') || code.startsWith('FST_JWT_BAD_')) {
    return new SignoutError('authorization_required', { cause: error })
  }
  if (isOfJwt(code) && code.endsWith('_EXPIRED')) return new SignoutError('token_expired', { cause: error })
  return new SignoutError('invalid_token', { cause: error })
}

/**
 * Returns the error of signout for a failure of a key function. A key function reports an unknown key with status 401
 * or with a code of @fastify/jwt. It may also fail with nothing. Any other failure is temporary.
 */
export function toKeyError (error: unknown): SignoutError {
  if (error instanceof SignoutError) return error
  const { statusCode, status } = (error ?? {}) as { statusCode?: unknown, status?: unknown }
  const hasNoKey =
    error === undefined || error === null || statusCode === 401 || status === 401 || isOfJwt(codeOf(error))
  return new SignoutError(hasNoKey ? 'invalid_token' : 'key_unavailable', { cause: error })
}

function codeOf (error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code
  return typeof code === 'string' ? code : ''
}

function isOfJwt (code: string): boolean {
  return /^(FST|FAST)_JWT_/.test(code)
}

/** Returns true if a token with a good signature was refused for its time: `exp`, `nbf`, `iat` or its age. */
function isRefusedForTime ({ code, cause }: SignoutError): boolean {
  return code === 'token_expired' || cause instanceof IssuedInFutureError || codeOf(cause) === 'FAST_JWT_INACTIVE'
}

/**
 * Replaces the refusal of a token for its time by 503 `revocation_unavailable` while the clock may be wrong. Returns
 * any other error as it is.
 *
 * @param error an error that `toTokenError` returned
 */
export function withClock (error: SignoutError, findClockFault: (() => Error | undefined) | undefined): SignoutError {
  const cause = isRefusedForTime(error) ? findClockFault?.() : undefined
  return cause === undefined
    ? error
    : new SignoutError('revocation_unavailable', {
      cause,
      description: 'The clocks of the servers differ, so the token cannot be checked. Try again.'
    })
}

const tokenErrors: ErrorCode[] = ['invalid_token', 'token_expired', 'token_revoked']

/**
 * Returns the value of a `WWW-Authenticate` header (RFC 6750, section 3; RFC 9470, section 3). It has an `error` only
 * if the token is wrong, has too few rights, or is of a login too long ago. The client of a request without a token may
 * not have known that it needed one.
 */
export function challenge (realm: string, error: SignoutError): string {
  const scheme = `Bearer realm="${realm.replace(/["\\]/g, '\\$&')}"`
  if (error.code === 'forbidden') {
    const scope = error.requiredScope === undefined ? '' : `, scope="${error.requiredScope}"`
    return `${scheme}, error="insufficient_scope", error_description="${error.message}"${scope}`
  }
  if (error.code === 'insufficient_user_authentication') {
    const maxAge = error.maxAgeSeconds === undefined ? '' : `, max_age="${error.maxAgeSeconds}"`
    return `${scheme}, error="${error.code}", error_description="${error.message}"${maxAge}`
  }
  if (!tokenErrors.includes(error.code)) return scheme
  return `${scheme}, error="invalid_token", error_description="${error.message}"`
}

/**
 * Sets `WWW-Authenticate` and `Retry-After` when an error of signout is answered, before any error handler of the app.
 * A route that catches the error and answers otherwise does not send these headers.
 */
export function setHeadersOfErrors (app: FastifyInstance, realm: string): void {
  app.addHook('onError', (_request, reply, error, done) => {
    if (error instanceof SignoutError) setHeaders(reply, error, realm)
    done()
  })
}

function setHeaders (reply: FastifyReply, error: SignoutError, realm: string): void {
  if (error.statusCode === 401 || error.requiredScope !== undefined) {
    const others = reply.getHeader('www-authenticate')
    const ours = challenge(realm, error)
    // Another way to authenticate may have failed before, and has set its challenge.
    reply.header('www-authenticate', others === undefined ? ours : [others, ours].flat())
  }
  if (error.retryAfterSeconds !== undefined) reply.header('retry-after', error.retryAfterSeconds)
}

/**
 * Keeps a 503 from becoming a 401. A request may have a good token, which could not be checked. If another way to
 * authenticate fails afterwards, its 401 would tell the client to sign in again. The answer is the 503 then. Any other
 * answer is sent as it is.
 *
 * The method of this one reply is replaced, so that no other request pays for it.
 *
 * @param error that of `app.authenticate`. Only a 503 is kept.
 */
export function keepUnavailable (reply: FastifyReply, error: SignoutError): void {
  if (error.statusCode !== 503 || Object.hasOwn(reply, 'send')) return
  reply.send = function (this: FastifyReply, payload?: unknown) {
    allowAnyAnswer(reply)
    return isUnauthorized(reply, payload) ? reply.code(error.statusCode).send(error) : reply.send(payload)
  } as FastifyReply['send']
}

/** Undoes {@link keepUnavailable}: the token was checked in another way. */
export function allowAnyAnswer (reply: FastifyReply): void {
  if (Object.hasOwn(reply, 'send')) delete (reply as Partial<FastifyReply>).send
}

/** Returns true if an answer is a 401 of another way to authenticate. A revoked token stays revoked. */
function isUnauthorized ({ statusCode }: FastifyReply, payload: unknown): boolean {
  if (!(payload instanceof Error)) return statusCode === 401
  const { statusCode: ofError = statusCode, code } = payload as Partial<SignoutError>
  return ofError === 401 && code !== 'token_revoked'
}

/**
 * Returns true for a CORS preflight. Browsers send no token with it, so it cannot be authenticated (Fetch, section
 * 3.3.5). A route that has other methods too is not for preflights: its handler would run for a stranger.
 */
export function isPreflight ({ method, headers, is404, routeOptions }: FastifyRequest): boolean {
  if (method !== 'OPTIONS') return false
  const isAsked = headers.origin !== undefined && headers['access-control-request-method'] !== undefined
  return isAsked && (is404 || [routeOptions.method].flat().join() === 'OPTIONS')
}

/** Returns true if an error says that the blocklist cannot be read. */
export function isUnavailable (error: unknown): error is SignoutError {
  return error instanceof SignoutError && error.code === 'revocation_unavailable'
}
