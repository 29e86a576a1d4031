import type { SignOptions } from '@fastify/jwt'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { shown } from '../../src/input/check-options.ts'
import { SignoutError } from '../../src/errors.ts'
import { leewayOf, lifetimeOf } from '../../src/revocation/blocklist.ts'
import { createIssueCutOffs, type IssueCutOffs } from '../../src/revocation/issue-cut-offs.ts'
import { createRevocationCheck } from '../../src/revocation/revocation-check.ts'
import { createRevoker, type Revoker } from '../../src/revocation/revoker.ts'
import { createClaimsCheck, type ClaimsCheck, type RevocableTokenClaims } from '../../src/tokens/claims.ts'
import { compileClaimsSchema } from '../../src/tokens/claims-schema.ts'
import { deepFreeze } from '../../src/tokens/deep-freeze.ts'
import { createAuthenticate, withExpiry, type AnyReply, type AnyRequest } from './authenticate.ts'
import { setHeadersOfErrors, toTokenError, withClock } from './errors.ts'
import { createIssueToken, type IssuedClaims } from './issue-token.ts'
import { registerJwt } from './jwt.ts'
import { createKeySource } from './key-source.ts'
import { checkAuthOptions, type AuthOptions } from './options.ts'
import {
  createRequireRecentAuthentication, type RecentAuthenticationHook, type RecentAuthenticationOptions
} from './recent-authentication.ts'
import { createLifetimeLog } from './lifetime-log.ts'
import { declarePolicies } from './revocation-policy.ts'
import { createVerification } from './verification.ts'

export { SignoutError, type ErrorCode } from '../../src/errors.ts'
export type { Blocklist } from '../../src/revocation/blocklist.ts'
export type { CheckResult } from '../../src/revocation/revocation-check.ts'
export type { RevocableClaims, Revocation } from '../../src/entries/revocation.ts'
export type { IssuedClaims } from './issue-token.ts'
export type { IssueCutOffs } from '../../src/revocation/issue-cut-offs.ts'
export type { Revoker } from '../../src/revocation/revoker.ts'
export type { RevocableTokenClaims } from '../../src/tokens/claims.ts'
export { createMemoryBlocklist } from '../../src/revocation/memory-blocklist.ts'
export { createRedisBlocklist } from '../../src/revocation/public-blocklist.ts'
export { createRedisConnection } from '../../src/redis/public-connection.ts'
export type { AuthOptions, JwtOptions } from './options.ts'
export type { RecentAuthenticationHook, RecentAuthenticationOptions } from './recent-authentication.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * An `onRequest` hook that authenticates a request. Sets `request.user` to the claims of the access token, deeply
     * frozen.
     *
     * Fails with 401 if something is wrong with the token. Fails with 503 `revocation_unavailable` if the blocklist
     * cannot be read, and with 503 `key_unavailable` if the key function fails. The headers `WWW-Authenticate` and
     * `Retry-After` are set when the error is answered, and not before, because a route may catch the error.
     *
     * A route with the config `onRevocationUnavailable: 'allow'` goes on while the blocklist cannot be read. The answer
     * then has the header `X-Revocation-Check: unavailable`.
     *
     * @example
     * app.get('/secret', { onRequest: app.authenticate }, async request => request.user)
     */
    authenticate (request: AnyRequest, reply: AnyReply): Promise<void>
    authenticate (request: AnyRequest, reply: AnyReply, done: (error?: Error) => void): void
    /**
     * Checks a token that came without a request, for example over a socket. Returns the claims, deeply frozen, or
     * rejects with the errors of `authenticate`. `app.jwt.verify` does not check the blocklist: it accepts revoked
     * tokens.
     *
     * @example
     * const { sub } = await app.verifyToken(token)
     */
    verifyToken (token: string): Promise<RevocableTokenClaims>
    /**
     * Checks the signature and the claims of a token, and not the blocklist: it accepts revoked tokens. For apps that
     * check the revocation in another way.
     *
     * @example
     * const { jti } = await app.verifySignature(token)
     */
    verifySignature (token: string): Promise<RevocableTokenClaims>
    /**
     * Returns an `onRequest` hook for routes that may hurt the owner of an account. It requires that the user proved
     * the password at most that long ago, by the claim `auth_time` and the leeway. Otherwise it fails with 401
     * `insufficient_user_authentication`, and with `max_age` in `WWW-Authenticate` (RFC 9470). Alone on a route, it
     * does as `app.authenticate` first. Throws a TypeError for a wrong option.
     *
     * @example
     * app.delete('/account', { onRequest: app.requireRecentAuthentication({ maxAgeSeconds: 300 }) }, deleteAccount)
     */
    requireRecentAuthentication (options: RecentAuthenticationOptions): RecentAuthenticationHook
    /**
     * Revokes tokens and sessions.
     *
     * @example
     * await app.revoker.revoke([{ scope: 'session', id: user.sid, expiresAt: user.exp }])
     */
    revoker: Revoker
    /**
     * Revokes every token of a user that was issued until now: see {@link IssueCutOffs}.
     *
     * @example
     * await app.revokeSubject(user.id)
     */
    revokeSubject: IssueCutOffs['revokeSubject']
    /**
     * Revokes every token of every user that was issued until now: see {@link IssueCutOffs}.
     *
     * @example
     * await app.revokeEveryone()
     */
    revokeEveryone: IssueCutOffs['revokeEveryone']
    /**
     * Signs a token that can be revoked. Waits until the clock has passed the last `revokeSubject` and the last
     * `revokeEveryone`, so that they do not refuse it. That takes a second at most, or twice the leeway and a second
     * with a blocklist in Redis. `jti` and `sid` are made unless they are given. `iat` is now.
     *
     * Rejects with `revocation_unavailable` when the blocklist cannot tell.
     *
     * @param claims such as `{ sub }`. With a `sub`, the last `revokeSubject` of it is waited for too.
     * @param options of `app.jwt.sign`, such as `{ expiresIn: '15m' }`
     * @example
     * const token = await app.issueToken({ sub: user.id }, { expiresIn: '15m' })
     */
    issueToken (claims: IssuedClaims, options?: Partial<SignOptions>): Promise<string>
  }
  interface FastifyContextConfig {
    /**
     * The policy of `app.authenticate` for a valid token on this route while the blocklist is unreachable. `refuse`,
     * the default: 503. `allow`: the request goes on, although the token may have been revoked. The answer then says so
     * in a header.
     *
     * @example
     * app.get('/news', { onRequest: app.authenticate, config: { onRevocationUnavailable: 'allow' } }, showNews)
     */
    onRevocationUnavailable?: 'allow' | 'refuse'
  }
}

async function auth (app: FastifyInstance, options: AuthOptions): Promise<void> {
  checkAuthOptions(options)
  const { jwt, blocklist, realm = 'signout', findClockFault, onChecked } = options
  const leewaySeconds = leewayOf(blocklist)
  const checkClaims: ClaimsCheck = createClaimsCheck({
    leewaySeconds,
    maxLifetimeSeconds: lifetimeOf(blocklist),
    meetsSchema: options.claims && await compileClaimsSchema(options.claims)
  })
  const keys = createKeySource(jwt.secret)
  const decode = (token: string): unknown => app.jwt.decode(token)
  const verification = createVerification({
    jwt, leewayMs: leewaySeconds * 1000, keys, checkClaims, decode, onVerified: options.onVerified
  })
  const check = createRevocationCheck(blocklist, onChecked, verification.keyIdOf)
  const checkRevocation = withExpiry(check, leewaySeconds)
  const logLifetime = createLifetimeLog(app)
  function toRefusal (failure: unknown): SignoutError {
    const error = withClock(toTokenError(failure), findClockFault)
    logLifetime(error)
    return error
  }

  function refuseRevoked (claims: RevocableTokenClaims): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      checkRevocation(claims, error => { error === undefined ? resolve() : reject(error) })
    }).catch(error => {
      // Any other error would be reported as a fault of the token.
      throw error instanceof SignoutError ? error : new SignoutError('internal_error', { cause: error })
    })
  }

  /** For `request.jwtVerify()`, which an app may call without `app.authenticate`. */
  async function isTrusted (_request: unknown, claims: unknown): Promise<true> {
    // Frozen before a schema of the app sees the claims.
    deepFreeze(claims)
    checkClaims(claims)
    await refuseRevoked(claims)
    return true
  }

  declarePolicies(app)
  setHeadersOfErrors(app, realm)
  await registerJwt(app, { ...jwt, secret: keys.secret, verify: verification.verifyOptions, trusted: isTrusted })

  app.decorate('revoker', createRevoker(blocklist))
  const { revokeSubject, revokeEveryone } = createIssueCutOffs(blocklist)
  app.decorate('revokeSubject', revokeSubject)
  app.decorate('revokeEveryone', revokeEveryone)
  app.decorate('issueToken', createIssueToken(app, blocklist))
  app.decorate('verifySignature', async token => {
    const text = requireText(token)
    try {
      return await verification.findClaims(text, undefined)
    } catch (error) {
      throw toRefusal(error)
    }
  })
  app.decorate('verifyToken', async token => {
    const claims = await app.verifySignature(token)
    await refuseRevoked(claims).catch(error => { throw toRefusal(error) })
    return claims
  })
  const readToken = (request: FastifyRequest): string => app.jwt.lookupToken(request)
  app.decorate('authenticate', createAuthenticate({ verification, readToken, checkRevocation, toRefusal }))
  app.decorate('requireRecentAuthentication', createRequireRecentAuthentication(app, leewaySeconds))
}

function requireText (token: unknown): string {
  if (token === undefined || token === null || token === '') throw new SignoutError('authorization_required')
  if (typeof token === 'string') return token
  throw new TypeError(`app.verifyToken takes the text of a token, and was given ${shown(token)}.`)
}

/**
 * Adds access tokens that can be revoked to any Fastify app: @fastify/jwt, and a blocklist that is checked for each
 * request.
 *
 * Registering rejects with a TypeError that says what is wrong with an option.
 *
 * @example
 * await app.register(auth, { blocklist: createMemoryBlocklist(), jwt: { secret, sign: { expiresIn: '15m' } } })
 */
export default fp(auth, { name: 'signout-auth', fastify: '5.x' })
