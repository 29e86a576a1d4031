import { randomUUID } from 'node:crypto'
import { readClock } from '../db/clock.ts'
import { SignoutError } from '../errors.ts'
import type { Requester } from '../input/requester.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import type { Unit } from '../unit-of-work.ts'
import type { User } from '../users/user-repository.ts'
import { hashRefreshToken, type RefreshTokens } from './refresh-tokens.ts'
import type { SessionEnder } from './session-ender.ts'
import { usedAt, usedBy, type SessionLifetimes } from './session-lifetimes.ts'
import { findSurplusSessions, insertSession, sessionsWithIds } from './session-repository.ts'
import { rememberValidity, type PlannedPair } from './token-pair.ts'

export interface OpeningOptions {
  ender: SessionEnder
  accessTokens: AccessTokens
  refreshTokens: RefreshTokens
  lifetimes: SessionLifetimes
  /** The largest number of live sessions of a user. A login beyond it ends the session that was idle longest. */
  maxPerUser: number
}

/**
 * Opens a session of a user, and plans its first tokens. The caller has proved the password, has locked the user since,
 * has found the password unchanged, and records the event. Throws `account_disabled` for a disabled user.
 *
 * @param user the locked user
 */
export type OpenSession = (unit: Unit, user: User, requester: Requester) => Promise<PlannedPair>

export function createOpening (options: OpeningOptions): OpenSession {
  const { accessTokens, refreshTokens, lifetimes, maxPerUser, ender } = options

  async function endSurplus (unit: Unit, userId: string, { ip }: Requester): Promise<void> {
    const surplus = await findSurplusSessions(unit.db, userId, maxPerUser)
    if (surplus.length === 0) return
    // The answer says nothing of these sessions, so a failure of the blocklist must not fail the login. A retry would
    // open one more session, and end another.
    for (const sessionId of await ender.endInTime(unit, sessionsWithIds(surplus), 'too_many_sessions')) {
      unit.record({ type: 'session_ended', userId, sessionId, ip, details: { reason: 'too_many_sessions' } })
    }
  }

  return async (unit, user, requester) => {
    if (user.status !== 'active') throw new SignoutError('account_disabled')
    const now = await readClock(unit.db)
    const refreshToken = refreshTokens.create()
    const maxExpiresAt = new Date(now.getTime() + lifetimes.maxAgeSeconds * 1000)
    const validity = accessTokens.plan(maxExpiresAt.getTime())
    const session = {
      id: randomUUID(),
      userId: user.id,
      createdAt: now,
      ...usedBy(requester),
      ...usedAt(now, maxExpiresAt, lifetimes),
      maxExpiresAt,
      refreshTokenHash: hashRefreshToken(refreshToken) as Uint8Array,
      accessExpiresAt: new Date(validity.expiresAt * 1000),
      ...rememberValidity(validity)
    }
    await insertSession(unit.db, session)
    await endSurplus(unit, user.id, requester)
    return {
      user,
      session,
      refreshToken,
      validity,
      plannedAt: now,
      expiresInSeconds: validity.expiresAt - validity.issuedAt
    }
  }
}
