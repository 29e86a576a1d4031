import { entryMarginSeconds } from '../entries/revocation.ts'
import { and, desc, eq, gt, isNotNull, isNull, ne, or, sql, type SQL } from 'drizzle-orm'
import { clockTimestamp } from '../db/clock.ts'
import type { Drizzle } from '../db/database.ts'
import { rowLimit } from '../db/row-limit.ts'
import { sessions, spentRefreshTokens, type EndReason } from '../db/tables.ts'
import { canonicalId } from '../input/uuid.ts'

export type Session = typeof sessions.$inferSelect
export type NewSession = typeof sessions.$inferInsert

/** Which sessions: by what they have in common. */
export type Which = SQL | undefined

export const sessionWithId = (id: string): Which => eq(sessions.id, canonicalId(id))
export const sessionsOf = (userId: string): Which => eq(sessions.userId, canonicalId(userId))
export const sessionOf = (userId: string, id: string): Which => and(sessionsOf(userId), sessionWithId(id))
export const otherSessionsOf = (userId: string, id: string): Which =>
  and(sessionsOf(userId), ne(sessions.id, canonicalId(id)))
/** In one parameter: a statement has no more than 65,535 of them. */
export const sessionsWithIds = (ids: string[]): Which => sql`${sessions.id} = any(${`{${ids.join()}}`}::uuid[])`

const isLive = and(isNull(sessions.endedAt), gt(sessions.expiresAt, clockTimestamp))

export async function insertSession (db: Drizzle, session: NewSession): Promise<void> {
  await db.insert(sessions).values(session)
}

export async function findSession (db: Drizzle, which: Which): Promise<Session | undefined> {
  const [found] = await db.select().from(sessions).where(which)
  return found
}

/** The session, locked: whoever else refreshes or ends it waits until this transaction is over. */
export async function lockSession (db: Drizzle, id: string): Promise<Session | undefined> {
  const [found] = await db.select().from(sessions).where(sessionWithId(id)).for('update')
  return found
}

/** The session that a refresh token belongs or belonged to, by the token's SHA-256. */
export async function findSessionOfRefreshToken (
  db: Drizzle,
  hash: Uint8Array
): Promise<Pick<Session, 'id' | 'userId'> | undefined> {
  const session = { id: sessions.id, userId: sessions.userId }
  const [live] = await db.select(session).from(sessions).where(eq(sessions.refreshTokenHash, hash))
  if (live !== undefined) return live
  const [spent] = await db.select(session).from(spentRefreshTokens)
    .innerJoin(sessions, eq(sessions.id, spentRefreshTokens.sessionId))
    .where(eq(spentRefreshTokens.hash, hash))
  return spent
}

/** What a refresh changes. The session must be locked. */
export type Rotation = Pick<Session,
  'refreshTokenHash' | 'rotationSalt' | 'rotatedAt' | 'lastUsedAt' | 'expiresAt' | 'ip' | 'userAgent' |
  'accessExpiresAt' | 'accessTokenId' | 'accessTokenIssuedAt' | 'accessTokenExpiresAt'>

/** Spends the live refresh token of a session and puts another in its place. */
export async function rotate (db: Drizzle, session: Session, rotation: Rotation): Promise<void> {
  await db.insert(spentRefreshTokens).values({ hash: session.refreshTokenHash, sessionId: session.id })
  await db.update(sessions).set(rotation).where(eq(sessions.id, session.id))
}

/** What the end of a session has to revoke. */
export type EndedSession = Pick<Session, 'id' | 'userId' | 'accessExpiresAt'>

const endedSession = { id: sessions.id, userId: sessions.userId, accessExpiresAt: sessions.accessExpiresAt }

/** Those whose access tokens could still be accepted somewhere, a clock being behind. */
function hasLiveTokens (leewaySeconds: number): SQL {
  const marginSeconds = entryMarginSeconds(leewaySeconds)
  return gt(sessions.accessExpiresAt, sql`${clockTimestamp} - make_interval(secs => ${marginSeconds}::float8)`)
}

/**
 * Those that can end: that have not, and of which there is something left. One that has expired, with all its tokens,
 * was over before: its end would say who did it and when, and neither would be true.
 */
function canEnd (which: Which, leewaySeconds: number): SQL | undefined {
  return and(which, isNull(sessions.endedAt), or(gt(sessions.expiresAt, clockTimestamp), hasLiveTokens(leewaySeconds)))
}

/** Ends those that can end, and with them the grace of their spent tokens. Answers those. */
export async function markEnded (
  db: Drizzle,
  which: Which,
  reason: EndReason,
  leewaySeconds: number
): Promise<EndedSession[]> {
  return await db.update(sessions)
    .set({ endedAt: clockTimestamp, endReason: reason, rotationSalt: null })
    .where(canEnd(which, leewaySeconds))
    .returning(endedSession)
}

/** The ids of those that `markEnded` would end. */
export async function findThoseThatCanEnd (db: Drizzle, which: Which, leewaySeconds: number): Promise<string[]> {
  const found = await db.select({ id: sessions.id }).from(sessions).where(canEnd(which, leewaySeconds))
  return found.map(({ id }) => id)
}

/** Those that have ended and whose access tokens could still be accepted somewhere. */
export async function findEndedWithLiveTokens (
  db: Drizzle,
  which: Which,
  leewaySeconds: number
): Promise<EndedSession[]> {
  return await db
    .select(endedSession)
    .from(sessions)
    .where(and(which, isNotNull(sessions.endedAt), hasLiveTokens(leewaySeconds)))
}

/** The live sessions of a user that are more than it may have: those that were idle longest. */
export async function findSurplusSessions (db: Drizzle, userId: string, maxPerUser: number): Promise<string[]> {
  const surplus = await db.select({ id: sessions.id }).from(sessions)
    .where(and(sessionsOf(userId), isLive))
    .orderBy(desc(sessions.lastUsedAt), desc(sessions.createdAt))
    .offset(maxPerUser)
  return surplus.map(({ id }) => id)
}

/** A user's sessions, newest first: those that are live, or those that are over. */
export async function listSessions (
  db: Drizzle,
  userId: string,
  state: 'live' | 'over',
  limit: number
): Promise<Session[]> {
  return await db.select().from(sessions)
    .where(and(sessionsOf(userId), state === 'live' ? isLive : sql`not (${isLive})`))
    .orderBy(desc(sessions.createdAt), desc(sessions.id))
    .limit(rowLimit(limit))
}

/** Forgets where a user was, once there is no such user any more. */
export async function forgetPlaces (db: Drizzle, userId: string): Promise<void> {
  await db.update(sessions).set({ ip: null, userAgent: null }).where(sessionsOf(userId))
}
