import type { FastifyJWTOptions, JWT } from '@fastify/jwt'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { TSchema } from 'typebox'
import { SignoutError } from '../src/errors.ts'
import type { Blocklist } from '../src/revocation/blocklist.ts'
import { createRevocationCheck, type CheckResult } from '../src/revocation/revocation-check.ts'
import { createRevoker, type Revoker } from '../src/revocation/revoker.ts'
import { createClaimsCheck, type ClaimsCheck, type RevocableTokenClaims } from '../src/tokens/claims.ts'
import { deepFreeze } from '../src/tokens/deep-freeze.ts'
import type { KeyUse } from '../src/tokens/verified-tokens.ts'
import { isUnavailable, setHeadersOfErrors, toTokenError } from './auth-errors.ts'
import { createAuthenticate } from './authenticate.ts'
import { registerJwt } from './jwt.ts'
import { createKeySource, type KeySource } from './key-source.ts'
import { declarePolicies } from './revocation-policy.ts'
import { createTokenMemory, type TokenMemory } from './token-memory.ts'

export { SignoutError, type ErrorCode } from '../src/errors.ts'
export type { Blocklist } from '../src/revocation/blocklist.ts'
export type { CheckResult } from '../src/revocation/revocation-check.ts'
export type { RevocableClaims, Revocation } from '../src/revocation/revocation.ts'
export type { Revoker } from '../src/revocation/revoker.ts'
export type { RevocableTokenClaims } from '../src/tokens/claims.ts'
export { createMemoryBlocklist } from '../src/revocation/memory-blocklist.ts'
export { createRedisBlocklist } from '../src/revocation/redis-blocklist.ts'
export { createRedisConnection } from '../src/revocation/redis-connection.ts'

/** The settings of @fastify/jwt that this plugin does not set itself. */
export type JwtOptions = Omit<FastifyJWTOptions, typeof ownJwtOptions[number]>

export interface AuthOptions {
  /** How tokens are verified: handed to @fastify/jwt as it is. `verify.clockTolerance` (milliseconds) is the leeway. */
  jwt: JwtOptions
  /** Who is asked whether a token was revoked. Whoever made it closes it. */
  blocklist: Blocklist
  /** How long the blocklist may take, in milliseconds. */
  deadlineMs?: number
  /** What the claims must be beyond having a `jti` and an `exp`: a TypeBox schema, or any JSON Schema. */
  claims?: TSchema
  /** `realm` of the `WWW-Authenticate` header (RFC 6750, section 3). */
  realm?: string
  /** Told what came of each check, for counting. It must be quick, and must not throw. */
  onChecked?: (result: CheckResult) => void
}

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

/** Options of @fastify/jwt that would take the check out of this plugin's hands, or its claims out of `request.user`. */
const ownJwtOptions = ['trusted', 'formatUser', 'namespace', 'decoratorName', 'jwtVerify'] as const
const defaultDeadlineMs = 250

/** Access tokens that can be taken back, in any Fastify app: @fastify/jwt, and a blocklist that is asked on each request. */
async function auth (app: FastifyInstance, options: AuthOptions): Promise<void> {
  const { jwt, blocklist, deadlineMs = defaultDeadlineMs, realm = 'signout' } = options
  for (const name of ownJwtOptions) {
    if (name in jwt) throw new TypeError(`The option jwt.${name} is set by signout and cannot be given.`)
  }
  const leewayMs = jwt.verify?.clockTolerance ?? 0
  const checkClaims: ClaimsCheck = createClaimsCheck({ leewaySeconds: leewayMs / 1000, ...(options.claims && { schema: options.claims }) })
  const checkRevocation = createRevocationCheck(blocklist, deadlineMs, options.onChecked)
  /** The claims of tokens that are well, by the error that says that the blocklist could not be asked about them. */
  const unchecked = new WeakMap<SignoutError, RevocableTokenClaims>()

  function isNotRevoked (claims: RevocableTokenClaims): Promise<true> {
    return new Promise((resolve, reject) => {
      checkRevocation(claims, error => { error === undefined ? resolve(true) : reject(error) })
    })
  }

  async function isTrusted (_request: unknown, claims: unknown): Promise<true> {
    checkClaims(claims)
    // Others may hold the same object: none may leave a mark on it.
    deepFreeze(claims)
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
    verify: { errorCacheTTL: () => -leewayMs - 1, ...memory.verifyOptions },
    trusted: isTrusted
  })

  app.decorate('revoker', createRevoker(blocklist, deadlineMs))

  app.decorate('verifySignature', createSignatureCheck(app.jwt, { memory, keys, checkClaims }))
  app.decorate('verifyToken', async token => {
    const claims = await app.verifySignature(token)
    await isNotRevoked(claims)
    return claims
  })

  app.decorate('authenticate', createAuthenticate({
    memory,
    checkRevocation,
    findUnchecked: failure => unchecked.get(failure as SignoutError)
  }))
}

interface SignatureCheckOptions {
  memory: TokenMemory
  keys: KeySource
  checkClaims: ClaimsCheck
}

/** Makes `app.verifySignature`. What it verifies is remembered as if it had come in the header of a request. */
function createSignatureCheck (jwt: JWT, { memory, keys: { findKey }, ...options }: SignatureCheckOptions): FastifyInstance['verifySignature'] {
  const checkClaims: ClaimsCheck = options.checkClaims

  function verify (token: string, keyUse: KeyUse | undefined): RevocableTokenClaims {
    // A key of its own means a verifier of its own, which is not worth a cache.
    const claims: unknown = jwt.verify(token, keyUse && { key: keyUse.key, cache: false })
    checkClaims(claims)
    deepFreeze(claims)
    return claims
  }

  return async token => {
    if (typeof token !== 'string' || token === '') throw new SignoutError('authorization_required')
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
      throw toTokenError(error)
    }
  }
}

export default fp(auth, { name: 'signout-auth', fastify: '5.x' })
