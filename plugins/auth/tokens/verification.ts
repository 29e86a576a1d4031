import { createVerifier } from 'fast-jwt'
import type { ClaimsCheck, RevocableTokenClaims } from '../../../src/tokens/claims.ts'
import type { Identities } from '../../../src/tokens/identity.ts'
import { deepFreeze } from '../../../src/tokens/deep-freeze.ts'
import { fittingAlgorithms } from '../../../src/tokens/fitting-algorithms.ts'
import { createVerifiedTokens, type KeyUse } from '../../../src/tokens/verified-tokens.ts'
import type { FindKey, KeySource } from './key-source.ts'
import type { JwtOptions, VerifyOptions } from '../options.ts'

/** The default number of tokens that are remembered. They take about 20 MB. */
const defaultMaxTokens = 10_000
/** The largest number of verifiers that are kept. Creating one parses its key, which costs as much as a signature. */
const maxVerifiers = 100

type Key = KeyUse['key']
type Claims = RevocableTokenClaims
type Verify = (token: string) => unknown

/** Finds the claims of a token. It does not check the blocklist. */
export interface Verification {
  /**
   * Returns the claims of a token, deeply frozen: the remembered ones, at once where possible, or a promise of verified
   * ones. Throws, or rejects with, the fault of the token or of its key.
   *
   * @param request for the key function; undefined for a token that came without a request
   */
  findClaims (token: string, request: unknown): Claims | Promise<Claims>
  /** Does the same if the token is remembered, and returns undefined otherwise. The text need not be a token. */
  recall (text: string, request: unknown): Claims | Promise<Claims> | undefined
  /** Returns the `kid` of the token with this identity, if a key function chose its key. */
  keyIdOf (identity: object): string | undefined
  /** The settings of the verifier, for @fastify/jwt too. */
  verifyOptions: VerifyOptions
}

export interface VerificationOptions {
  jwt: Pick<JwtOptions, 'verify'>
  leewayMs: number
  keys: KeySource
  checkClaims: ClaimsCheck
  /** Returns the ids by which the blocklist knows a token. */
  identify: Identities['identify']
  /** Decodes a token for the key function. Throws if the options of `decode` refuse the token. */
  decode: (token: string) => unknown
  /** Called with the claims of a token once it is verified. */
  onVerified?: ((claims: Claims) => void) | undefined
}

/**
 * Creates the verification. It remembers a token once it is verified, regardless of the blocklist, which is checked on
 * each use.
 *
 * A key function is called on every use, and must return the key that verified the token. Therefore no token is
 * accepted after its key was removed, and no token of one tenant is accepted for another. When a key is removed, its
 * tokens stay in memory until others need the room, but they are refused.
 */
export function createVerification (options: VerificationOptions): Verification {
  const { jwt, leewayMs, keys: { findKey, key: onlyKey }, decode, identify, onVerified } = options
  const checkClaims: ClaimsCheck = options.checkClaims
  const { tokens, verifyOptions } = createMemory(jwt, leewayMs)
  const verifierOf = createVerifiers(verifyOptions, onlyKey)
  const keyIds = new WeakMap<object, string>()

  async function verify (token: string, use?: KeyUse): Promise<Claims> {
    const keyUse = use && { ...use, key: copyOf(use.key) }
    const claims: unknown = await verifierOf(keyUse?.key)(token)
    // Before a schema of the app sees the claims. Others may hold the same object.
    deepFreeze(claims)
    checkClaims(claims)
    const kid = (keyUse?.token as { header?: { kid?: unknown } } | undefined)?.header?.kid
    if (typeof kid === 'string') keyIds.set(identify(claims), kid)
    tokens.remember(token, claims, keyUse)
    onVerified?.(claims)
    return claims
  }

  async function verifyFirst (token: string, request: unknown): Promise<Claims> {
    // Also with one key for all tokens: the app's options of `decode` may refuse the token.
    const decoded = decode(token)
    if (findKey === undefined) return await verify(token)
    return await verify(token, { key: await findKey(request, decoded), token: decoded })
  }

  function recallWithKey (text: string, claims: Claims, keyUse: KeyUse, find: () => ReturnType<FindKey>) {
    const { key, token: decoded } = keyUse
    function compare (found: Key): Claims | Promise<Claims> {
      if (isSame(found, key)) return claims
      tokens.forget(text)
      return verify(text, { key: found, token: decoded })
    }
    // The token may expire while its key is waited for.
    const compareLate = (found: Key) => tokens.find(text) === undefined
      ? verify(text, { key: found, token: decoded })
      : compare(found)
    const found = find()
    return found instanceof Promise ? found.then(compareLate) : compare(found)
  }

  function recall (text: string, request: unknown): ReturnType<Verification['recall']> {
    const found = tokens.find(text)
    if (found?.keyUse === undefined || findKey === undefined) return found?.claims
    const { claims, keyUse } = found
    return recallWithKey(text, claims, keyUse, () => findKey(request, keyUse.token))
  }

  return {
    findClaims: (token, request) => recall(token, request) ?? verifyFirst(token, request),
    recall,
    keyIdOf: identity => keyIds.get(identity),
    verifyOptions
  }
}

function createMemory ({ verify = {} }: VerificationOptions['jwt'], leewayMs: number) {
  const maxTokens = countRemembered(verify)
  const { maxAge, cacheTTL, ignoreNotBefore = false } = verify
  const tokens = createVerifiedTokens({
    maxTokens,
    leewayMs,
    ignoreNotBefore,
    maxAgeMs: maxAge === undefined ? undefined : maxAge * 1000,
    ttlMs: cacheTTL
  })
  const verifyOptions = {
    // Temporary errors, such as a future `nbf`, must not stick, so no error is cached. fast-jwt adds the leeway to
    // this.
    errorCacheTTL: () => -leewayMs - 1,
    ...verify,
    // Tokens are remembered in one place only.
    ...maxTokens > 0 && { cache: false },
    clockTolerance: leewayMs
  }
  return { tokens, verifyOptions }
}

/**
 * Returns the number of tokens to remember. It is 0 if a matcher of claims may change its result. Then the cache of the
 * verifier is used, as `verify.cache` says.
 */
function countRemembered (verify: VerifyOptions): number {
  const { cache = true } = verify
  if (mayChange(verify)) return 0
  const maxTokens = typeof cache === 'boolean' ? (cache ? defaultMaxTokens : 0) : cache
  if (!Number.isSafeInteger(maxTokens) || maxTokens < 0) {
    const values = 'true, false, or how many tokens are remembered: a whole number from 0'
    throw new TypeError(`The option jwt.verify.cache must be ${values}.`)
  }
  return maxTokens
}

/**
 * Returns true if a matcher may change its result. fast-jwt accepts any object with a method `test` as a regular
 * expression.
 */
function mayChange ({ allowedAud, allowedIss, allowedJti, allowedNonce, allowedSub }: VerifyOptions): boolean {
  const matchers: unknown[] = [allowedAud, allowedIss, allowedJti, allowedNonce, allowedSub].flat()
  const isFixed = (matcher: object) => matcher instanceof RegExp && !matcher.global && !matcher.sticky
  return matchers.some(matcher => typeof matcher === 'object' && matcher !== null && !isFixed(matcher))
}

/** Returns the verifier of a key, or of the only key. It is kept unless the key is a buffer, whose bytes may change. */
function createVerifiers (verifyOptions: VerifyOptions, onlyKey: Key | undefined): (key: Key | undefined) => Verify {
  const { maxAge } = verifyOptions
  const verifiers = new Map<Key | undefined, Verify>()
  return key => {
    const known = verifiers.get(key)
    if (known !== undefined) return known
    // The option of the app goes before the secret, as in @fastify/jwt.
    const used = (verifyOptions as { key?: Key }).key ?? key ?? onlyKey
    // fast-jwt takes milliseconds.
    const made: Verify = createVerifier({
      ...verifyOptions,
      algorithms: fittingAlgorithms(verifyOptions.algorithms, used),
      maxAge: maxAge === undefined ? undefined : maxAge * 1000,
      key: used
    } as object)
    if (!Buffer.isBuffer(key)) verifiers.set(key, made)
    if (verifiers.size > maxVerifiers) verifiers.delete(verifiers.keys().next().value)
    return made
  }
}

/** Returns a key that its owner cannot change: a buffer may be overwritten, as when a key is destroyed. */
function copyOf (key: Key): Key {
  return Buffer.isBuffer(key) ? Buffer.from(key) : key
}

function isSame (one: Key, other: Key): boolean {
  return one === other || (Buffer.isBuffer(one) && Buffer.isBuffer(other) && one.equals(other))
}
