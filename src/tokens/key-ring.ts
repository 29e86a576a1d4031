import {
  calculateJwkThumbprint,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  importJWK,
  type CryptoKey,
  type JWK
} from 'jose'
import { StartupError } from '../errors.ts'
import type { KeyEncryption } from './key-encryption.ts'
import type { KeyRepository, StoredKey } from './key-repository.ts'
import { signingAlgorithm, type PublicJwk } from '../db/public-jwk.ts'

/** The key that signs new tokens. */
export interface SigningKey {
  kid: string
  algorithm: typeof signingAlgorithm
  privateKey: CryptoKey
}

/** The keys of this service: one that signs, and all that verify. */
export interface KeyRing {
  readonly signingKey: SigningKey
  /** The public keys as a JWK Set (RFC 7517, section 5). Holds no private member. */
  readonly jwks: { keys: PublicJwk[] }
  /** Returns the public key of that `kid` as PEM (SPKI), or undefined if this service has no such key. */
  publicKeyPem (kid: unknown): string | undefined
}

/**
 * Opens the key ring in the database, and creates its first key if there is none. Replicas that start at the same time
 * get the same key: the repository keeps only the first.
 *
 * Rejects with a {@link StartupError} if the key was encrypted under another secret.
 */
export async function openKeyRing (keys: KeyRepository, encryption: KeyEncryption): Promise<KeyRing> {
  const stored = await keys.findActive() ?? await keys.addUnlessActive(await generateKey(encryption))
  const publicKey = await importJWK(stored.publicJwk, signingAlgorithm) as CryptoKey
  const pemByKid = new Map([[stored.kid, await exportSPKI(publicKey)]])
  const privateKey = await importPrivateKey(stored, encryption)
  return {
    signingKey: { kid: stored.kid, algorithm: signingAlgorithm, privateKey },
    jwks: { keys: [stored.publicJwk] },
    publicKeyPem: kid => typeof kid === 'string' ? pemByKid.get(kid) : undefined
  }
}

async function generateKey (encryption: KeyEncryption): Promise<StoredKey> {
  const pair = await generateKeyPair(signingAlgorithm, { extractable: true })
  const { x = '' } = await exportJWK(pair.publicKey)
  const kid = await calculateJwkThumbprint({ kty: 'OKP', crv: 'Ed25519', x })
  const publicJwk: PublicJwk = { kid, kty: 'OKP', crv: 'Ed25519', x, alg: signingAlgorithm, use: 'sig' }
  const encryptedPrivateJwk = await encryption.encrypt(kid, await exportJWK(pair.privateKey))
  return { kid, publicJwk, encryptedPrivateJwk }
}

async function importPrivateKey (stored: StoredKey, encryption: KeyEncryption): Promise<CryptoKey> {
  let jwk: JWK
  try {
    jwk = await encryption.decrypt(stored.kid, stored.encryptedPrivateJwk)
  } catch (cause) {
    throw new StartupError(
      'KEY_ENCRYPTION_SECRET does not open the signing key in the database: start with the secret that the key was made under. (In embedded mode, where the variable is not set, it is the file key-encryption-secret in DATA_DIR.)',
      { cause }
    )
  }
  return await importJWK(jwk, signingAlgorithm) as CryptoKey
}
