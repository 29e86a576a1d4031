// @ts-check
import { createRemoteJWKSet, errors, exportSPKI } from 'jose'

const wrongHeaders = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported]

/**
 * Returns a function that finds the key of a token in the JWKS at an address. jose keeps the keys, and asks again for a
 * `kid` that is new.
 *
 * @param {string} url
 */
export function createJwksKeys (url) {
  const findKey = createRemoteJWKSet(new URL(url))
  const pems = new WeakMap()
  return async (/** @type {import('jose').JWTHeaderParameters} */ header) => {
    try {
      const key = await findKey(header)
      const pem = pems.get(key) ?? exportSPKI(key)
      pems.set(key, pem)
      return await pem
    } catch (error) {
      // Anyone can invent a header. Any other failure is a 503.
      if (wrongHeaders.some(type => error instanceof type)) return undefined
      throw error
    }
  }
}
