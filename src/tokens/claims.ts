import { Type, type Static, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { SignoutError } from '../errors.ts'
import { maxIdLength, maxNumericDate } from '../entries/revocation.ts'
import { canonicalUuidPattern } from '../input/uuid.ts'

const Identifier = Type.String({ minLength: 1, maxLength: maxIdLength })
/** The form of our own ids. The blocklist would not recognise another form. */
const CanonicalUuid = Type.String({ pattern: canonicalUuidPattern })
/** Seconds since the epoch, up to the end of the year 9999. No revocation can have a later `expiresAt`. */
const NumericDate = Type.Number({ minimum: 0, maximum: maxNumericDate })

/**
 * The registered claims (RFC 7519, section 4.1) of a token that can be revoked, from any issuer. `jti` names the token
 * to revoke, and `exp` says until when. The others may be absent, but not of another type.
 *
 * fast-jwt checks values and leaves the types of several claims to its caller. It accepts a `jti` that is an array, a
 * numeric `sub`, an `iat` that is text, and an `exp` of 1e400.
 */
export const RevocableTokenClaims = Type.Object({
  jti: Identifier,
  exp: NumericDate,
  sid: Type.Optional(Identifier),
  sub: Type.Optional(Type.String({ minLength: 1 })),
  iss: Type.Optional(Type.String()),
  aud: Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())])),
  iat: Type.Optional(NumericDate),
  nbf: Type.Optional(NumericDate)
})
export type RevocableTokenClaims = Static<typeof RevocableTokenClaims>

/** The claims of signout's own access tokens (RFC 9068, section 2.2), and the session of the token. */
export const AccessTokenClaims = Type.Object({
  iss: Type.String(),
  aud: Type.String(),
  /** The user's id. */
  sub: CanonicalUuid,
  /** The token's id. */
  jti: CanonicalUuid,
  /** The session's id, new at each login. */
  sid: CanonicalUuid,
  iat: NumericDate,
  exp: NumericDate,
  /** When the password was last proved. Tokens of earlier releases do not have it. */
  auth_time: Type.Optional(NumericDate),
  client_id: Type.String(),
  scope: Type.String()
})
export type AccessTokenClaims = Static<typeof AccessTokenClaims>

export interface ClaimsCheckOptions {
  /** Requirements beyond {@link RevocableTokenClaims}: a TypeBox schema, or any JSON Schema. */
  schema?: TSchema
  /** The number of seconds by which clocks may differ. */
  leewaySeconds: number
  /** The longest lifetime of a token, in seconds. With it, a token needs an `iat`. */
  maxLifetimeSeconds?: number | undefined
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

/**
 * Creates the check of the claims of a token whose signature and validity were already verified. It throws
 * `invalid_token` if a claim is missing, of the wrong type, or says that the token was issued in the future. It throws
 * `token_expired` if the token has expired.
 */
export function createClaimsCheck (options: ClaimsCheckOptions): ClaimsCheck {
  const { leewaySeconds, maxLifetimeSeconds, now = Date.now } = options
  const revocable = Compile(RevocableTokenClaims)
  const further = options.schema === undefined ? undefined : Compile(options.schema)

  return function checkClaims (claims): asserts claims is RevocableTokenClaims {
    if (!revocable.Check(claims)) throw new SignoutError('invalid_token')
    if (further !== undefined && !further.Check(claims)) throw new SignoutError('invalid_token')
    if (maxLifetimeSeconds !== undefined) checkLifetime(claims, maxLifetimeSeconds)
    // Checked again, regardless of the options of a verifier: a token must not outlive its entry in the blocklist.
    if (hasExpired(claims, leewaySeconds, now)) throw new SignoutError('token_expired')
    if (claims.iat !== undefined && claims.iat > now() / 1000 + leewaySeconds) {
      throw new SignoutError('invalid_token', { cause: new IssuedInFutureError() })
    }
  }
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
