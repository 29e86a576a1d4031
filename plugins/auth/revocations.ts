import { SignoutError } from '../../src/errors.ts'
import { checkRevocations, maxNumericDate, type Revocation } from '../../src/entries/revocation.ts'
import { refuseUnknown, requireText, shown } from '../../src/input/check-options.ts'
import { leewayOf, lifetimeOf, type Blocklist } from '../../src/revocation/blocklist.ts'
import { createIssueCutOffs } from '../../src/revocation/issue-cut-offs.ts'
import { createRevoker, type Revoker } from '../../src/revocation/revoker.ts'
import { notHere } from '../../src/blocklist/public/service-record.ts'
import type { Identities, TokenIdentity } from '../../src/tokens/identity.ts'

/** The claims by which a token is revoked: those in `request.user`, or of `app.verifyToken`. */
export interface RevocableToken {
  /** The id of the token. */
  jti?: string
  /** When the token expires, in seconds since the epoch. */
  exp: number
  /** The session of the token. */
  sid?: string
  /** The user of the token. In a cluster it selects the shard. */
  sub?: string
  /** When the token was issued, in seconds since the epoch. */
  iat?: number
  /** The issuer of the token. With `foreignIssuers` it is needed, unless these are the claims in `request.user`. */
  iss?: string
}

/** Options for the id of a session or a user. */
export interface IdOptions {
  /** The `iss` of the tokens, if it is one of `foreignIssuers`. */
  issuer?: string
}

/** Options of `request.logout()`. */
export interface LogoutOptions {
  /** When the last token of the session expires, in seconds since the epoch. */
  until?: number
}

/**
 * Revokes tokens, sessions and users, without a request. Each function resolves once every replica refuses the tokens.
 *
 * Each rejects with 503 `revocation_unavailable` when the blocklist does not confirm the revocation within its
 * deadline. The caller must then claim no success, and may try again. Each rejects with a TypeError that names the
 * mistake if it would revoke nothing.
 */
export interface Revocations {
  /**
   * Revokes a token and, if it has a session, every token of the session. The session is refused for as long as a token
   * of the same lifetime could be valid that was issued until now.
   *
   * @param claims those of the token, such as `request.user`
   * @example
   * const claims = await app.verifyToken(token)
   * await app.revoke(claims)
   */
  revoke (claims: Readonly<RevocableToken>, options?: LogoutOptions): Promise<void>
  /**
   * Revokes every token of a session.
   *
   * @param sid the session
   * @param until when the last token of the session expires, in seconds since the epoch, as `exp`
   * @example
   * await app.revokeSession(session.id, Math.floor(Date.now() / 1000) + 900)
   */
  revokeSession (sid: string, until: number, options?: IdOptions): Promise<void>
  /**
   * Revokes every token of a user that was issued until now. Tokens that `app.issueToken` issues from then on are
   * accepted. The blocklist needs `maxTokenLifetimeSeconds`.
   *
   * @param sub the `sub` of the tokens: 1 to 255 characters
   * @example
   * await app.revokeSubject(user.id)
   */
  revokeSubject (sub: string, options?: IdOptions): Promise<void>
  /**
   * Revokes every token of every user that was issued until now, as `revokeSubject` does for one.
   *
   * @example
   * await app.revokeEveryone()
   */
  revokeEveryone (): Promise<void>
}

/** The revocations of a blocklist, for the plugin. */
export interface CreatedRevocations extends Revocations {
  revoker: Revoker
  /** Revokes a token, and its session if it has one. */
  revokeIdentity (identity: TokenIdentity, options?: LogoutOptions): Promise<void>
}

/** Creates the revocations of a blocklist, and a revoker that refuses lists which would revoke nothing. */
export function createRevocations (
  blocklist: Blocklist, identities: Identities, now: () => number = Date.now
): CreatedRevocations {
  const leewaySeconds = leewayOf(blocklist)
  const maxLifetimeSeconds = lifetimeOf(blocklist)
  const { revokeSubject, revokeEveryone } = blocklist.isOfService === true
    ? { revokeSubject: refuseHere, revokeEveryone: refuseHere }
    : createIssueCutOffs(blocklist)
  const revoker = createStrictRevoker(blocklist)

  /** Returns until when tokens of the session can be valid. Clocks may differ, so twice the leeway is added. */
  function endOfSession ({ exp, iat }: TokenIdentity): number {
    const nowSeconds = now() / 1000
    const lifetimeSeconds = maxLifetimeSeconds ?? exp - (iat ?? nowSeconds)
    return Math.min(Math.max(exp, Math.ceil(nowSeconds + lifetimeSeconds + 2 * leewaySeconds)), maxNumericDate)
  }

  async function revokeIdentity (token: TokenIdentity, { until }: LogoutOptions = {}): Promise<void> {
    const { jti, sid, sub, exp } = token
    if (until !== undefined) requireLater('until', until, now)
    const ofToken = { scope: 'token', id: jti, subject: sub, expiresAt: exp } as const
    if (sid === undefined) return await revoker.revoke([ofToken])
    const ofSession = { scope: 'session', id: sid, subject: sub, expiresAt: until ?? endOfSession(token) } as const
    await revoker.revoke([ofToken, ofSession])
  }

  return {
    revoker,
    revokeIdentity,
    revokeEveryone,
    async revokeSubject (sub, options) {
      await revokeSubject(toId(identities, sub, options))
    },
    async revoke (claims, options) {
      await revokeIdentity(readToken(identities, claims), options)
    },
    async revokeSession (sid, until, options) {
      requireText('sid', sid, 'the sid of the tokens')
      requireLater('until', until, now)
      await revoker.revoke([{ scope: 'session', id: toId(identities, sid, options), expiresAt: until }])
    }
  }
}

async function refuseHere (): Promise<never> {
  throw new TypeError(notHere)
}

/**
 * Creates a revoker that also refuses an empty list, other scopes than `token` and `session`, and times that are too
 * small to be an `exp`. A list from a query that found nothing would otherwise look like a success.
 */
function createStrictRevoker (blocklist: Blocklist): Revoker {
  const { revoke } = createRevoker(blocklist)
  return {
    async revoke (revocations) {
      if (blocklist.isOfService === true) await refuseHere()
      checkRevocations(revocations)
      if (revocations.length === 0) throw new TypeError('revoke() was given an empty list, and would revoke nothing.')
      for (const [index, { scope, expiresAt }] of revocations.entries()) {
        if (scope !== 'token' && scope !== 'session') {
          throw new TypeError(
            `revocations[${index}].scope is ${shown(scope)}; it must be 'token' or 'session'. For more, use app.revokeSubject or app.revokeEveryone.`
          )
        }
        requireInstant(`revocations[${index}].expiresAt`, expiresAt)
      }
      await revoke(revocations as Revocation[])
    }
  }
}

/** Returns the ids of a token. Throws a TypeError if they are missing: nothing would be revoked. */
function readToken (identities: Identities, claims: unknown): TokenIdentity {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) {
    throw new TypeError(`revoke() takes the claims of a token, such as request.user, and was given ${shown(claims)}.`)
  }
  const known = identities.recall(claims)
  if (known === undefined && identities.needsIssuer) {
    requireText('claims.iss', (claims as { iss?: unknown }).iss, 'the issuer, because foreignIssuers keep ids apart')
  }
  const identity = known ?? identities.identifyGiven(claims)
  const { jti, sid, exp } = identity as Partial<Record<keyof TokenIdentity, unknown>>
  if (jti === undefined && identities.isMapping) {
    throw new TypeError('The claims hold no id of the token. Pass request.user, or what app.verifyToken has returned.')
  }
  requireText('claims.jti', jti, 'the id of the token')
  if (sid !== undefined) requireText('claims.sid', sid, 'the session of the token')
  requireInstant('claims.exp', exp)
  return identity
}

function toId (identities: Identities, id: string, options: IdOptions = {}): string {
  const { issuer } = options
  refuseUnknown(options, ['issuer'])
  return typeof id === 'string' && id !== '' ? identities.idOf(id, issuer) : id
}

/** The year 2001. An earlier instant is a duration by mistake. */
const minInstant = 1_000_000_000

function requireInstant (name: string, value: unknown): void {
  if (typeof value !== 'number' || !Number.isFinite(value)) {
    throw new TypeError(`${name} is ${shown(value)}; it must be an instant in seconds since the epoch, such as exp.`)
  }
  if (value > maxNumericDate) {
    throw new TypeError(
      `${name} is ${value}; it must be in seconds since the epoch. It looks like milliseconds: divide it by 1000.`
    )
  }
  if (value < minInstant) {
    throw new TypeError(
      `${name} is ${value}; it must be in seconds since the epoch. It looks like a duration: add it to the present.`
    )
  }
}

function requireLater (name: string, value: unknown, now: () => number): void {
  requireInstant(name, value)
  if (Number(value) * 1000 <= now()) {
    throw new TypeError(
      `${name} is ${value}, which has passed, so nothing would be revoked. It must be when the last token of the session expires.`
    )
  }
}

const unauthenticated =
  'request.logout() needs an authenticated request: add app.authenticate to the onRequest hooks of the route.'

/**
 * Rejects a logout of a request that nothing has authenticated.
 *
 * @param sentence what is missing
 */
export function refuseLogout (sentence = unauthenticated): never {
  throw new SignoutError('authorization_required', { description: sentence })
}
