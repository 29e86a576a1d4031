import { SignoutError } from '../errors.ts'

/** One scope (RFC 6749, section 3.3): printable ASCII without spaces, `"` and `\`. So it is safe in a header. */
const oneScope = '[\\x21\\x23-\\x5B\\x5D-\\x7E]+'
/** Exactly one scope. */
export const scopePattern = `^${oneScope}$`
/** One scope or more, with one space between two. */
export const scopesPattern = `^${oneScope}( ${oneScope})*$`
/** The claim `scope`: any number of scopes. */
export const scopeClaimPattern = `^(${oneScope}( ${oneScope})*)?$`

/** Returns the scopes of a claim: a text with spaces, or a list of such texts. Any other value has none. */
function scopesOf (claim: unknown): string[] {
  return [claim].flat().flatMap(text => typeof text === 'string' ? text.split(' ') : [])
}

/** The claims that hold scopes: `scope`, and `scp` of some issuers. */
interface ScopeClaims { scope?: unknown, scp?: unknown }

/**
 * Requires all of these scopes of a token. Throws `forbidden`, which names them, if one is missing.
 *
 * @example
 * requireScopes({ scope: 'articles:read articles:write' }, ['articles:write'])
 */
export function requireScopes ({ scope, scp }: ScopeClaims, required: readonly string[]): void {
  if (required.length === 0) return
  const granted = scopesOf(scope ?? scp)
  if (required.every(each => granted.includes(each))) return
  throw new SignoutError('forbidden', { requiredScope: required.join(' ') })
}

/** The requirements of a request for a token that is accepted. */
export interface TokenRequirements {
  scopes: readonly string[]
  /** The longest time since the user last proved the password, in seconds. */
  maxAgeSeconds: number | undefined
}

/**
 * Requires scopes and a recent login of an accepted token. Throws `forbidden` if a scope is missing, and otherwise
 * `insufficient_user_authentication` if the login was too long ago.
 *
 * @param nowMs in milliseconds since the epoch
 * @example
 * requireOfToken(request.user, { scopes: ['articles:write'], maxAgeSeconds: 300 }, 5, Date.now())
 */
export function requireOfToken (
  claims: ScopeClaims & { auth_time?: unknown },
  { scopes, maxAgeSeconds }: TokenRequirements,
  leewaySeconds: number,
  nowMs: number
): void {
  requireScopes(claims, scopes)
  if (maxAgeSeconds === undefined || isRecent(claims.auth_time, maxAgeSeconds, leewaySeconds, nowMs)) return
  throw new SignoutError('insufficient_user_authentication', { maxAgeSeconds })
}

/**
 * Returns true if the user proved the password at most that long ago. A token without a time returns false, and one
 * from the future.
 *
 * @param authTime the claim `auth_time`, in seconds since the epoch
 * @param nowMs in milliseconds since the epoch
 * @example
 * isRecent(claims.auth_time, 300, 5, Date.now())
 */
export function isRecent (authTime: unknown, maxAgeSeconds: number, leewaySeconds: number, nowMs: number): boolean {
  const ageSeconds = typeof authTime === 'number' ? nowMs / 1000 - authTime : NaN
  return ageSeconds >= -leewaySeconds && ageSeconds <= maxAgeSeconds + leewaySeconds
}
