import type { Requester } from '../input/requester.ts'
import { readClock } from '../db/clock.ts'
import type { Database } from '../db/database.ts'
import { SignoutError, type ErrorCode } from '../errors.ts'
import type { Revocation } from '../entries/revocation.ts'
import type { AccessTokenClaims } from '../tokens/claims.ts'
import type { Perform, Unit } from '../unit-of-work.ts'
import { lockUser } from '../users/user-repository.ts'
import { hashRefreshToken } from './refresh-tokens.ts'
import { endReused } from './reuse.ts'
import { toRevocation, type SessionEnder } from './session-ender.ts'
import {
  findSession,
  findSessionOfRefreshToken,
  listSessions,
  lockSession,
  otherSessionsOf,
  sessionOf,
  sessionsOf,
  type Session,
  type Which
} from './session-repository.ts'

/** The sessions that a logout ends: this one, the user's other ones, or all of them. */
export type LogoutScope = 'session' | 'others' | 'all'

/** A session and its user. */
export interface OwnSession {
  userId: string
  sessionId: string
}

/** An access token of this service that is refused, and why. */
export interface RefusedToken {
  claims: AccessTokenClaims
  refusal: SignoutError
}

/** Returns the session of a verified access token. */
export function ownSession ({ sub, sid }: Pick<AccessTokenClaims, 'sub' | 'sid'>): OwnSession {
  return { userId: sub, sessionId: sid }
}

export interface LogoutOptions {
  database: Database
  perform: Perform
  ender: SessionEnder
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
  /** The number of seconds during which the token that was just spent gets the same successor again. */
  graceSeconds: number
}

/**
 * Ends sessions on behalf of their user. Once a method resolves, every replica refuses the access tokens and the
 * refresh tokens of the sessions (P1, P5). After `revocation_unavailable` the sessions may or may not have ended.
 * Repeating is safe: ended sessions are revoked again.
 */
export interface Logout {
  /**
   * Ends sessions on behalf of a verified access token. Rejects with `token_revoked` if its session has ended and
   * others would end.
   */
  withAccessToken (claims: AccessTokenClaims, scope: LogoutScope, requester: Requester): Promise<void>
  /**
   * Ends the own session of an access token with a good signature that is refused, because it has expired or because it
   * alone was revoked. Other sessions stay: such a token may be from an old backup or log. All that its holder can do
   * with it is to sign its user out, once.
   *
   * Rejects with `token_revoked` if the session has ended, and only then. Rejects with the refusal if the session is
   * unknown or has expired. If other sessions would end, rejects with `token_expired` or `invalid_token`.
   */
  withRefusedToken (refused: RefusedToken, scope: LogoutScope, requester: Requester): Promise<void>
  /**
   * Ends sessions on behalf of a refresh token, for users who have no valid access token. An expired refresh token can
   * only end its own session. Does nothing with a refresh token of `except`. Rejects with:
   *
   * - `invalid_token` for an unknown token;
   * - `refresh_token_reused` for a spent token, after its session has ended;
   * - `token_expired` for an expired token that would end other sessions;
   * - `service_unavailable` instead, while clocks differ too much to tell.
   */
  withRefreshToken (refreshToken: string, scope: LogoutScope, requester: Requester, except?: string): Promise<void>
  /** Ends one session of a user. Rejects with `not_found` when the user has no such session. */
  fromList (own: OwnSession, sessionId: string, requester: Requester): Promise<void>
}

export function createLogout ({ database, perform, ender, requireClock, graceSeconds }: LogoutOptions): Logout {
  return {
    async withAccessToken (claims, scope, requester) {
      await perform(async unit => {
        const ended = await logOut(unit, ender, { own: ownSession(claims), scope, requester })
        if (scope === 'others') return
        // The token itself is revoked too, even if its session is not in the database.
        const token: Revocation = { scope: 'token', id: claims.jti, expiresAt: claims.exp, subject: claims.sub }
        if (ended.includes(claims.sid)) unit.revoke([{ ...token, reason: 'logout' }])
        else unit.revokeAgain([token, { scope: 'session', id: claims.sid, expiresAt: claims.exp, subject: claims.sub }])
      })
    },
    async withRefusedToken ({ claims, refusal }, scope, requester) {
      const own = ownSession(claims)
      const known = await database.run(db => findSession(db, sessionOf(own.userId, own.sessionId)))
      if (known === undefined) throw refusal
      await perform(async unit => {
        await requireLive(unit, own)
        if (scope !== 'session') throw refusal.code === 'token_revoked' ? onlyTokenRevoked() : refusal
        const ended = await logOut(unit, ender, { own, scope, requester })
        if (ended.length === 0) throw refusal
      })
    },
    async withRefreshToken (refreshToken, scope, requester, except) {
      const hash = hashRefreshToken(refreshToken)
      const found = hash && await database.run(db => findSessionOfRefreshToken(db, hash))
      if (hash === undefined || found === undefined) throw new SignoutError('invalid_token')
      if (found.id === except) return
      const own = { userId: found.userId, sessionId: found.id }
      const failure = await perform(async (unit): Promise<ErrorCode | undefined> => {
        if (scope !== 'session') await lockUser(unit.db, own.userId, 'update')
        const session = await lockSession(unit.db, own.sessionId)
        if (session === undefined) return 'invalid_token'
        if (Buffer.compare(session.refreshTokenHash, hash) === 0) {
          // An expired token, say from an old backup, must not end other sessions. If its session has ended, it can
          // only repeat that.
          const isLive = session.endedAt === null
          if (scope !== 'session' && isLive && session.expiresAt <= await readClock(unit.db)) return 'token_expired'
          await logOut(unit, ender, { own, scope, requester })
          return
        }
        await endReused(unit, { ender, graceSeconds }, session, await readClock(unit.db), requester)
        return 'refresh_token_reused'
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
          await requireLive(unit, own)
        }
        const ended = await ender.end(unit, which, 'ended_by_owner')
        if (ended.length === 0) return
        const details = { reason: 'ended_by_owner' }
        unit.record({ type: 'session_ended', userId: own.userId, sessionId, ip: requester.ip, details })
      })
    }
  }
}

/** A logout: of which session, of which sessions, and by whom. */
interface Selection {
  own: OwnSession
  scope: LogoutScope
  requester: Requester
}

/** Ends the sessions of a scope, and returns the ids of those that ended now. */
async function logOut (unit: Unit, ender: SessionEnder, { own, scope, requester }: Selection): Promise<string[]> {
  // Logins and refreshes of this user wait for this lock, and this for theirs. So no session escapes.
  if (scope !== 'session') await lockUser(unit.db, own.userId, 'update')
  // A repeated logout of all finds that its own session has ended, and no others. It must succeed.
  if (scope === 'others' || (scope === 'all' && await hasOthers(unit, own))) await requireLive(unit, own)
  const ended = await ender.end(unit, selected(own, scope), 'logout')
  // If the own session was to end, and no session ended, this logout is a repetition and is not recorded.
  if (scope === 'others' || ended.length > 0) {
    const details = { scope, sessions: ended.length }
    unit.record({ type: 'logout', userId: own.userId, sessionId: own.sessionId, ip: requester.ip, details })
  }
  return ended
}

/** The session of a revoked token lives, and `token_revoked` would say that it has ended. */
function onlyTokenRevoked (): SignoutError {
  return new SignoutError('invalid_token', {
    description: 'This token was revoked, and its session was not. Refresh the session, and try again.'
  })
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

/**
 * Throws `token_revoked` unless the session is live, and locks it. A token of an ended session is accepted until the
 * blocklist has the revocation. Until then it must not act on other sessions. The caller gets the error once the
 * blocklist has the revocation.
 */
export async function requireLive (unit: Unit, own: OwnSession): Promise<void> {
  refuseEnded(unit, own, await lockSession(unit.db, own.sessionId))
}

/** Throws as {@link requireLive} does, for a session that was read already. An ended session is revoked again. */
export function refuseEnded (unit: Unit, { userId }: OwnSession, session: Session | undefined): void {
  if (session?.userId === userId && session.endedAt === null) return
  if (session !== undefined && session.endedAt !== null) unit.revokeAgain([toRevocation(session)])
  throw new SignoutError('token_revoked')
}
