import { randomUUID } from 'node:crypto'
import { compactVerify, importSPKI, SignJWT } from 'jose'
import { Compile } from 'typebox/compile'
import { AccessTokenClaims } from './access-token-claims.ts'
import type { KeyRing } from '../keys/key-ring.ts'

/** The `client_id` (RFC 9068, section 2.2) of the tokens of `POST /login`: the built-in public client. */
export const builtInClientId = 'signout'

/** The `typ` of an access token (RFC 9068, section 2.1). */
const tokenType = 'at+jwt'

export interface AccessTokenOptions {
  /** The issuer of the tokens (`iss`). */
  issuer: string
  /** The recipients of the tokens (`aud`). */
  audience: string
  lifetimeSeconds: number
  /** Throws if the clock may be wrong. Then no token is planned. */
  requireClock?: () => void
  /** Returns the time, in milliseconds since the epoch. Defaults to `Date.now`. */
  now?: () => number
}

/** The user and the session of a token. */
export interface AccessTokenSubject {
  userId: string
  sessionId: string
  /** Space-separated (RFC 6749, section 3.3). */
  scope: string
  /** When the password was last proved, as `auth_time` (RFC 9068, section 2.2.1). */
  authenticatedAt: Date
}

/** The claims in which the access tokens of one session differ. */
export interface AccessTokenValidity {
  /** `jti` */
  id: string
  /** `iat` and `exp`, in seconds since the epoch. */
  issuedAt: number
  expiresAt: number
}

export interface AccessTokens {
  /**
   * Plans a new token: a `jti` of its own, valid from now until its lifetime is over. Call it in the transaction that
   * locks the session. The session must store the plan before the token is signed. Then any end of the session revokes
   * this token too.
   *
   * Throws `service_unavailable` while the clock may be wrong.
   *
   * @param latestAt the latest `exp`, in milliseconds since the epoch
   */
  plan (latestAt: number): AccessTokenValidity
  /**
   * Signs the token with the current key. While a key of EdDSA or RS256 stays, equal arguments give the same token.
   * Rejects with `service_unavailable` when the current key is not known, because the database does not answer.
   */
  sign (subject: AccessTokenSubject, validity: AccessTokenValidity): Promise<string>
  /** Returns the claims of a token of this service, even if it has expired. Returns undefined for any other text. */
  read (token: string): Promise<AccessTokenClaims | undefined>
}

/** Issues access tokens in the profile of RFC 9068. */
export function createAccessTokens (
  keyRing: Pick<KeyRing, 'getSigningKey' | 'findAny'>,
  options: AccessTokenOptions
): AccessTokens {
  const { issuer, audience, lifetimeSeconds, requireClock, now = Date.now } = options
  return {
    plan (latestAt) {
      requireClock?.()
      const issuedAt = Math.floor(now() / 1000)
      return {
        id: randomUUID(),
        issuedAt,
        expiresAt: Math.min(issuedAt + lifetimeSeconds, Math.floor(latestAt / 1000))
      }
    },
    async sign ({ userId, sessionId, scope, authenticatedAt }, { id, issuedAt, expiresAt }) {
      const claims: AccessTokenClaims = {
        iss: issuer,
        aud: audience,
        sub: userId,
        jti: id,
        sid: sessionId,
        iat: issuedAt,
        exp: expiresAt,
        auth_time: Math.floor(authenticatedAt.getTime() / 1000),
        client_id: builtInClientId,
        scope
      }
      const key = await keyRing.getSigningKey()
      return await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: key.algorithm, kid: key.kid, typ: tokenType })
        .sign(key.privateKey)
    },
    async read (token) {
      try {
        const { payload, protectedHeader } = await compactVerify(token, async ({ kid, alg }) => {
          const key = keyRing.findAny(kid)
          if (key?.algorithm !== alg) throw new TypeError(`No key of that algorithm is named ${kid}.`)
          return await importSPKI(key.pem, key.algorithm)
        })
        const claims: unknown = JSON.parse(new TextDecoder().decode(payload))
        const isOurs = areClaims(claims) && claims.iss === issuer && claims.aud === audience
        return isOurs && protectedHeader.typ === tokenType ? claims : undefined
      } catch {
        // Any error means that the text is not a token of this service.
        return undefined
      }
    }
  }
}

const compileCheck = () => Compile(AccessTokenClaims)
let claimsCheck: ReturnType<typeof compileCheck> | undefined

/** Returns true for the claims of an access token. The check is compiled for the first one: few commands read any. */
function areClaims (claims: unknown): claims is AccessTokenClaims {
  claimsCheck ??= compileCheck()
  return claimsCheck.Check(claims)
}
