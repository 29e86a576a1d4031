import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { ed25519, forge, goodClaims, hs256, nowSeconds } from '../support/tokens.ts'

export const algorithms = ['EdDSA', 'HS256'] as const
export type Algorithm = typeof algorithms[number]

/** The keys with which every variant verifies tokens. */
export interface Keys {
  algorithm: Algorithm
  /** The secret, or the public key as PEM. */
  verifying: string
  /** The secret, or the private key as PEM: @fastify/jwt requires both keys. */
  signing: string
}

export interface Issuer {
  keys: Keys
  /** Issues this number of tokens, each with a user, a session and an id of its own. */
  issue (count: number): string[]
}

export const issuer = 'https://auth.example.com'
/** The number of different tokens that are sent, as by the users of a service. */
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
