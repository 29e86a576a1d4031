import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import type { Drizzle } from '../db/database.ts'
import { outBefore } from '../db/out-before.ts'
import { SignoutError } from '../errors.ts'
import type { Requester } from '../input/requester.ts'
import type { AccessTokens } from '../tokens/access-tokens.ts'
import { NotYetError, type Unit } from '../unit-of-work.ts'
import type { UserWithScope } from '../users/user-repository.ts'
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
export type OpenSession = (unit: Unit, user: UserWithScope, requester: Requester) => Promise<PlannedPair>

export function createOpening (options: OpeningOptions): OpenSession {
  const { accessTokens, refreshTokens, lifetimes, maxPerUser, ender } = options

  async function endSurplus (unit: Unit, userId: string, requester: Requester): Promise<void> {
    const surplus = await findSurplusSessions(unit.db, userId, maxPerUser)
    if (surplus.length === 0) return
    // The answer says nothing of these sessions, so a failure of the blocklist must not fail the login. A retry would
    // open one more session, and end another.
    for (const sessionId of await ender.endInTime(unit, sessionsWithIds(surplus), 'too_many_sessions')) {
      unit.record({ type: 'session_ended', userId, sessionId, requester, details: { reason: 'too_many_sessions' } })
    }
  }

  return async (unit, user, requester) => {
    if (user.status !== 'active') throw new SignoutError('account_disabled')
    const now = await readOpeningTime(unit.db)
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

/**
 * Reads Postgres' clock for a session that is being opened. Throws a {@link NotYetError} while a session that is opened
 * now would be out at once: that is until the second in which everyone was sent out is over.
 */
async function readOpeningTime (db: Drizzle): Promise<Date> {
  const { rows } = (await db.execute(sql`select (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms,
    (extract(epoch from ${outBefore}) * 1000)::float8 as out_before_ms`)) as {
    rows: Array<{ now_ms: number, out_before_ms: number | null }>
  }
  const nowMs = Math.floor(rows[0]?.now_ms ?? NaN)
  const waitMs = (rows[0]?.out_before_ms ?? 0) - nowMs
  if (waitMs > 0) throw new NotYetError(waitMs)
  return new Date(nowMs)
}
