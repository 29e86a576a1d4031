import type { Requester } from '../input/requester.ts'
import { readClock } from '../db/clock.ts'
import type { Database } from '../db/database.ts'
import { SignoutError, type ErrorCode } from '../errors.ts'
import type { Revocation } from '../entries/revocation.ts'
import type { AccessTokenClaims } from '../tokens/access-token-claims.ts'
import { ownSession, refuseEnded, requireLive, type OwnSession } from '../sessions/own-session.ts'
import type { RequireRecent } from '../sessions/recent-authentication.ts'
import { hashRefreshToken } from '../sessions/refresh-tokens.ts'
import { endReused, judgeSpent, type SpentTokenRules } from '../sessions/reuse.ts'
import type { SessionEnder } from '../sessions/session-ender.ts'
import {
  findSession,
  findSessionOfRefreshToken,
  listSessions,
  lockSession,
  otherSessionsOf,
  sessionOf,
  sessionsOf,
  type Which
} from '../sessions/session-repository.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { isUnchanged, repeatedly, type ProvePassword } from '../users/password-proof.ts'
import { lockUser } from '../users/user-repository.ts'

/** The sessions that a logout ends: this one, the user's other ones, or all of them. */
export type LogoutScope = 'session' | 'others' | 'all'

/** A request to log out. */
export interface LogoutRequest {
  scope: LogoutScope
  /** The user's password: to end other sessions without a recent login. */
  password?: string | undefined
  requester: Requester
  /** The registered client that ends the session in place of its user. */
  clientId?: string | undefined
}

/** An access token of this service that is refused, and why. */
export interface RefusedToken {
  claims: AccessTokenClaims
  refusal: SignoutError
}

export interface LogoutOptions extends SpentTokenRules {
  database: Database
  perform: Perform
  ender: SessionEnder
  requireRecent: RequireRecent
  provePassword: ProvePassword
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
}

/**
 * Ends sessions on behalf of their user. Once a method resolves, every replica refuses the access tokens and the
 * refresh tokens of the sessions (P1, P5). After `revocation_unavailable` the sessions may or may not have ended.
 * Repeating is safe: ended sessions are revoked again.
 */
export interface LogoutActs {
  /**
   * Ends sessions on behalf of a verified access token. Rejects with `token_revoked` if its session has ended and
   * others would end.
   */
  withAccessToken (claims: AccessTokenClaims, request: LogoutRequest): Promise<void>
  /**
   * Ends the own session of an access token with a good signature that is refused, because it has expired or because it
   * alone was revoked. Other sessions stay: such a token may be from an old backup or log. All that its holder can do
   * with it is to sign its user out, once.
   *
   * Rejects with `token_revoked` if the session has ended, and only then. Rejects with the refusal if the session is
   * unknown or has expired. If other sessions would end, rejects with `token_expired` or `invalid_token`.
   */
  withRefusedToken (refused: RefusedToken, request: LogoutRequest): Promise<void>
  /**
   * Ends sessions on behalf of a refresh token, for users who have no valid access token. An expired refresh token can
   * only end its own session. Does nothing with a refresh token of `except`. Rejects with:
   *
   * - `invalid_token` for an unknown token;
   * - `refresh_token_reused` for a stolen token, after its session has ended;
   * - `token_expired` for an expired token that would end other sessions;
   * - `service_unavailable` instead, while clocks differ too much to tell.
   */
  withRefreshToken (refreshToken: string, request: LogoutRequest, except?: string): Promise<void>
  /**
   * Ends one session of a user. Rejects with `not_found` when the user has no such session, and with
   * `insufficient_user_authentication` when it is another one than the own, and the login was too long ago.
   */
  fromList (own: OwnSession, sessionId: string, requester: Requester): Promise<void>
}

export function createLogoutActs (options: LogoutOptions): LogoutActs {
  const { database, perform, ender, requireRecent, requireClock } = options
  const logOutWithProof = createLogoutWithProof(options)
  return {
    async withAccessToken (claims, request) {
      await logOutWithProof(ownSession(claims), request, async (unit, logOut) => {
        const ended = await logOut()
        if (request.scope === 'others') return
        // The token itself is revoked too, even if its session is not in the database.
        const token: Revocation = { scope: 'token', id: claims.jti, expiresAt: claims.exp, subject: claims.sub }
        if (ended.includes(claims.sid)) unit.revoke([{ ...token, reason: 'logout' }])
        else unit.revokeAgain([token, { scope: 'session', id: claims.sid, expiresAt: claims.exp, subject: claims.sub }])
      })
    },
    async withRefusedToken ({ claims, refusal }, { scope, requester, clientId }) {
      const own = ownSession(claims)
      const known = await database.run(db => findSession(db, sessionOf(own.userId, own.sessionId)))
      if (known === undefined) throw refusal
      await perform(async unit => {
        await requireLive(unit, own)
        if (scope !== 'session') throw refusal.code === 'token_revoked' ? onlyTokenRevoked() : refusal
        const ended = await endSelected(unit, ender, { own, scope, requester, clientId })
        if (ended.length === 0) throw refusal
      })
    },
    async withRefreshToken (refreshToken, request, except) {
      const hash = hashRefreshToken(refreshToken)
      const found = hash && await database.run(db => findSessionOfRefreshToken(db, hash))
      if (hash === undefined || found === undefined) throw new SignoutError('invalid_token')
      if (found.id === except) return
      const own = { userId: found.userId, sessionId: found.id }
      const failure = await logOutWithProof(own, request, async (unit, logOut): Promise<ErrorCode | undefined> => {
        const session = await lockSession(unit.db, own.sessionId)
        if (session === undefined) return 'invalid_token'
        if (Buffer.compare(session.refreshTokenHash, hash) !== 0) {
          const now = await readClock(unit.db)
          const presented = { token: refreshToken, hash, requester: request.requester }
          const isLive = session.endedAt === null
          if (!isLive || await judgeSpent(unit.db, options, session, presented, now) === 'stolen') {
            await endReused(unit, options, session, now, request.requester)
            return 'refresh_token_reused'
          }
        }
        // An expired token, say from an old backup, must not end other sessions. If its session has ended, it can only
        // repeat that.
        const endsOthers = request.scope !== 'session' && session.endedAt === null
        if (endsOthers && session.expiresAt <= await readClock(unit.db)) return 'token_expired'
        await logOut()
        return undefined
      })
      if (failure === 'token_expired') requireClock()
      if (failure !== undefined) throw new SignoutError(failure)
    },
    async fromList (own, sessionId, requester) {
      await perform(async unit => {
        const which = sessionOf(own.userId, sessionId)
        if (await findSession(unit.db, which) === undefined) throw new SignoutError('not_found')
        if (sessionId !== own.sessionId) {
          await lockUser(unit.db, own.userId, 'update')
          await requireRecent(unit, await requireLive(unit, own))
        }
        const ended = await ender.end(unit, which, 'ended_by_owner')
        if (ended.length === 0) return
        const details = { reason: 'ended_by_owner' }
        unit.record({ type: 'session_ended', userId: own.userId, sessionId, requester, details })
      })
    }
  }
}

/** Ends the sessions of a logout, and resolves with the ids of those that ended now. */
type EndThem = () => Promise<string[]>
/**
 * Performs a logout that may end other sessions. That needs a recent login, or the password, which is proved before the
 * transaction.
 */
type LogOutWithProof = <T>(
  own: OwnSession,
  request: LogoutRequest,
  work: (unit: Unit, logOut: EndThem) => Promise<T>
) => Promise<T>

function createLogoutWithProof (options: LogoutOptions): LogOutWithProof {
  const { perform, ender, requireRecent, provePassword } = options

  /** Throws `token_revoked` or `insufficient_user_authentication` if other sessions may not be ended. */
  async function requireRight (unit: Unit, own: OwnSession, scope: LogoutScope, isProved: boolean): Promise<void> {
    const session = await lockSession(unit.db, own.sessionId)
    // A repeated logout of all finds that its own session has ended, and no others. It must succeed.
    if (scope === 'all' && session?.endedAt !== null && !await hasOthers(unit, own)) return
    const live = refuseEnded(unit, own, session)
    if (!isProved) await requireRecent(unit, live)
  }

  return async (own, { scope, password, requester, clientId }, work) => {
    const [result] = await repeatedly(async () => {
      const isProved = scope !== 'session' && password !== undefined
      const proof = isProved ? await provePassword(own, [password], requester) : undefined
      return await perform(async unit => {
        // Logins and refreshes of this user wait for this lock, and this for theirs. So no session escapes.
        const locked = scope === 'session' ? undefined : await lockUser(unit.db, own.userId, 'update')
        if (proof !== undefined && !isUnchanged(proof.user, locked)) return undefined
        return [await work(unit, async () => {
          if (scope !== 'session') await requireRight(unit, own, scope, isProved)
          return await endSelected(unit, ender, { own, scope, requester, clientId })
        })] as const
      })
    })
    return result
  }
}

/** A logout: of which session, of which sessions, and by whom. */
interface Selection extends Pick<LogoutRequest, 'scope' | 'requester' | 'clientId'> {
  own: OwnSession
}

/** Ends the sessions of a scope, and returns the ids of those that ended now. */
async function endSelected (
  unit: Unit,
  ender: SessionEnder,
  { own, scope, requester, clientId }: Selection
): Promise<string[]> {
  const ended = await ender.end(unit, selected(own, scope), 'logout')
  // If the own session was to end, and no session ended, this logout is a repetition and is not recorded.
  if (scope === 'others' || ended.length > 0) {
    const details = { scope, sessions: ended.length, ...clientId !== undefined && { client: clientId } }
    unit.record({ type: 'logout', userId: own.userId, sessionId: own.sessionId, requester, details })
  }
  return ended
}

async function hasOthers (unit: Unit, { userId, sessionId }: OwnSession): Promise<boolean> {
  return (await listSessions(unit.db, userId, 'live', 2)).some(({ id }) => id !== sessionId)
}

function selected ({ userId, sessionId }: OwnSession, scope: LogoutScope): Which {
  switch (scope) {
    case 'session': return sessionOf(userId, sessionId)
    case 'others': return otherSessionsOf(userId, sessionId)
    case 'all': return sessionsOf(userId)
  }
}

/** The session of a revoked token lives, and `token_revoked` would say that it has ended. */
function onlyTokenRevoked (): SignoutError {
  return new SignoutError('invalid_token', {
    description: 'This token was revoked, and its session was not. Refresh the session, and try again.'
  })
}
