import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { StoredCredential } from './tables.ts'

/** The number of credentials that a client has during a rotation. */
export const maxCredentials = 2

/** Returns a new secret of 256 random bits, in base64url. */
export function createClientSecret (): string {
  return randomBytes(32).toString('base64url')
}

/**
 * Returns the SHA-256 of a secret, which the database stores. A fast hash is right here: a secret has 256 random bits,
 * so no hash is slow enough to matter to a guesser. The slow hashes of passwords make up for few bits, and would cost
 * each introspection milliseconds.
 */
export function hashClientSecret (secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

/** Compared with in place of a secret that a client does not have. Its secret is not known. */
const unknownHash = randomBytes(32)

/**
 * Returns true if a secret is one of a client. Takes equally long for every client, and for none: the number of
 * comparisons is fixed, and each takes equally long.
 *
 * @param credentials those of the client; empty for an unknown client
 */
export function isSecretOf (credentials: readonly StoredCredential[], secret: string): boolean {
  const given = createHash('sha256').update(secret).digest()
  let isRight = false
  for (let index = 0; index < maxCredentials; index++) {
    const credential = credentials[index]
    const stored = credential !== undefined && 'secretHash' in credential
      ? Buffer.from(credential.secretHash, 'base64url')
      : unknownHash
    if (timingSafeEqual(given, stored)) isRight = true
  }
  return isRight
}
