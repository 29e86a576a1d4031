import type { FastifyJWTOptions } from '@fastify/jwt'
import { SignoutError } from '../src/errors.ts'
import type { KeyUse } from '../src/tokens/verified-tokens.ts'

type Key = KeyUse['key']
type Done = (error: Error | null, key?: Key) => void
/** The forms in which a key function of @fastify/jwt may answer; some give the key back as it is, which hangs it. */
type KeyFunction = (request: unknown, token: unknown, done: Done) => Promise<Key> | Key | undefined | void

/**
 * Finds the key of a token, for a request or, with `undefined`, for what has none: at once, where the key function answers
 * at once. Throws, or rejects with, `invalid_token` when there is none.
 */
export type FindKey = (request: unknown, token: unknown) => Key | Promise<Key>

/** The secret as @fastify/jwt gets it, and the way to the key when it is a function. */
export interface KeySource {
  secret: FastifyJWTOptions['secret']
  findKey: FindKey | undefined
  /** Answers a list of the keys that @fastify/jwt is given for a request from now on. */
  watch (request: object): KeyUse[]
}

/**
 * Makes a key function answer in one way: a promise, which rejects with `invalid_token` when there is no key for a token.
 * @fastify/jwt would call it a second time with other arguments then. A secret that is no function stays as it is.
 */
export function createKeySource (secret: FastifyJWTOptions['secret']): KeySource {
  const isPair = typeof secret === 'object' && 'public' in secret
  const key: unknown = isPair ? secret.public : secret
  const usesByRequest = new WeakMap<object, KeyUse[]>()
  function watch (request: object): KeyUse[] {
    const uses: KeyUse[] = []
    usesByRequest.set(request, uses)
    return uses
  }
  if (typeof key !== 'function') return { secret, findKey: undefined, watch }
  const findKey = inOneWay(key as KeyFunction)
  async function findKeyOfRequest (request: object, token: unknown): Promise<Key> {
    const key = await findKey(request, token)
    usesByRequest.get(request)?.push({ key, token })
    return key
  }
  return { secret: (isPair ? { ...secret, public: findKeyOfRequest } : findKeyOfRequest) as FastifyJWTOptions['secret'], findKey, watch }
}

function inOneWay (keyFunction: KeyFunction): FindKey {
  // @fastify/jwt offers a callback as well, and takes the promise when there is one.
  return (request, token) => {
    let isLate = false
    let early: { error: Error | null, key: Key | undefined } | undefined
    let settle: Done | undefined
    const answered = keyFunction(request, token, (error, key) => {
      if (isLate) settle?.(error, key)
      else early ??= { error, key }
    })
    if (answered instanceof Promise) return answered.then(required)
    if (answered !== undefined) return required(answered)
    if (early?.error) throw early.error
    if (early !== undefined) return required(early.key)
    isLate = true
    return new Promise<Key | undefined>((resolve, reject) => {
      settle = (error, key) => { error ? reject(error) : resolve(key) }
    }).then(required)
  }
}

function required (key: Key | undefined): Key {
  if (key === undefined || key.length === 0) throw new SignoutError('invalid_token')
  return key
}
