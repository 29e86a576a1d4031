import { hkdfSync } from 'node:crypto'
import { CompactEncrypt, compactDecrypt, type JWK } from 'jose'
import { StartupError } from '../errors.ts'

/** A JWK in the database: one JWE in compact form (RFC 7516), or several of the same key, separated by spaces. */
export type EncryptedJwk = string

/** An encrypted JWK and its name, to which it is bound: a `kid`, or the name of the root secret. */
export interface NamedJwk {
  name: string
  encrypted: EncryptedJwk
}

/**
 * Keeps secret keys unreadable in the database. While the secret is changed there are two, and keys are stored under
 * both: so replicas that have either can read them.
 */
export interface KeyEncryption {
  /** Encrypts a JWK (RFC 7517, section 7) under the present secret alone. */
  encrypt (name: string, jwk: JWK): Promise<EncryptedJwk>
  /**
   * Encrypts a JWK under each own secret that opens the example, so that every replica that reads the example can read
   * the JWK. Rejects with a `StartupError` if no own secret opens it.
   */
  encryptLike (example: NamedJwk, name: string, jwk: JWK): Promise<EncryptedJwk>
  /** Adds a copy under the present secret, unless there is one. Rejects as {@link decrypt} does. */
  addCopy (jwk: NamedJwk): Promise<EncryptedJwk>
  /** Rejects with a `StartupError` if no own secret opens it, or if it belongs to another name. */
  decrypt (jwk: NamedJwk): Promise<JWK>
  /** Returns the own secret that opens it. Rejects as {@link decrypt} does. */
  findSecret (jwk: NamedJwk): Promise<string>
}

/**
 * Creates the encryption: AES-256-GCM under a key that is derived from the secret with HKDF-SHA256.
 *
 * @param secret at least 32 bytes that cannot be guessed
 * @param previousSecret the secret before, while it is changed
 */
export function createKeyEncryption (secret: string, previousSecret?: string): KeyEncryption {
  const present = createCipher(secret)
  const ciphers = previousSecret === undefined ? [present] : [present, createCipher(previousSecret)]

  /** Returns the own secrets that open it, with the JWK that each has found. */
  async function open (jwk: NamedJwk): Promise<[Opened, ...Opened[]]> {
    const [first, ...more] = (await Promise.all(ciphers.map(cipher => cipher.open(jwk)))).flat()
    if (first === undefined) throw wrongSecret()
    return [first, ...more]
  }

  return {
    encrypt: present.seal,
    async encryptLike (example, name, jwk) {
      const opened = await open(example)
      return (await Promise.all(opened.map(({ cipher }) => cipher.seal(name, jwk)))).join(' ')
    },
    async addCopy (stored) {
      const opened = await open(stored)
      if (opened.some(({ cipher }) => cipher === present)) return stored.encrypted
      return `${stored.encrypted} ${await present.seal(stored.name, opened[0].jwk)}`
    },
    decrypt: async jwk => (await open(jwk))[0].jwk,
    findSecret: async jwk => (await open(jwk))[0].cipher.secret
  }
}

interface Opened {
  cipher: Cipher
  jwk: JWK
}

type Cipher = ReturnType<typeof createCipher>

/** Creates the encryption under one secret. */
function createCipher (secret: string) {
  const key = new Uint8Array(hkdfSync('sha256', secret, '', 'signout signing key encryption', 32))
  const cipher = {
    secret,
    async seal (name: string, jwk: JWK): Promise<string> {
      return await new CompactEncrypt(new TextEncoder().encode(JSON.stringify(jwk)))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', cty: 'jwk+json', kid: name })
        .encrypt(key)
    },
    /** Returns an empty list if none of the copies is under this secret. */
    async open ({ name, encrypted }: NamedJwk): Promise<Opened[]> {
      for (const copy of encrypted.split(' ')) {
        const opened = await compactDecrypt(copy, key, {
          keyManagementAlgorithms: ['dir'],
          contentEncryptionAlgorithms: ['A256GCM']
        }).catch(() => undefined)
        if (opened?.protectedHeader.kid !== name) continue
        return [{ cipher, jwk: JSON.parse(new TextDecoder().decode(opened.plaintext)) as JWK }]
      }
      return []
    }
  }
  return cipher
}

function wrongSecret (): StartupError {
  return new StartupError(
    'KEY_ENCRYPTION_SECRET does not open the keys in the database: start with the secret that they are encrypted under. If it was changed, set KEY_ENCRYPTION_SECRET_PREVIOUS to the one before. (In embedded mode, where the variable is not set, it is the file key-encryption-secret in DATA_DIR.)'
  )
}
