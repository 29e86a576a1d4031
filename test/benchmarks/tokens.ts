import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { ed25519, forge, goodClaims, hs256, nowSeconds } from '../support/tokens.ts'

export const algorithms = ['EdDSA', 'HS256'] as const
export type Algorithm = typeof algorithms[number]

/** What every variant verifies with. */
export interface Keys {
  algorithm: Algorithm
  /** The secret, or the public key as PEM. */
  verifying: string
  /** The secret, or the private key as PEM: @fastify/jwt wants both. */
  signing: string
}

export interface Issuer {
  keys: Keys
  /** So many tokens, no two of one user, session or id. */
  issue (count: number): string[]
}

export const issuer = 'https://auth.example.com'
/** So that many different tokens are verified, as in a service with as many users. */
export const tokenCount = 2_000
export const maxRememberedTokens = 10_000

export function createIssuer (algorithm: Algorithm): Issuer {
  const secret = randomUUID() + randomUUID()
  const pair = generateKeyPairSync('ed25519')
  const signer = algorithm === 'HS256' ? hs256(secret) : ed25519(pair.privateKey)
  const header = { alg: algorithm, typ: 'at+jwt', kid: randomUUID() }
  return {
    keys:
      algorithm === 'HS256'
        ? { algorithm, verifying: secret, signing: secret }
        : {
            algorithm,
            verifying: pair.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
            signing: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
          },
    issue: count =>
      Array.from({ length: count }, () => forge(header, { ...goodClaims(issuer), exp: nowSeconds() + 7_200 }, signer))
  }
}
