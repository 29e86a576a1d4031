import type { FastifyJWTOptions, JWT } from '@fastify/jwt'
import { SignoutError } from '../src/errors.ts'

type KeyFunction = (request: undefined, token: unknown, callback: (error: Error | null, key?: string | Buffer) => void) => Promise<string | Buffer> | void

/**
 * Verifies a token outside a request, with the same key and options as `request.jwtVerify()`. `app.jwt.verify` alone
 * cannot: it calls a key function with other arguments. A key function gets no request here.
 *
 * @returns a function that answers the claims, or rejects with an error of @fastify/jwt
 */
export function createTokenVerifier (jwt: JWT, secret: FastifyJWTOptions['secret']): (token: string) => Promise<unknown> {
  const key: unknown = typeof secret === 'object' && 'public' in secret ? secret.public : secret

  return async function verifyToken (token) {
    if (typeof token !== 'string' || token === '') throw new SignoutError('authorization_required')
    if (typeof key !== 'function') return jwt.verify(token)
    return jwt.verify(token, { key: await fetchKey(key as KeyFunction, jwt.decode(token)) })
  }
}

function fetchKey (keyFunction: KeyFunction, token: unknown): Promise<string | Buffer> {
  return new Promise((resolve, reject) => {
    const answered = keyFunction(undefined, token, (error, key) => {
      if (error !== null || key === undefined) reject(error ?? new SignoutError('invalid_token'))
      else resolve(key)
    })
    answered?.then(resolve, reject)
  })
}
