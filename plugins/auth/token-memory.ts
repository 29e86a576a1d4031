import { SignoutError } from '../../src/errors.ts'
import type { RevocableTokenClaims } from '../../src/tokens/claims.ts'
import { createVerifiedTokens, type KeyUse } from '../../src/tokens/verified-tokens.ts'
import type { JwtOptions, VerifyOptions } from './options.ts'
import type { FindKey, KeySource } from './key-source.ts'

/** Tokens that are remembered when nobody says how many: about 20 MB. */
const defaultMaxTokens = 10_000

type Recalled = RevocableTokenClaims | undefined

/** The tokens that `app.authenticate` has verified, by the exact value of `Authorization`. */
export interface TokenMemory {
  /** The settings of the verifier behind it: there is one memory, not two. */
  verifyOptions: VerifyOptions
  /**
   * The claims of a token that was verified before under this very header value, is valid now, and would be verified with
   * the same key now. Undefined for any other: it has to be verified, which then says what is wrong with it. Throws, or rejects
   * with, `key_unavailable` when the key function fails.
   */
  recall (request: unknown, authorization: string | undefined): Recalled | Promise<Recalled>
  /** To be called when the verification of a request begins, and what it answers, when it has gone well. */
  watch (request: object, authorization: string | undefined): (claims: RevocableTokenClaims) => void
  /** Remembers a token that came without a request. */
  remember (authorization: string, claims: RevocableTokenClaims, keyUse: KeyUse | undefined): void
}

/**
 * A key function is asked on every use, and must not answer another key than the token was verified with: so no token is
 * accepted that the key ring no longer vouches for, nor one that is good for another tenant only. There is no need to empty
 * the memory when the key ring changes, and no moment between a change and its being noticed: what a key that is gone has
 * verified is forgotten when it is used next, or when others need its place.
 */
export function createTokenMemory ({ verify = {}, cookie }: Pick<JwtOptions, 'verify' | 'cookie'>, leewayMs: number, { findKey, watch }: KeySource): TokenMemory {
  const maxTokens = cookie === undefined ? countRemembered(verify) : 0
  const { maxAge, cacheTTL, ignoreNotBefore = false } = verify
  const tokens = createVerifiedTokens({
    maxTokens,
    leewayMs,
    ignoreNotBefore,
    // @fastify/jwt takes seconds here, and hands on milliseconds.
    maxAgeMs: maxAge === undefined ? undefined : maxAge * 1000,
    ttlMs: cacheTTL
  })

  /** A token whose key is gone is verified again, which then says what is wrong. Rejects or throws while its key is unavailable. */
  function recallWithKey (request: unknown, authorization: string, claims: RevocableTokenClaims, { key, token }: KeyUse): Recalled | Promise<Recalled> {
    function compare (found: KeyUse['key'] | undefined): Recalled {
      if (found !== undefined && isSame(found, key)) return claims
      tokens.forget(authorization)
      return undefined
    }
    /** While the key was waited for the token may have expired. */
    const compareLate = (found: KeyUse['key'] | undefined) => compare(found) && tokens.find(authorization)?.claims
    function failed (error: unknown): Recalled {
      if (error instanceof SignoutError && error.code === 'key_unavailable') throw error
      return compare(undefined)
    }
    let found: ReturnType<FindKey> | undefined
    try {
      found = findKey?.(request, token)
    } catch (error) {
      return failed(error)
    }
    return found instanceof Promise ? found.then(compareLate, failed) : compare(found)
  }

  return {
    verifyOptions: maxTokens === 0 ? verify : { ...verify, cache: false },
    recall (request, authorization) {
      const found = authorization === undefined ? undefined : tokens.find(authorization)
      if (found?.keyUse === undefined) return found?.claims
      return recallWithKey(request, authorization as string, found.claims, found.keyUse)
    },
    watch (request, authorization) {
      if (maxTokens === 0 || authorization === undefined) return () => {}
      const uses = findKey && watch(request)
      return claims => {
        // More than one key: the request was verified more than once at a time, and whose is whose is not known.
        if (uses === undefined || uses.length === 1) tokens.remember(authorization, claims, uses?.[0])
      }
    },
    remember (authorization, claims, keyUse) {
      if (maxTokens > 0) tokens.remember(authorization, claims, keyUse)
    }
  }
}

/**
 * How many tokens are remembered. None where the header is not all that says which token it is, or where what claims are
 * matched with may change its mind; the verifier's own cache is what `verify` says then.
 */
function countRemembered (verify: VerifyOptions): number {
  const { cache = true, extractToken, onlyCookie } = verify
  if (extractToken !== undefined || onlyCookie === true || mayChange(verify)) return 0
  const maxTokens = typeof cache === 'boolean' ? (cache ? defaultMaxTokens : 0) : cache
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 0) throw new TypeError('The option jwt.verify.cache must be true, false, or how many tokens are remembered: a whole number from 0.')
  return maxTokens
}

/** The verifier takes anything with a method `test` for a regular expression. */
function mayChange ({ allowedAud, allowedIss, allowedJti, allowedNonce, allowedSub }: VerifyOptions): boolean {
  const matchers: unknown[] = [allowedAud, allowedIss, allowedJti, allowedNonce, allowedSub].flat()
  return matchers.some(matcher => typeof matcher === 'object' && matcher !== null && !(matcher instanceof RegExp && !matcher.global && !matcher.sticky))
}

function isSame (one: KeyUse['key'], other: KeyUse['key']): boolean {
  return one === other || (Buffer.isBuffer(one) && Buffer.isBuffer(other) && one.equals(other))
}
