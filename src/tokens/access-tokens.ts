import { randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import type { AccessTokenClaims } from './claims.ts'
import type { KeyRing } from './key-ring.ts'

/** `client_id` (RFC 9068, section 2.2) of tokens that were issued to the service's own sign-in, not to an OAuth client. */
const firstPartyClientId = 'signout'

export interface AccessTokenOptions {
  /** `iss`: who issues the tokens. */
  issuer: string
  /** `aud`: whom they are for. */
  audience: string
  lifetimeSeconds: number
  /** The clock, in milliseconds since the epoch. */
  now?: () => number
}

/** Whom a token speaks for, and in which session. */
export interface AccessTokenSubject {
  userId: string
  sessionId: string
  /** Space-separated (RFC 6749, section 3.3). */
  scope: string
}

export interface IssuedAccessToken {
  /** The JWT in its compact form. */
  token: string
  expiresInSeconds: number
}

export interface AccessTokens {
  /** Issues a new token, with a `jti` of its own, signed with the current key. */
  issue (subject: AccessTokenSubject): Promise<IssuedAccessToken>
}

/** Issues access tokens in the profile of RFC 9068, signed with Ed25519 (RFC 8037). */
export function createAccessTokens (keyRing: KeyRing, options: AccessTokenOptions): AccessTokens {
  const { issuer, audience, lifetimeSeconds, now = Date.now } = options
  return {
    async issue ({ userId, sessionId, scope }) {
      const issuedAt = Math.floor(now() / 1000)
      const claims: AccessTokenClaims = {
        iss: issuer,
        aud: audience,
        sub: userId,
        jti: randomUUID(),
        sid: sessionId,
        iat: issuedAt,
        exp: issuedAt + lifetimeSeconds,
        client_id: firstPartyClientId,
        scope
      }
      const key = keyRing.signingKey
      const token = await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: key.algorithm, kid: key.kid, typ: 'at+jwt' })
        .sign(key.privateKey)
      return { token, expiresInSeconds: lifetimeSeconds }
    }
  }
}
