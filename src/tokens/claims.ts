import { Type, type Static, type TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { SignoutError } from '../errors.ts'
import { maxIdLength, maxNumericDate } from '../entries/revocation.ts'
import { canonicalUuidPattern } from '../input/uuid.ts'

const Identifier = Type.String({ minLength: 1, maxLength: maxIdLength })
/** Our own ids have one form. In another one the blocklist would not recognise them. */
const CanonicalUuid = Type.String({ pattern: canonicalUuidPattern })
/** Up to the end of the year 9999: beyond it no date has a form, and no entry of a blocklist an end. */
const NumericDate = Type.Number({ minimum: 0, maximum: maxNumericDate })

/**
 * What the registered claims (RFC 7519, section 4.1) must be in a token that can be revoked, whoever issued it:
 * `jti` says what to revoke, and `exp` until when. The others may be absent, but not of another type.
 *
 * fast-jwt checks values and leaves the types of several claims to its caller: it lets a `jti` through that is
 * an array, a numeric `sub`, an `iat` that is text, and an `exp` of 1e400.
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

/** The claims of signout's own access tokens (RFC 9068, section 2.2), and the session that they belong to. */
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
  client_id: Type.String(),
  scope: Type.String()
})
export type AccessTokenClaims = Static<typeof AccessTokenClaims>

export interface ClaimsCheckOptions {
  /** What the claims must be beyond {@link RevocableTokenClaims}: a TypeBox schema, or any JSON Schema. */
  schema?: TSchema
  /** By how many seconds the issuer's clock may be ahead of ours. */
  leewaySeconds: number
  /** The clock, in milliseconds since the epoch. */
  now?: () => number
}

/** A token says that it was issued in the future. */
export class IssuedInFutureError extends Error {
  override readonly name = 'IssuedInFutureError'
}

/** Throws `invalid_token` unless the claims are those of a token that can be revoked. */
export type ClaimsCheck = (claims: unknown) => asserts claims is RevocableTokenClaims

/**
 * Whether a token has expired, with the leeway. It has at that very instant (RFC 7519, section 4.1.4), as its entry may
 * have, though fast-jwt still accepts it. Negated, so that `NaN` has expired.
 */
export function hasExpired (
  { exp }: Pick<RevocableTokenClaims, 'exp'>,
  leewaySeconds: number,
  now: () => number = Date.now
): boolean {
  return !(exp + leewaySeconds > now() / 1000)
}

/**
 * Makes the check of the claims of a token whose signature and validity were already verified. It throws
 * `invalid_token` when a claim is missing, of the wrong type, or says that the token was issued in the future.
 */
export function createClaimsCheck (options: ClaimsCheckOptions): ClaimsCheck {
  const { leewaySeconds, now = Date.now } = options
  const revocable = Compile(RevocableTokenClaims)
  const further = options.schema === undefined ? undefined : Compile(options.schema)

  return function checkClaims (claims): asserts claims is RevocableTokenClaims {
    if (!revocable.Check(claims)) throw new SignoutError('invalid_token')
    if (further !== undefined && !further.Check(claims)) throw new SignoutError('invalid_token')
    // Whatever options a verifier was given: a token outlives its entry in the blocklist otherwise.
    if (hasExpired(claims, leewaySeconds, now)) throw new SignoutError('token_expired')
    if (claims.iat !== undefined && claims.iat > now() / 1000 + leewaySeconds) {
      throw new SignoutError('invalid_token', { cause: new IssuedInFutureError() })
    }
  }
}
