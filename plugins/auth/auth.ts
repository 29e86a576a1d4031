import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { shown } from '../../src/input/check-options.ts'
import { SignoutError } from '../../src/errors.ts'
import { leewayOf, lifetimeOf } from '../../src/revocation/blocklist.ts'
import { createRevocationCheck, type RevocationCheck } from '../../src/revocation/revocation-check.ts'
import { createClaimsCheck, type ClaimsCheck, type RevocableTokenClaims } from '../../src/tokens/claims.ts'
import { compileClaimsSchema } from '../../src/tokens/claims-schema.ts'
import { deepFreeze } from '../../src/tokens/deep-freeze.ts'
import { createIdentities, type Identities } from '../../src/tokens/identity.ts'
import { createAuthenticate, withExpiry } from './authenticate.ts'
import { chooseNames, decorateWith } from './decorators.ts'
import { setHeadersOfErrors, toTokenError, withClock } from './errors.ts'
import { createIssueToken } from './tokens/issue-token.ts'
import { registerJwt } from './tokens/jwt.ts'
import { createKeySource } from './tokens/key-source.ts'
import { checkAuthOptions, type AuthOptions } from './options.ts'
import { createRequirements } from './requirements.ts'
import { createAddressWarning, createRefusalLog, explainFrozenWrites } from './refusal-log.ts'
import { declarePolicies } from './revocation-policy.ts'
import { createRevocations, refuseLogout, type LogoutOptions } from './revocations.ts'
import { createVerification, type Verification } from './tokens/verification.ts'

export * from './trusted.ts'
export { createServiceRecord } from '../../src/blocklist/public/service-record.ts'
export type { CheckResult } from '../../src/revocation/revocation-check.ts'
export type { IssuedClaims } from './tokens/issue-token.ts'
export type { Revoker } from '../../src/revocation/revoker.ts'
export type { RevocableTokenClaims } from '../../src/tokens/claims.ts'
export type { DecoratorName, DecoratorNames } from './decorators.ts'
export type { AuthOptions, JwtOptions } from './options.ts'
export type { IdOptions, LogoutOptions, RevocableToken, Revocations } from './revocations.ts'
export type { RecentAuthenticationHook, RecentAuthenticationOptions, ScopeHook } from './requirements.ts'

async function auth (app: FastifyInstance, options: AuthOptions): Promise<void> {
  checkAuthOptions(options)
  const names = chooseNames(app, options.names)
  const { jwt, blocklist, realm = 'signout', findClockFault } = options
  const leewaySeconds = leewayOf(blocklist)
  const identities = createIdentities(options)
  const logRefusal = createRefusalLog(app)
  const claimsProperty = Symbol('signout.claims')
  const checks = await createChecks(options, identities, token => own.decode(token))
  const { keys, verification, checkRevocation } = checks
  const checkClaims: ClaimsCheck = checks.checkClaims
  const refuseRevoked = toPromise(checkRevocation)

  function toRefusal (failure: unknown, request?: FastifyRequest): SignoutError {
    const error = withClock(toTokenError(failure), findClockFault)
    logRefusal(error, request?.log)
    return error
  }

  /** For `request.jwtVerify()`, which an app may call without `app.authenticate`. */
  async function isTrusted (request: unknown, claims: unknown): Promise<true> {
    // Frozen before a schema of the app sees the claims.
    deepFreeze(claims)
    checkClaims(claims)
    await refuseRevoked(claims)
    ;(request as Record<symbol, unknown>)[claimsProperty] = claims
    return true
  }

  declarePolicies(app)
  setHeadersOfErrors(app, realm)
  app.decorateRequest(claimsProperty, null)
  explainFrozenWrites(app, claimsProperty)
  const own = await registerJwt(app, {
    jwt: { ...jwt, secret: keys.secret, verify: verification.verifyOptions, trusted: isTrusted },
    names,
    onToken: createAddressWarning(app),
    onRefused: logRefusal
  })

  const { revoker, revokeIdentity, ...named } = createRevocations(blocklist, identities)
  const readToken = (request: FastifyRequest): string => own.lookupToken(request)
  const headerDecides = jwt.verify?.extractToken === undefined && jwt.verify?.onlyCookie !== true
  const authenticate = createAuthenticate({
    verification, headerDecides, readToken, checkRevocation, toRefusal, userProperty: names.user, claimsProperty
  })
  const verifyings = createVerifyings(verification, refuseRevoked, toRefusal)
  decorateWith(app, names, {
    authenticate,
    ...verifyings,
    ...createRequirements({ authenticate, userProperty: names.user }, leewaySeconds),
    revoker,
    ...named,
    issueToken: createIssueToken(own, blocklist)
  })
  app.decorateRequest(names.logout as 'logout', async function (this: FastifyRequest, options?: LogoutOptions) {
    const claims = (this as unknown as Record<symbol, RevocableTokenClaims | null>)[claimsProperty]
    await revokeIdentity(identities.identify(claims ?? refuseLogout()), options)
  })
}

/** Creates the checks of a token: of its signature and claims, and of the blocklist. */
async function createChecks (
  options: AuthOptions, { identify, isMapping }: Identities, decode: (token: string) => unknown
) {
  const { jwt, blocklist, onVerified, onChecked } = options
  const leewaySeconds = leewayOf(blocklist)
  const checkClaims: ClaimsCheck = createClaimsCheck({
    leewaySeconds,
    maxLifetimeSeconds: lifetimeOf(blocklist),
    identify,
    meetsSchema: options.claims && await compileClaimsSchema(options.claims)
  })
  const keys = createKeySource(jwt.secret)
  const verification = createVerification({
    jwt, leewayMs: leewaySeconds * 1000, keys, checkClaims, decode, identify, onVerified
  })
  const check = createRevocationCheck(blocklist, onChecked, verification.keyIdOf)
  const checkIdentity = withExpiry(check, leewaySeconds)
  const checkRevocation: RevocationCheck = isMapping
    ? (claims, done) => { checkIdentity(identify(claims), done) }
    : checkIdentity
  return { keys, verification, checkClaims, checkRevocation }
}

function toPromise (checkRevocation: RevocationCheck): (claims: RevocableTokenClaims) => Promise<void> {
  return claims => new Promise<void>((resolve, reject) => {
    checkRevocation(claims, error => { error === undefined ? resolve() : reject(error) })
  }).catch(error => {
    // Any other error would be reported as a fault of the token.
    throw error instanceof SignoutError ? error : new SignoutError('internal_error', { cause: error })
  })
}

function createVerifyings (
  { findClaims }: Verification,
  refuseRevoked: (claims: RevocableTokenClaims) => Promise<void>,
  toRefusal: (failure: unknown) => SignoutError
): Pick<FastifyInstance, 'verifySignature' | 'verifyToken'> {
  async function verifySignature (token: string): Promise<RevocableTokenClaims> {
    const text = requireToken(token)
    try {
      return await findClaims(text, undefined)
    } catch (error) {
      throw toRefusal(error)
    }
  }
  return {
    verifySignature,
    async verifyToken (token) {
      const claims = await verifySignature(token)
      await refuseRevoked(claims).catch(error => { throw toRefusal(error) })
      return claims
    }
  }
}

function requireToken (token: unknown): string {
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
