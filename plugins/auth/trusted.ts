import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { FastifyRequest } from 'fastify'
import { SignoutError } from '../../src/errors.ts'
import { refuseUnknown, requireText, shown } from '../../src/input/check-options.ts'
import { leewayOf, lifetimeOf, type Blocklist } from '../../src/revocation/blocklist.ts'
import { createRevocationCheck } from '../../src/revocation/revocation-check.ts'
import { createClaimsCheck, type ClaimsCheck } from '../../src/tokens/claims.ts'
import { createIdentities, type IdentityOptions, type TokenIdentity } from '../../src/tokens/identity.ts'
import { withExpiry } from './authenticate.ts'
import { isPreflight } from './errors.ts'
import { checkBlocklist } from './options.ts'
import { createRevocations, refuseLogout, type LogoutOptions, type Revocations } from './revocations.ts'

// The entry fastify-signout/trusted. Its types add no decorator to Fastify, for apps that have their own.
export { SignoutError, type ErrorCode } from '../../src/errors.ts'
export type { Blocklist } from '../../src/revocation/blocklist.ts'
export type { RevocableClaims, Revocation } from '../../src/entries/revocation.ts'
export { createMemoryBlocklist } from '../../src/revocation/memory-blocklist.ts'
export { createRedisBlocklist } from '../../src/blocklist/public/redis-blocklist.ts'
export {
  createPostgresRecord, postgresRecordSql, type PostgresRecord, type PostgresRecordOptions
} from '../../src/blocklist/public/postgres-record.ts'
export type { PostgresClient } from '../../src/blocklist/public/postgres-client.ts'
export { createRedisConnection } from '../../src/redis/public-connection.ts'
export type { ClaimNames, ClaimSource, Claims, ForeignIssuers } from '../../src/tokens/identity.ts'
export type { IdOptions, LogoutOptions, RevocableToken, Revocations } from './revocations.ts'

/** Options of {@link createTrusted}. */
export interface TrustedOptions extends IdentityOptions {
  /** The property of requests that holds the claims, for `check`. Defaults to `user`. */
  userProperty?: string
}

/** The option `trusted` of @fastify/jwt, and the revocations of its blocklist. */
export interface Trusted extends Revocations {
  /**
   * Resolves to true for a token that is not revoked. Rejects with an error that has a `statusCode` and a `code`: 401
   * if something is wrong with the token, and 503 `revocation_unavailable` if the blocklist cannot be read. Never
   * throws synchronously.
   *
   * @param request undefined for a token that came without a request
   * @param claims those of a token whose signature was verified
   */
  (request: unknown, claims: unknown): Promise<true>
  /**
   * A hook that checks the claims in `request.user`. It is for apps whose `authenticate` does not take `trusted`, such
   * as that of fastify-jwt-jwks or @fastify/passport. Put it after that hook.
   *
   * @example
   * app.get('/secret', { onRequest: [app.authenticate, trusted.check] }, async request => request.user)
   */
  check (request: FastifyRequest): Promise<void>
  /**
   * Revokes the token of a request that was checked, and its session. Does as `request.logout()` of the plugin.
   *
   * @example
   * app.post('/logout', { onRequest: app.authenticate }, request => trusted.logout(request))
   */
  logout (request: FastifyRequest, options?: LogoutOptions): Promise<void>
}

/**
 * Creates the option `trusted` for an app that registers @fastify/jwt itself.
 *
 * The claims of a token are read when the token is first seen, so an app may change `request.user` later. `formatUser`
 * and `namespace` can be used.
 *
 * Throws a TypeError if an option is wrong, or if the app has a version of @fastify/jwt that lets requests hang.
 *
 * @param blocklist the blocklist, such as `createRedisBlocklist(…)`. It declares the leeway of the clocks.
 * @example
 * const trusted = createTrusted(blocklist)
 * await app.register(fastifyJwt, { secret, trusted })
 * app.post('/logout', { onRequest: app.authenticate }, request => trusted.logout(request))
 */
export function createTrusted (blocklist: Blocklist, options: TrustedOptions = {}): Trusted {
  checkBlocklist(blocklist, 'blocklist')
  if (blocklist.isOfService === true) {
    throw new TypeError(
      'createTrusted cannot use the blocklist of the service: it gets no kid, and the key of a token may be revoked. Use the plugin.'
    )
  }
  if (typeof options !== 'object' || options === null) {
    throw new TypeError(`The options of createTrusted are ${shown(options)}; they must be an object.`)
  }
  refuseUnknown(options, ['userProperty', 'claimNames', 'foreignIssuers'])
  refuseOldJwt()
  const userProperty = requireText('userProperty', options.userProperty ?? 'user', 'the name of a property of requests')
  const leewaySeconds = leewayOf(blocklist)
  const identities = createIdentities(options)
  const snapshots = new WeakMap<object, TokenIdentity>()
  const ofRequests = new WeakMap<object, TokenIdentity>()
  const checkClaims: ClaimsCheck = createClaimsCheck({ leewaySeconds, maxLifetimeSeconds: lifetimeOf(blocklist) })
  const checkRevocation = withExpiry(createRevocationCheck(blocklist), leewaySeconds)

  /** Returns the ids of a token as they were when it was first seen: a cache may hold claims that the app changed. */
  function identify (claims: unknown): TokenIdentity {
    if (typeof claims !== 'object' || claims === null) return claims as TokenIdentity
    const known = snapshots.get(claims)
    if (known !== undefined) return known
    const identity = Object.freeze({ ...identities.identify(claims) })
    snapshots.set(claims, identity)
    return identity
  }

  async function trusted (request: unknown, claims: unknown): Promise<true> {
    try {
      const identity: unknown = identify(claims)
      checkClaims(identity)
      await new Promise<void>((resolve, reject) => {
        checkRevocation(identity, error => { error === undefined ? resolve() : reject(error) })
      })
      if (typeof request === 'object' && request !== null) ofRequests.set(request, identity)
      return true
    } catch (error) {
      throw error instanceof SignoutError ? error : new SignoutError('internal_error', { cause: error })
    }
  }

  const { revoker, revokeIdentity, ...named } = createRevocations(blocklist, identities)
  return Object.assign(trusted, {
    ...named,
    async revoke (claims: Parameters<Revocations['revoke']>[0], options?: LogoutOptions) {
      const known = snapshots.get(claims)
      await (known === undefined ? named.revoke(claims, options) : revokeIdentity(known, options))
    },
    async check (request: FastifyRequest) {
      const claims = (request as unknown as Record<string, unknown>)[userProperty] ?? undefined
      // A preflight has no user. One with a user has a token, which may be revoked.
      if (claims !== undefined || !isPreflight(request)) await trusted(request, claims)
    },
    async logout (request: FastifyRequest, options?: LogoutOptions) {
      await revokeIdentity(ofRequests.get(request) ?? refuseLogout(unchecked), options)
    }
  })
}

const unchecked =
  'trusted.logout(request) needs a checked request: call request.jwtVerify() before, or put trusted.check after the hook that authenticates.'

/** The first version of @fastify/jwt that answers when `trusted` rejects. Before it, the request hangs. */
const minJwt = [10, 2, 1] as const

/** Throws a TypeError if the app loads an @fastify/jwt with which requests would hang instead of being answered 503. */
function refuseOldJwt (): void {
  const [, program] = process.argv
  // That of the program first: the working folder may be that of another app, as in a monorepo.
  const version = (program === undefined ? undefined : findVersion(join(program, '..'))) ?? findVersion(process.cwd())
  if (version !== undefined && isOlder(version)) {
    throw new TypeError(
      `createTrusted needs @fastify/jwt ${minJwt.join('.')} or newer, and the app has ${version}: while Redis is down, its requests would hang. Update it.`
    )
  }
}

/** Returns the version of @fastify/jwt that a file in a folder would load. Returns undefined if it finds none. */
function findVersion (folder: string): string | undefined {
  try {
    const path = createRequire(join(folder, 'app.js')).resolve('@fastify/jwt/package.json')
    return String((JSON.parse(readFileSync(path, 'utf8')) as { version: unknown }).version)
  } catch {
    // A bundle has no packages.
    return undefined
  }
}

function isOlder (version: string): boolean {
  const parts = version.split('.').map(part => Number.parseInt(part))
  for (const [index, least] of minJwt.entries()) {
    const part = parts[index] ?? 0
    if (part !== least) return part < least
  }
  return false
}
