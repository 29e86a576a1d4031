import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto'

const tokenBytes = 32
const tokenForm = /^[A-Za-z0-9_-]{43}$/

/** Creates refresh tokens, and derives their successors. */
export interface RefreshTokens {
  /** Returns a token of 256 random bits, in base64url. It carries no information (RFC 6749, section 1.5). */
  create (): string
  /**
   * Returns the successor of a spent token. One salt always gives the same successor.
   *
   * It is an HMAC-SHA256 of the salt, the session and the spent token, under a key that only the servers have. Someone
   * who reads the database has the salt, but not the key and no token. A thief of the spent token has no key and no
   * salt. Once the salt is deleted, the successor cannot be derived again.
   */
  deriveSuccessor (spentToken: string, sessionId: string, salt: Uint8Array): string
}

/** @param secret at least 32 bytes that cannot be guessed, the same for all replicas */
export function createRefreshTokens (secret: Uint8Array): RefreshTokens {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'signout refresh token rotation', 32))
  return {
    create: () => randomBytes(tokenBytes).toString('base64url'),
    deriveSuccessor: (spentToken, sessionId, salt) =>
      createHmac('sha256', key).update(salt).update(sessionId).update(spentToken).digest('base64url')
  }
}

/** Returns a new salt for one rotation. */
export function createRotationSalt (): Uint8Array {
  return randomBytes(tokenBytes)
}

/**
 * Returns the SHA-256 of a refresh token, which the database stores. Returns undefined if the text cannot be a token.
 */
export function hashRefreshToken (token: string): Uint8Array | undefined {
  // The last of 43 characters has two unused bits. Only one spelling of them is accepted.
  if (!tokenForm.test(token) || Buffer.from(token, 'base64url').toString('base64url') !== token) return undefined
  return createHash('sha256').update(token).digest()
}
