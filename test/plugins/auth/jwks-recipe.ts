import { createRemoteJWKSet, errors, exportSPKI, type JWTHeaderParameters } from 'jose'

const wrongHeaders = [errors.JWKSNoMatchingKey, errors.JWKSMultipleMatchingKeys, errors.JOSENotSupported]

/** Returns a key function for the JWKS at an address. jose keeps the keys, and asks again for a `kid` that is new. */
export function createJwksKeys (url: string) {
  const findKey = createRemoteJWKSet(new URL(url))
  const pems = new WeakMap<object, Promise<string>>()
  return async (_request: unknown, { header }: { header: JWTHeaderParameters }) => {
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
