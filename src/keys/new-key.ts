import { calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK } from 'jose'
import type { PublicJwk, SigningAlgorithm } from '../db/public-jwk.ts'

/** The length of an RSA key, in bits. The least that RFC 7518, section 3.3, allows is 2048. */
const modulusLength = 2048

/** A signing key that was just made, before it is encrypted. */
export interface MadeKey {
  kid: string
  publicJwk: PublicJwk
  privateJwk: JWK
}

/** Makes a signing key. Its `kid` is its thumbprint (RFC 7638), so two keys never have the same. */
export async function makeKey (algorithm: SigningAlgorithm): Promise<MadeKey> {
  const pair = await generateKeyPair(algorithm, { extractable: true, modulusLength })
  const { kty, crv, x, y, n, e } = await exportJWK(pair.publicKey)
  // Without those that are undefined, which only JSON leaves out.
  const members = JSON.parse(JSON.stringify({ kty, crv, x, y, n, e })) as JWK
  const kid = await calculateJwkThumbprint(members)
  // A command would take it for an option.
  if (kid.startsWith('-')) return await makeKey(algorithm)
  const publicJwk = { kid, ...members, alg: algorithm, use: 'sig' } as PublicJwk
  return { kid, publicJwk, privateJwk: await exportJWK(pair.privateKey) }
}
