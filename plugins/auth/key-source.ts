import type { FastifyJWTOptions } from '@fastify/jwt'
import { SignoutError } from '../../src/errors.ts'
import { isThenable } from '../../src/revocation/revocation-check.ts'
import type { KeyUse } from '../../src/tokens/verified-tokens.ts'
import { toKeyError } from './errors.ts'

type Key = KeyUse['key']
type Done = (error: Error | null, key?: Key) => void
/** The forms in which a key function of @fastify/jwt may answer; some give the key back as it is, which hangs it. */
type KeyFunction = (request: unknown, token: unknown, done: Done) => Promise<Key> | Key | undefined | void

/**
 * Finds the key of a token, for a request or, with `undefined`, for a token that came without one. Returns the key, or a promise
 * of it, as the key function does. Throws, or rejects with, `invalid_token` when there is no such key, and `key_unavailable`
 * when the key function fails.
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
 * Gives @fastify/jwt a key function that always returns a promise, which rejects with `invalid_token` when there is no key for a
 * token: @fastify/jwt would call a function that returns undefined a second time, with other arguments. It rejects with
 * `key_unavailable` when the app's key function fails. A secret that is not a function stays as it is.
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
    const answered = callNow(() => keyFunction(request, token, (error, key) => {
      if (isLate) settle?.(error, key)
      else early ??= { error, key }
    }))
    // Also a promise of a library's own, whose failure would be taken for a fault of the token.
    if (isThenable(answered)) return Promise.resolve(answered).then(required, failed)
    if (answered !== undefined) return required(answered)
    if (early?.error) return failed(early.error)
    // A function without a third parameter never calls back: undefined is what it says.
    if (early !== undefined || keyFunction.length < 3) return required(early?.key)
    isLate = true
    return new Promise<Key | undefined>((resolve, reject) => {
      settle = (error, key) => { error ? reject(error) : resolve(key) }
    }).then(required, failed)
  }
}

function callNow<T> (keyFunction: () => T): T {
  try {
    return keyFunction()
  } catch (error) {
    return failed(error)
  }
}

function failed (error: unknown): never {
  throw toKeyError(error)
}

function required (key: Key | undefined): Key {
  if (key === undefined || key.length === 0) throw new SignoutError('invalid_token')
  return key
}
