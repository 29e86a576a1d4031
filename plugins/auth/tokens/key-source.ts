import type { FastifyJWTOptions } from '@fastify/jwt'
import { SignoutError } from '../../../src/errors.ts'
import { isThenable } from '../../../src/revocation/revocation-check.ts'
import type { KeyUse } from '../../../src/tokens/verified-tokens.ts'
import { createBound } from '../../../src/timing/deadline.ts'
import { toKeyError } from '../errors.ts'

type Key = KeyUse['key']
type Done = (error: Error | null, key?: Key) => void
/** The forms in which a key function may return its key. With some of them @fastify/jwt itself would wait forever. */
type KeyFunction = (request: unknown, token: unknown, done: Done) => Promise<Key> | Key | undefined | void

/** The longest wait for a key function, in milliseconds. It is generous: a distant key server is slow, not down. */
const keyDeadlineMs = 5_000

/**
 * Finds the key of a token. Returns the key, or a promise of the key, as the key function does. Throws, or rejects
 * with, `invalid_token` when there is no such key, and `key_unavailable` when the key function fails or misses its
 * deadline.
 *
 * @param request undefined for a token that came without a request
 * @param token the decoded token
 */
export type FindKey = (request: unknown, token: unknown) => Key | Promise<Key>

/** A source of keys. */
export interface KeySource {
  /** The option `secret` of @fastify/jwt. */
  secret: FastifyJWTOptions['secret']
  /** Finds the key of a token. Undefined if one key verifies all tokens. */
  findKey: FindKey | undefined
  /** The key that verifies all tokens. Undefined if there is a key function. */
  key: Key | undefined
}

/**
 * Gives @fastify/jwt a key function that always returns a promise. It rejects with `invalid_token` when there is no key
 * for a token. If it returned undefined, @fastify/jwt would call it a second time, with other arguments. It rejects
 * with `key_unavailable` when the app's key function fails. A secret that is not a function stays as it is.
 */
export function createKeySource (secret: FastifyJWTOptions['secret']): KeySource {
  const isPair = typeof secret === 'object' && 'public' in secret
  const key: unknown = isPair ? secret.public : secret
  if (typeof key !== 'function') return { secret, findKey: undefined, key: key as Key }
  const findKey = inOneWay(key as KeyFunction)
  const findLater = async (request: unknown, token: unknown): Promise<Key> => await findKey(request, token)
  const ours = isPair ? { ...secret, public: findLater } : findLater
  return { secret: ours as FastifyJWTOptions['secret'], findKey, key: undefined }
}

function inOneWay (keyFunction: KeyFunction): FindKey {
  const bound = createBound(keyDeadlineMs)
  const keyOf = (answer: PromiseLike<Key | undefined>): Promise<Key> => bound(answer).then(required, failed)
  // @fastify/jwt also passes a callback, and takes the promise if there is one.
  return (request, token) => {
    let isLate = false
    let early: { error: Error | null, key: Key | undefined } | undefined
    let settle: Done | undefined
    const answered = callNow(() => keyFunction(request, token, (error, key) => {
      if (isLate) settle?.(error, key)
      else early ??= { error, key }
    }))
    // A library may have a promise of its own. @fastify/jwt would report its failure as a fault of the token.
    if (isThenable(answered)) return keyOf(answered)
    if (answered !== undefined) return required(answered)
    if (early?.error) return failed(early.error)
    // A function without a third parameter never calls back: there is no such key.
    if (early !== undefined || keyFunction.length < 3) return required(early?.key)
    isLate = true
    return keyOf(new Promise<Key | undefined>((resolve, reject) => {
      settle = (error, key) => { error ? reject(error) : resolve(key) }
    }))
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
