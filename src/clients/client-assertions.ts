import { createHash } from 'node:crypto'
import { decodeJwt, decodeProtectedHeader, importJWK, jwtVerify, type JWTPayload } from 'jose'
import { algorithmsOf, assertionAlgorithms, type AssertionAlgorithm, type ClientJwk } from './client-keys.ts'

/** The longest time that an assertion is valid, in seconds. Until then, it is kept as used. */
export const maxAssertionSeconds = 3_600

/** The largest number of characters of a `jti`. */
const maxIdLength = 255

export interface AssertionRules {
  /** The values of `aud` that name this service: the issuer, or the address of the token endpoint. */
  audiences: readonly string[]
  /** By how much clocks may differ, in seconds. */
  leewaySeconds: number
  /** Returns the time, in milliseconds since the epoch. Defaults to `Date.now`. */
  now?: () => number
}

/** An assertion that a client has signed. It must not be accepted twice. */
export interface VerifiedAssertion {
  /** Names the assertion among those of all clients. */
  hash: string
  /** When it is refused because it has expired, on every replica. */
  expiresAt: Date
}

/** Returns the client that an assertion claims to be from, without any check; undefined for any other text. */
export function readClaimedClient (assertion: string): string | undefined {
  try {
    const sub: unknown = decodeJwt(assertion).sub
    return typeof sub === 'string' ? sub : undefined
  } catch {
    return undefined
  }
}

/**
 * Verifies an assertion of a client (RFC 7523, section 3): the signature and all claims. Returns undefined if anything
 * is wrong. One of the keys of the client must have signed it.
 *
 * An assertion has one audience. With several, one of them could send it to another one.
 */
export async function verifyAssertion (
  assertion: string, clientId: string, keys: readonly ClientJwk[], rules: AssertionRules
): Promise<VerifiedAssertion | undefined> {
  const { audiences, leewaySeconds, now = Date.now } = rules
  const at = now()
  const payload = await verifySignature(assertion, keys, {
    issuer: clientId,
    subject: clientId,
    audience: [...audiences],
    requiredClaims: ['exp'],
    clockTolerance: leewaySeconds,
    currentDate: new Date(at)
  })
  if (payload === undefined) return undefined
  const { jti, exp = 0, aud } = payload
  const isBounded = exp <= at / 1000 + maxAssertionSeconds + leewaySeconds
  const isNamed = typeof jti === 'string' && jti !== '' && jti.length <= maxIdLength
  if (!isBounded || !isNamed || [aud].flat().length !== 1) return undefined
  return {
    hash: createHash('sha256').update(JSON.stringify([clientId, jti])).digest('base64url'),
    expiresAt: new Date((exp + leewaySeconds) * 1000)
  }
}

async function verifySignature (
  assertion: string, keys: readonly ClientJwk[], options: Parameters<typeof jwtVerify>[2]
): Promise<JWTPayload | undefined> {
  try {
    const { alg, kid } = decodeProtectedHeader(assertion)
    const algorithm = alg === 'Ed25519' ? 'EdDSA' : alg as AssertionAlgorithm
    if (!assertionAlgorithms.includes(algorithm)) return undefined
    const fitting = keys.filter(key => algorithmsOf(key).includes(algorithm) &&
      (kid === undefined || key.kid === undefined || key.kid === kid))
    for (const key of fitting) {
      const imported = await importJWK({ ...key, alg: undefined }, alg)
      const verified = await jwtVerify(assertion, imported, { ...options, algorithms: [alg as string] }).catch(() => {})
      if (verified !== undefined) return verified.payload
    }
    return undefined
  } catch {
    // The text is no JWT.
    return undefined
  }
}
