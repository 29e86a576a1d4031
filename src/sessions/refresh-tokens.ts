import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto'

const tokenBytes = 32
const tokenForm = /^[A-Za-z0-9_-]{43}$/

/** Makes refresh tokens, and their successors. */
export interface RefreshTokens {
  /** A token of 256 random bits, in base64url: it says nothing, not even whose it is (RFC 6749, section 1.5). */
  create (): string
  /**
   * The token that follows a spent one: the same each time for the same salt.
   *
   * It is an HMAC-SHA256, under a key that only the servers hold, of the salt, the session and the spent token. Whoever
   * reads the database has the salt, and neither the key nor any token; whoever stole the spent token has neither the
   * key nor the salt; and once the salt is deleted, nobody can derive it again.
   */
  deriveSuccessor (spentToken: string, sessionId: string, salt: Uint8Array): string
}

/** @param secret at least 32 bytes that cannot be guessed, the same for all replicas */
export function createRefreshTokens (secret: string): RefreshTokens {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'signout refresh token rotation', 32))
  return {
    create: () => randomBytes(tokenBytes).toString('base64url'),
    deriveSuccessor: (spentToken, sessionId, salt) =>
      createHmac('sha256', key).update(salt).update(sessionId).update(spentToken).digest('base64url')
  }
}

/** A salt of its own for each rotation. */
export function createRotationSalt (): Uint8Array {
  return randomBytes(tokenBytes)
}

/** What is stored of a refresh token, its SHA-256; undefined for a text that cannot be one. */
export function hashRefreshToken (token: string): Uint8Array | undefined {
  // The last of 43 characters carries two bits that say nothing: only one spelling is accepted.
  if (!tokenForm.test(token) || Buffer.from(token, 'base64url').toString('base64url') !== token) return undefined
  return createHash('sha256').update(token).digest()
}
