import type { FastifyJWTOptions } from '@fastify/jwt'
import { SignoutError } from '../src/errors.ts'

type Key = string | Buffer
type Done = (error: Error | null, key?: Key) => void
/** The forms in which a key function of @fastify/jwt may answer; some give the key back as it is, which hangs it. */
type KeyFunction = (request: unknown, token: unknown, done: Done) => Promise<Key | undefined> | Key | undefined | void

/** Finds the key of a token, for a request or, with `undefined`, for what has none. */
export type FindKey = (request: unknown, token: unknown) => Promise<Key>

/** The secret as @fastify/jwt gets it, and the way to the key when it is a function. */
export interface KeySource {
  secret: FastifyJWTOptions['secret']
  findKey: FindKey | undefined
}

/**
 * Makes a key function answer in one way: a promise, which rejects with `invalid_token` when there is no key for a token.
 * @fastify/jwt would call it a second time with other arguments then. A secret that is no function stays as it is.
 */
export function createKeySource (secret: FastifyJWTOptions['secret']): KeySource {
  const isPair = typeof secret === 'object' && 'public' in secret
  const key: unknown = isPair ? secret.public : secret
  if (typeof key !== 'function') return { secret, findKey: undefined }
  const findKey = inOneWay(key as KeyFunction)
  return { secret: (isPair ? { ...secret, public: findKey } : findKey) as FastifyJWTOptions['secret'], findKey }
}

function inOneWay (keyFunction: KeyFunction): FindKey {
  // @fastify/jwt offers a callback as well, and takes the promise when there is one.
  return (request, token) => new Promise((resolve, reject) => {
    const settle: Done = (error, key) => {
      if (error) reject(error)
      else if (key === undefined || key.length === 0) reject(new SignoutError('invalid_token'))
      else resolve(key)
    }
    const answered = keyFunction(request, token, settle)
    if (answered instanceof Promise) answered.then(key => { settle(null, key) }, reject)
    else if (answered !== undefined) settle(null, answered)
  })
}
