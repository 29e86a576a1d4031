import { hkdfSync } from 'node:crypto'
import { CompactEncrypt, compactDecrypt, type JWK } from 'jose'

/** Keeps private keys unreadable in the database. */
export interface KeyEncryption {
  /** @returns an encrypted JWK (RFC 7517, section 7) in JWE compact form, bound to the key's `kid` */
  encrypt (kid: string, privateJwk: JWK): Promise<string>
  /** Rejects if the secret is another one, or if the text belongs to another `kid`. */
  decrypt (kid: string, encrypted: string): Promise<JWK>
}

/**
 * Creates the encryption: AES-256-GCM under a key that is derived from the secret with HKDF-SHA256. So one secret can
 * serve other purposes under other names.
 *
 * @param secret at least 32 bytes that cannot be guessed
 */
export function createKeyEncryption (secret: string): KeyEncryption {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'signout signing key encryption', 32))
  return {
    async encrypt (kid, privateJwk) {
      return await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(privateJwk)))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', cty: 'jwk+json', kid })
        .encrypt(key)
    },
    async decrypt (kid, encrypted) {
      const { plaintext, protectedHeader } = await compactDecrypt(encrypted, key, {
        keyManagementAlgorithms: ['dir'],
        contentEncryptionAlgorithms: ['A256GCM']
      })
      if (protectedHeader.kid !== kid) throw new Error(`The encrypted key is not the one named ${kid}.`)
      return JSON.parse(new TextDecoder().decode(plaintext)) as JWK
    }
  }
}
