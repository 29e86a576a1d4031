import { randomUUID } from 'node:crypto'
import { compactVerify, importSPKI, SignJWT } from 'jose'
import { Compile } from 'typebox/compile'
import { AccessTokenClaims } from './claims.ts'
import type { KeyRing } from './key-ring.ts'
import { signingAlgorithm } from '../db/public-jwk.ts'

const claimsCheck = Compile(AccessTokenClaims)

/**
 * `client_id` (RFC 9068, section 2.2) of tokens that were issued to the service's own sign-in, not to an OAuth client.
 */
const firstPartyClientId = 'signout'

export interface AccessTokenOptions {
  /** `iss`: who issues the tokens. */
  issuer: string
  /** `aud`: whom they are for. */
  audience: string
  lifetimeSeconds: number
  /** Throws when the clock may be wrong: then no token is planned. */
  requireClock?: () => void
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

/** What tells one access token from another of the same session. */
export interface AccessTokenValidity {
  /** `jti` */
  id: string
  /** `iat` and `exp`, in seconds since the epoch. */
  issuedAt: number
  expiresAt: number
}

export interface AccessTokens {
  /**
   * Decides on a new token: a `jti` of its own, from now until its lifetime is over. To be called in the transaction
   * that locks the session, which must know of it before it is signed: whatever ends the session then ends this token
   * too.
   *
   * Throws `service_unavailable` while the clock may be wrong.
   *
   * @param latestAt beyond which it must not live, in milliseconds since the epoch
   */
  plan (latestAt: number): AccessTokenValidity
  /** Signs the token with the current key. The same arguments make the same token, while the key is the same. */
  sign (subject: AccessTokenSubject, validity: AccessTokenValidity): Promise<string>
  /**
   * The claims of a token that was signed with one of our keys, whether or not it has expired; undefined for any other
   * text.
   */
  read (token: string): Promise<AccessTokenClaims | undefined>
}

/** Issues access tokens in the profile of RFC 9068, signed with Ed25519 (RFC 8037). */
export function createAccessTokens (keyRing: KeyRing, options: AccessTokenOptions): AccessTokens {
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
    async sign ({ userId, sessionId, scope }, { id, issuedAt, expiresAt }) {
      const claims: AccessTokenClaims = {
        iss: issuer,
        aud: audience,
        sub: userId,
        jti: id,
        sid: sessionId,
        iat: issuedAt,
        exp: expiresAt,
        client_id: firstPartyClientId,
        scope
      }
      const key = keyRing.signingKey
      return await new SignJWT({ ...claims })
        .setProtectedHeader({ alg: key.algorithm, kid: key.kid, typ: 'at+jwt' })
        .sign(key.privateKey)
    },
    async read (token) {
      try {
        const { payload } = await compactVerify(token, async ({ kid }) => {
          const pem = keyRing.publicKeyPem(kid)
          if (pem === undefined) throw new TypeError(`No key is named ${kid}.`)
          return await importSPKI(pem, signingAlgorithm)
        }, { algorithms: [signingAlgorithm] })
        const claims: unknown = JSON.parse(new TextDecoder().decode(payload))
        return claimsCheck.Check(claims) && claims.iss === issuer ? claims : undefined
      } catch {
        // Whatever it is, it is no token of ours.
        return undefined
      }
    }
  }
}
