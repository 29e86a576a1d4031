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

/** What a logout ends: this session, the user's other ones, or all of them. */
export type LogoutScope = 'session' | 'others' | 'all'

/** A session, and whose it is. */
export interface OwnSession {
  userId: string
  sessionId: string
}

/** Whose session a verified access token belongs to. */
export function ownSession ({ sub, sid }: Pick<AccessTokenClaims, 'sub' | 'sid'>): OwnSession {
  return { userId: sub, sessionId: sid }
}

export interface LogoutOptions {
  database: Database
  perform: Perform
  ender: SessionEnder
  /** Throws `service_unavailable` while clocks differ too much. */
  requireClock: () => void
  /** For how long the token that was just spent gets the same successor again. */
  graceSeconds: number
}

/**
 * Every way in which people end sessions of their own. Once one of these resolves, the refresh tokens and the access
 * tokens of what ended are refused on every replica (P1, P5). On `revocation_unavailable` nothing may be concluded, and
 * repeating it is safe: what has ended already is revoked again.
 */
export interface Logout {
  /** Ends sessions in the name of a verified access token. */
  withAccessToken (claims: AccessTokenClaims, scope: LogoutScope, requester: Requester): Promise<void>
  /**
   * Ends sessions in the name of a refresh token, for whoever has no good access token any more. Rejects with
   * `invalid_token` for what is none, and with `refresh_token_reused` for a spent one, whose session ends all the same.
   * One that has expired ends its own session at the most: for others it is `token_expired`, and `service_unavailable`
   * while clocks differ too much to tell.
   */
  withRefreshToken (refreshToken: string, scope: LogoutScope, requester: Requester): Promise<void>
  /** Ends one session of a user. Rejects with `not_found` when the user has no such session. */
  fromList (own: OwnSession, sessionId: string, requester: Requester): Promise<void>
}

export function createLogout ({ database, perform, ender, requireClock, graceSeconds }: LogoutOptions): Logout {
  async function logOut (unit: Unit, own: OwnSession, scope: LogoutScope, requester: Requester): Promise<string[]> {
    // Whoever opens or refreshes a session waits for this, or this for them, so that none slips through.
    if (scope !== 'session') await lockUser(unit.db, own.userId, 'update')
    // Repeated, the end of all finds its own session ended too, and no other one to end.
    if (scope === 'others' || (scope === 'all' && await hasOthers(unit, own))) await requireLive(unit, own)
    const ended = await ender.end(unit, selected(own, scope), 'logout')
    // Those that include the own session end none only where that has ended before: then they are repeated.
    if (scope === 'others' || ended.length > 0) {
      const details = { scope, sessions: ended.length }
      unit.record({ type: 'logout', userId: own.userId, sessionId: own.sessionId, ip: requester.ip, details })
    }
    return ended
  }

  return {
    async withAccessToken (claims, scope, requester) {
      await perform(async unit => {
        const ended = await logOut(unit, ownSession(claims), scope, requester)
        if (scope === 'others') return
        // The token itself too, whatever is known of its session.
        const token: Revocation = { scope: 'token', id: claims.jti, expiresAt: claims.exp, subject: claims.sub }
        if (ended.includes(claims.sid)) unit.revoke([{ ...token, reason: 'logout' }])
        else unit.revokeAgain([token, { scope: 'session', id: claims.sid, expiresAt: claims.exp, subject: claims.sub }])
      })
    },
    async withRefreshToken (refreshToken, scope, requester) {
      const hash = hashRefreshToken(refreshToken)
      const found = hash && await database.run(db => findSessionOfRefreshToken(db, hash))
      if (hash === undefined || found === undefined) throw new SignoutError('invalid_token')
      const own = { userId: found.userId, sessionId: found.id }
      const failure = await perform(async (unit): Promise<ErrorCode | undefined> => {
        if (scope !== 'session') await lockUser(unit.db, own.userId, 'update')
        const session = await lockSession(unit.db, own.sessionId)
        if (session === undefined) return 'invalid_token'
        if (Buffer.compare(session.refreshTokenHash, hash) === 0) {
          // Found in an old backup it must sign nobody out. Of a session that has ended it can only repeat its end.
          const isLive = session.endedAt === null
          if (scope !== 'session' && isLive && session.expiresAt <= await readClock(unit.db)) return 'token_expired'
          await logOut(unit, own, scope, requester)
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
 * A token whose session has ended is good until the blocklist knows: it must not act on other sessions meanwhile.
 * Throws `token_revoked`, once the blocklist does know.
 */
export async function requireLive (unit: Unit, own: OwnSession): Promise<void> {
  refuseEnded(unit, own, await lockSession(unit.db, own.sessionId))
}

/** The same for a session that was found. */
export function refuseEnded (unit: Unit, { userId }: OwnSession, session: Session | undefined): void {
  if (session?.userId === userId && session.endedAt === null) return
  if (session !== undefined && session.endedAt !== null) unit.revokeAgain([toRevocation(session)])
  throw new SignoutError('token_revoked')
}
