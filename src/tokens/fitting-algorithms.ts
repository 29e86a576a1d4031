import { createPublicKey, type KeyObject } from 'node:crypto'

/** The algorithms of each curve (RFC 7518, section 3.4), by OpenSSL's name of the curve. */
const ofCurve: Record<string, string> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' }

/**
 * Returns those of the algorithms that the key is for (RFC 8725, section 3.1). fast-jwt checks only that one of them
 * is: with several algorithms it verifies a signature of an RSA key in a token that says `EdDSA`.
 *
 * Returns the algorithms as they are if the key is no public key, or if none fits. fast-jwt then refuses what it must.
 */
export function fittingAlgorithms<A extends string> (
  algorithms: A[] | undefined, key: string | Buffer | undefined
): A[] | undefined {
  if (algorithms === undefined || algorithms.length < 2 || key === undefined) return algorithms
  const publicKey = readPublicKey(key)
  if (publicKey === undefined) return algorithms
  const fitting = algorithms.filter(algorithm => isFor(algorithm, publicKey))
  return fitting.length === 0 ? algorithms : fitting
}

function isFor (algorithm: string, { asymmetricKeyType, asymmetricKeyDetails }: KeyObject): boolean {
  if (asymmetricKeyType === 'rsa') return /^[RP]S/.test(algorithm)
  if (asymmetricKeyType === 'ec') return algorithm === ofCurve[asymmetricKeyDetails?.namedCurve ?? '']
  return algorithm === 'EdDSA'
}

/** Returns undefined for a secret, which is no key in the sense of OpenSSL. */
function readPublicKey (key: string | Buffer): KeyObject | undefined {
  try {
    return createPublicKey(key)
  } catch {
    return undefined
  }
}
