import { Type, type Static } from 'typebox'
import { maxNumericDate } from '../entries/revocation.ts'
import { canonicalUuidPattern } from '../input/uuid.ts'
import { scopeClaimPattern } from './requirements.ts'

/** The form of our own ids. The blocklist would not recognise another form. */
const CanonicalUuid = Type.String({ pattern: canonicalUuidPattern })
/** Seconds since the epoch, up to the end of the year 9999. No revocation can have a later `expiresAt`. */
const NumericDate = Type.Number({ minimum: 0, maximum: maxNumericDate })

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
  scope: Type.String({ pattern: scopeClaimPattern })
})
export type AccessTokenClaims = Static<typeof AccessTokenClaims>
