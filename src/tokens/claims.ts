import { SignoutError } from '../errors.ts'
import { ClaimError, findClaimMistake } from './claim-mistakes.ts'
import type { MeetsSchema } from './claims-schema.ts'
import type { TokenIdentity } from './identity.ts'

/**
 * The registered claims (RFC 7519, section 4.1) of a token that can be revoked, from any issuer. `jti` names the token
 * to revoke, and `exp` says until when. The others may be absent, but not of another type.
 */
export interface RevocableTokenClaims {
  /** The id of the token: 1 to 255 characters. */
  jti: string
  /** When the token expires, in seconds since the epoch, up to the end of the year 9999. */
  exp: number
  /** The session of the token: 1 to 255 characters. */
  sid?: string
  /** The user of the token. */
  sub?: string
  /** The issuer of the token. */
  iss?: string
  /** The recipients of the token. */
  aud?: string | string[]
  /** When the token was issued, in seconds since the epoch. */
  iat?: number
  /** When the token begins to count, in seconds since the epoch. */
  nbf?: number
}

export interface ClaimsCheckOptions {
  /** Requirements beyond {@link RevocableTokenClaims}. */
  meetsSchema?: MeetsSchema | undefined
  /** The number of seconds by which clocks may differ. */
  leewaySeconds: number
  /** The longest lifetime of a token, in seconds. With it, a token needs an `iat`. */
  maxLifetimeSeconds?: number | undefined
  /** Returns the ids by which a token is revoked. Defaults to the claims themselves. */
  identify?: (claims: object) => TokenIdentity
  /** Returns the time, in milliseconds since the epoch. Defaults to `Date.now`. */
  now?: () => number
}

/** The cause of `invalid_token` if the `iat` of a token is in the future. */
export class IssuedInFutureError extends Error {
  override readonly name = 'IssuedInFutureError'
}

/** The cause of `invalid_token` if it is not known when a token was issued, or if it lives too long. */
export class LifetimeError extends Error {
  override readonly name = 'LifetimeError'
}

/**
 * Throws `invalid_token` unless the claims are those of a token that can be revoked, and `token_expired` after its
 * `exp`.
 */
export type ClaimsCheck = (claims: unknown) => asserts claims is RevocableTokenClaims

/**
 * Returns true if a token has expired, with the leeway. A token expires at the instant of its `exp` (RFC 7519, section
 * 4.1.4), when its entry may end too. fast-jwt still accepts it then. Negated, so that `NaN` has expired.
 */
export function hasExpired (
  { exp }: Pick<RevocableTokenClaims, 'exp'>,
  leewaySeconds: number,
  now: () => number = Date.now
): boolean {
  return !(exp + leewaySeconds > now() / 1000)
}

const schemaMistake = new ClaimError('The claims do not match the schema of the option claims.')

/**
 * Creates the check of the claims of a token whose signature and validity were already verified. It throws
 * `invalid_token` if a claim is missing, of the wrong type, or says that the token was issued in the future. It throws
 * `token_expired` if the token has expired.
 */
export function createClaimsCheck (options: ClaimsCheckOptions): ClaimsCheck {
  const { leewaySeconds, maxLifetimeSeconds, meetsSchema, identify, now = Date.now } = options

  return function checkClaims (claims): asserts claims is RevocableTokenClaims {
    const identity = identify !== undefined && typeof claims === 'object' && claims !== null ? identify(claims) : claims
    requireRevocable(identity)
    if (meetsSchema?.(claims) === false) throw new SignoutError('invalid_token', { cause: schemaMistake })
    if (maxLifetimeSeconds !== undefined) checkLifetime(identity, maxLifetimeSeconds)
    // Checked again, regardless of the options of a verifier: a token must not outlive its entry in the blocklist.
    if (hasExpired(identity, leewaySeconds, now)) throw new SignoutError('token_expired')
    if (identity.iat !== undefined && identity.iat > now() / 1000 + leewaySeconds) {
      const cause = new IssuedInFutureError('The token was issued in the future (iat).')
      throw new SignoutError('invalid_token', { cause })
    }
  }
}

/** Throws `invalid_token` unless claims have the types of {@link RevocableTokenClaims}. */
function requireRevocable (claims: unknown): asserts claims is RevocableTokenClaims {
  const mistake = findClaimMistake(claims)
  if (mistake !== undefined) throw new SignoutError('invalid_token', { cause: mistake })
}

/** Throws `invalid_token` for a token that outlives the entry of its subject, or that could not be compared with it. */
function checkLifetime ({ iat, exp }: RevocableTokenClaims, maxLifetimeSeconds: number): void {
  const reason = iat === undefined
    ? 'The token has no iat, so it cannot be compared with the last revokeSubject or revokeEveryone.'
    : exp - iat > maxLifetimeSeconds
      ? `The token lives longer than maxTokenLifetimeSeconds of the blocklist, ${maxLifetimeSeconds}.`
      : undefined
  if (reason !== undefined) throw new SignoutError('invalid_token', { cause: new LifetimeError(reason) })
}
