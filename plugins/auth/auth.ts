import type { JWT } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { shown } from '../../src/input/check-options.ts'
import { SignoutError } from '../../src/errors.ts'
import { leewayOf } from '../../src/revocation/blocklist.ts'
import { createRevocationCheck, type CheckDone } from '../../src/revocation/revocation-check.ts'
import { createRevoker, type Revoker } from '../../src/revocation/revoker.ts'
import { createClaimsCheck, hasExpired, type ClaimsCheck, type RevocableTokenClaims } from '../../src/tokens/claims.ts'
import { deepFreeze } from '../../src/tokens/deep-freeze.ts'
import type { KeyUse } from '../../src/tokens/verified-tokens.ts'
import { isUnavailable, setHeadersOfErrors, toTokenError, withClock } from './errors.ts'
import { checkAuthOptions, type AuthOptions } from './options.ts'
import { createAuthenticate } from './authenticate.ts'
import { registerJwt } from './jwt.ts'
import { createKeySource, type KeySource } from './key-source.ts'
import { declarePolicies } from './revocation-policy.ts'
import { createTokenMemory, type TokenMemory } from './token-memory.ts'

export { SignoutError, type ErrorCode } from '../../src/errors.ts'
export type { Blocklist } from '../../src/revocation/blocklist.ts'
export type { CheckResult } from '../../src/revocation/revocation-check.ts'
export type { RevocableClaims, Revocation } from '../../src/entries/revocation.ts'
export type { Revoker } from '../../src/revocation/revoker.ts'
export type { RevocableTokenClaims } from '../../src/tokens/claims.ts'
export { createMemoryBlocklist } from '../../src/revocation/memory-blocklist.ts'
export { createRedisBlocklist } from '../../src/revocation/public-blocklist.ts'
export { createRedisConnection } from '../../src/redis/public-connection.ts'
export type { AuthOptions, JwtOptions } from './options.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * An `onRequest` hook. Lets the request through with `request.user` set to the claims of its access token, deeply
     * frozen, or fails: with 401 when something is wrong with the token, with 503 `revocation_unavailable` when the blocklist
     * cannot be read, and with 503 `key_unavailable` when the key function fails. The headers `WWW-Authenticate` and
     * `Retry-After` are set when that error is answered, and not before: a route may catch the error.
     *
     * A route whose config says `onRevocationUnavailable: 'allow'` goes on while the blocklist cannot be read, with the header
     * `X-Revocation-Check: unavailable`.
     *
     * @example
     * app.get('/secret', { onRequest: app.authenticate }, async request => request.user)
     */
    authenticate (request: FastifyRequest, reply: FastifyReply): Promise<void>
    authenticate (request: FastifyRequest, reply: FastifyReply, done: (error?: Error) => void): void
    /**
     * The same check for a token that came without a request: over a socket, in a job. Answers the claims, deeply
     * frozen, or rejects with the same errors. `app.jwt.verify`, on the other hand, asks nobody and accepts what was revoked.
     */
    verifyToken (token: string): Promise<RevocableTokenClaims>
    /**
     * The signature and the claims alone, without asking the blocklist: accepts what was revoked. For whoever has another
     * way of finding out.
     */
    verifySignature (token: string): Promise<RevocableTokenClaims>
    /** Takes tokens and sessions back. */
    revoker: Revoker
  }
  interface FastifyContextConfig {
    /**
     * What `app.authenticate` does on this route with a token that is well, while the blocklist cannot be asked whether it
     * was revoked. `refuse`, the default: 503. `allow`: the request goes on, and its answer says so in a header.
     */
    onRevocationUnavailable?: 'allow' | 'refuse'
  }
}

/** Access tokens that can be taken back, in any Fastify app: @fastify/jwt, and a blocklist that is asked on each request. */
async function auth (app: FastifyInstance, options: AuthOptions): Promise<void> {
  checkAuthOptions(options)
  const { jwt, blocklist, realm = 'signout' } = options
  const leewaySeconds = leewayOf(blocklist)
  const leewayMs = leewaySeconds * 1000
  const checkClaims: ClaimsCheck = createClaimsCheck({ leewaySeconds, ...(options.claims && { schema: options.claims }) })
  const lookUp = createRevocationCheck(blocklist, options.onChecked)
  /** A token may expire while its entry is looked up, and its entry may end with it: what was found then says nothing. */
  function checkRevocation (claims: RevocableTokenClaims, done: CheckDone): void {
    lookUp(claims, error => { done(error === undefined && hasExpired(claims, leewaySeconds) ? new SignoutError('token_expired') : error) })
  }
  /** The claims of tokens that are well, by the error that says that the blocklist could not be asked about them. */
  const unchecked = new WeakMap<SignoutError, RevocableTokenClaims>()

  function isNotRevoked (claims: RevocableTokenClaims): Promise<true> {
    return new Promise((resolve, reject) => {
      checkRevocation(claims, error => { error === undefined ? resolve(true) : reject(error) })
    })
  }

  async function isTrusted (_request: unknown, claims: unknown): Promise<true> {
    // Before a schema of the app sees them. Others may hold the same object: none may leave a mark on it.
    deepFreeze(claims)
    checkClaims(claims)
    try {
      return await isNotRevoked(claims)
    } catch (error) {
      if (isUnavailable(error)) unchecked.set(error, claims)
      // Anything else that is thrown here would be taken for a fault of the token.
      throw error instanceof SignoutError ? error : new SignoutError('internal_error', { cause: error })
    }
  }

  declarePolicies(app)
  const keys = createKeySource(jwt.secret)
  const memory = createTokenMemory(jwt, leewayMs, keys)
  setHeadersOfErrors(app, realm)
  await registerJwt(app, {
    ...jwt,
    secret: keys.secret,
    // A token that failed is verified again: errors that pass, such as `nbf`, must not stick. fast-jwt adds the leeway to it.
    verify: { errorCacheTTL: () => -leewayMs - 1, ...memory.verifyOptions, clockTolerance: leewayMs },
    trusted: isTrusted
  })

  app.decorate('revoker', createRevoker(blocklist))

  app.decorate('verifySignature', createSignatureCheck(app.jwt, { memory, keys, checkClaims, findClockFault: options.findClockFault }))
  app.decorate('verifyToken', async token => {
    const claims = await app.verifySignature(token)
    await isNotRevoked(claims).catch(failure => { throw withClock(toTokenError(failure), options.findClockFault) })
    return claims
  })

  app.decorate('authenticate', createAuthenticate({
    memory,
    checkRevocation,
    findUnchecked: failure => unchecked.get(failure as SignoutError),
    findClockFault: options.findClockFault
  }))
}

interface SignatureCheckOptions {
  memory: TokenMemory
  keys: KeySource
  checkClaims: ClaimsCheck
  findClockFault: AuthOptions['findClockFault'] | undefined
}

/** Makes `app.verifySignature`. What it verifies is remembered as if it had come in the header of a request. */
function createSignatureCheck (jwt: JWT, { memory, keys: { findKey }, findClockFault, ...options }: SignatureCheckOptions): FastifyInstance['verifySignature'] {
  const checkClaims: ClaimsCheck = options.checkClaims

  function verify (token: string, keyUse: KeyUse | undefined): RevocableTokenClaims {
    // A key of its own means a verifier of its own, which is not worth a cache.
    const claims: unknown = jwt.verify(token, keyUse && { key: keyUse.key, cache: false })
    deepFreeze(claims)
    checkClaims(claims)
    return claims
  }

  return async token => {
    const given: unknown = token
    if (given === undefined || given === null || given === '') throw new SignoutError('authorization_required')
    if (typeof given !== 'string') throw new TypeError(`app.verifyToken takes the text of a token, and was given ${shown(given)}.`)
    const authorization = `Bearer ${token}`
    const known = await memory.recall(undefined, authorization)
    if (known !== undefined) return known
    try {
      const decoded: unknown = findKey && jwt.decode(token)
      const keyUse = findKey && { key: await findKey(undefined, decoded), token: decoded }
      const claims = verify(token, keyUse)
      memory.remember(authorization, claims, keyUse)
      return claims
    } catch (error) {
      throw withClock(toTokenError(error), findClockFault)
    }
  }
}

export default fp(auth, { name: 'signout-auth', fastify: '5.x' })
