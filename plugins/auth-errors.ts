import { SignoutError } from '../src/errors.ts'

/**
 * What went wrong with a token, in our terms. @fastify/jwt answers 400 or 500 to several tokens that are merely wrong
 * (an unknown `crit`, a future `nbf`, another `alg`, a bare `Bearer `); whatever is wrong with a token is a 401 here.
 * What is no error of a token is returned as it is.
 */
export function toTokenError (error: unknown): unknown {
  if (error instanceof SignoutError) return error
  const code = (error as { code?: unknown } | null)?.code
  if (typeof code !== 'string' || !/^(FST|FAST)_JWT_/.test(code)) return error
  if (code.startsWith('FST_JWT_NO_AUTHORIZATION')) return new SignoutError('authorization_required')
  if (code.endsWith('_EXPIRED')) return new SignoutError('token_expired')
  return new SignoutError('invalid_token', { cause: error })
}

/**
 * The value of a `WWW-Authenticate` header (RFC 6750, section 3). A request that sent no token gets no `error`: it may
 * not have known that it needed one.
 */
export function challenge (realm: string, error?: SignoutError): string {
  const scheme = `Bearer realm="${realm.replace(/["\\]/g, '\\$&')}"`
  if (error === undefined || error.code === 'authorization_required') return scheme
  return `${scheme}, error="invalid_token", error_description="${error.message}"`
}
