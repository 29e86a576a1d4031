import { entryMarginSeconds } from '../entries/revocation.ts'
import { and, asc, desc, eq, getTableColumns, gt, isNotNull, isNull, ne, not, or, sql, type SQL } from 'drizzle-orm'
import { clockTimestamp } from '../db/clock.ts'
import type { Drizzle } from '../db/database.ts'
import { isOut, outBefore } from '../db/out-before.ts'
import { rowLimit } from '../db/row-limit.ts'
import { sessions, spentRefreshTokens, users, type EndReason } from '../db/tables.ts'
import { canonicalId } from '../input/uuid.ts'

export type Session = typeof sessions.$inferSelect
export type NewSession = typeof sessions.$inferInsert

/** A condition that selects sessions. */
export type Which = SQL | undefined

export const sessionWithId = (id: string): Which => eq(sessions.id, canonicalId(id))
export const sessionsOf = (userId: string): Which => eq(sessions.userId, canonicalId(userId))
export const sessionOf = (userId: string, id: string): Which => and(sessionsOf(userId), sessionWithId(id))
export const otherSessionsOf = (userId: string, id: string): Which =>
  and(sessionsOf(userId), ne(sessions.id, canonicalId(id)))
/** Passes the ids as one parameter, because a statement has at most 65,535 of them. */
export const sessionsWithIds = (ids: string[]): Which => sql`${sessions.id} = any(${`{${ids.join()}}`}::uuid[])`

const isLive = and(isNull(sessions.endedAt), gt(sessions.expiresAt, clockTimestamp), not(isOut))

/** The columns of a session in which being out looks like any other end. */
const endedOrOut = {
  endedAt: sql`coalesce(${sessions.endedAt}, case when ${isOut} then ${outBefore} end)`.mapWith(sessions.endedAt),
  endReason: sql`coalesce(${sessions.endReason}, case when ${isOut} then 'everyone_out' end)`
    .mapWith(sessions.endReason)
}

/** All columns. A session that is out because everyone is has ended. */
const columns = { ...getTableColumns(sessions), ...endedOrOut }

export async function insertSession (db: Drizzle, session: NewSession): Promise<void> {
  await db.insert(sessions).values(session)
}

export async function findSession (db: Drizzle, which: Which): Promise<Session | undefined> {
  const [found] = await db.select(columns).from(sessions).where(which)
  return found
}

/** Returns the session, and locks it until the end of the transaction. Other refreshes and ends of the session wait. */
export async function lockSession (db: Drizzle, id: string): Promise<Session | undefined> {
  const [found] = await db.select(columns).from(sessions).where(sessionWithId(id)).for('update')
  return found
}

/** Returns the session of a live or a spent refresh token, by the SHA-256 of the token. */
export async function findSessionOfRefreshToken (
  db: Drizzle,
  hash: Uint8Array
): Promise<Pick<Session, 'id' | 'userId'> & { isLive: boolean } | undefined> {
  const session = { id: sessions.id, userId: sessions.userId, isLive: sql<boolean>`${isLive}` }
  const [live] = await db.select(session).from(sessions).where(eq(sessions.refreshTokenHash, hash))
  if (live !== undefined) return live
  const [spent] = await db.select(session).from(spentRefreshTokens)
    .innerJoin(sessions, eq(sessions.id, spentRefreshTokens.sessionId))
    .where(eq(spentRefreshTokens.hash, hash))
  return spent
}

/** The columns that a refresh changes. */
export type Rotation = Pick<Session,
  'refreshTokenHash' | 'rotationSalt' | 'rotatedAt' | 'lastUsedAt' | 'expiresAt' | 'ip' | 'userAgent' |
  'accessExpiresAt' | 'accessTokenId' | 'accessTokenIssuedAt' | 'accessTokenExpiresAt'>

/** Replaces the live refresh token of a session, which is then spent. The session must be locked. */
export async function rotate (db: Drizzle, session: Session, rotation: Rotation): Promise<void> {
  const { refreshTokenHash: successorHash, rotatedAt: spentAt } = rotation
  await db.insert(spentRefreshTokens)
    .values({ hash: session.refreshTokenHash, sessionId: session.id, successorHash, spentAt })
  await db.update(sessions).set({ ...rotation, usedAt: null }).where(eq(sessions.id, session.id))
}

/**
 * Replaces the live refresh token of a session, which is then superseded, by another successor of its predecessor. The
 * session must be locked.
 */
export async function supersede (
  db: Drizzle,
  session: Session,
  predecessorHash: Uint8Array,
  rotation: Rotation
): Promise<void> {
  await db.insert(spentRefreshTokens).values({ hash: session.refreshTokenHash, sessionId: session.id })
  await db.update(spentRefreshTokens).set({ successorHash: rotation.refreshTokenHash })
    .where(eq(spentRefreshTokens.hash, predecessorHash))
  await db.update(sessions).set({ ...rotation, usedAt: null }).where(eq(sessions.id, session.id))
}

/** Returns when a token was spent, if it is the immediate predecessor of the live token of a session. */
export async function findPredecessor (
  db: Drizzle,
  session: Session,
  hash: Uint8Array
): Promise<{ spentAt: Date } | undefined> {
  const [found] = await db.select({ spentAt: spentRefreshTokens.spentAt }).from(spentRefreshTokens).where(and(
    eq(spentRefreshTokens.hash, hash),
    eq(spentRefreshTokens.sessionId, session.id),
    eq(spentRefreshTokens.successorHash, session.refreshTokenHash)
  ))
  const spentAt = found?.spentAt
  return spentAt === undefined || spentAt === null ? undefined : { spentAt }
}

/** The columns that the revocation of an ended session needs. */
export type EndedSession = Pick<Session, 'id' | 'userId' | 'accessExpiresAt' | 'endedAt' | 'endReason'>

const { id, userId, accessExpiresAt, endedAt, endReason } = getTableColumns(sessions)

/** Selects sessions with access tokens that a replica whose clock is behind could still accept. */
function hasLiveTokens (leewaySeconds: number): SQL {
  const marginSeconds = entryMarginSeconds(leewaySeconds)
  return gt(sessions.accessExpiresAt, sql`${clockTimestamp} - make_interval(secs => ${marginSeconds}::float8)`)
}

/**
 * Selects sessions that can end. A session that has expired with all its tokens was over before. An end would record a
 * wrong reason and a wrong time.
 */
function canEnd (which: Which, leewaySeconds: number): SQL | undefined {
  const hasAny = or(gt(sessions.expiresAt, clockTimestamp), hasLiveTokens(leewaySeconds))
  return and(which, isNull(sessions.endedAt), not(isOut), hasAny)
}

/**
 * Returns the ids of users with a role who have sessions of which tokens may be accepted, in their order: the sessions
 * that can end, and those that have ended.
 *
 * @param after the users after this id
 */
export async function findUsersWithTokens (
  db: Drizzle, role: string, which: Which, { after, limit }: { after: string, limit: number }, leewaySeconds: number
): Promise<string[]> {
  const hasAny = or(and(isNull(sessions.endedAt), gt(sessions.expiresAt, clockTimestamp)), hasLiveTokens(leewaySeconds))
  const found = await db.selectDistinct({ id: sessions.userId }).from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(and(eq(users.role, role), gt(sessions.userId, after), which, hasAny))
    .orderBy(asc(sessions.userId))
    .limit(rowLimit(limit))
  return found.map(({ id }) => id)
}

/**
 * Ends the sessions that can end, and returns them. Deletes their salts, so that spent tokens have no grace any more.
 */
export async function markEnded (
  db: Drizzle,
  which: Which,
  reason: EndReason,
  leewaySeconds: number
): Promise<EndedSession[]> {
  return await db.update(sessions)
    .set({ endedAt: clockTimestamp, endReason: reason, rotationSalt: null })
    .where(canEnd(which, leewaySeconds))
    .returning({ id, userId, accessExpiresAt, endedAt, endReason })
}

/** Counts the sessions of the users with a role that `markEnded` would end, and those users. */
export async function countEndable (
  db: Drizzle, role: string, which: Which, leewaySeconds: number
): Promise<{ users: number, sessions: number }> {
  const [counted] = await db.select({
    users: sql<number>`count(distinct ${sessions.userId})::int`, sessions: sql<number>`count(*)::int`
  }).from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(and(eq(users.role, role), canEnd(which, leewaySeconds)))
  return counted ?? { users: 0, sessions: 0 }
}

/** Returns the ids of the sessions that `markEnded` would end. */
export async function findThoseThatCanEnd (db: Drizzle, which: Which, leewaySeconds: number): Promise<string[]> {
  const found = await db.select({ id: sessions.id }).from(sessions).where(canEnd(which, leewaySeconds))
  return found.map(({ id }) => id)
}

/** Returns the sessions that have ended, if a replica could still accept one of their access tokens. */
export async function findEndedWithLiveTokens (
  db: Drizzle,
  which: Which,
  leewaySeconds: number
): Promise<EndedSession[]> {
  return await db
    .select({ id, userId, accessExpiresAt, ...endedOrOut })
    .from(sessions)
    .where(and(which, or(isNotNull(sessions.endedAt), isOut), hasLiveTokens(leewaySeconds)))
}

/** Returns the ids of the live sessions of a user beyond `maxPerUser`: the sessions that were idle longest. */
export async function findSurplusSessions (db: Drizzle, userId: string, maxPerUser: number): Promise<string[]> {
  const surplus = await db.select({ id: sessions.id }).from(sessions)
    .where(and(sessionsOf(userId), isLive))
    .orderBy(desc(sessions.lastUsedAt), desc(sessions.createdAt))
    .offset(maxPerUser)
  return surplus.map(({ id }) => id)
}

/** Returns the sessions of a user, newest first: the live ones, or the ones that have ended or expired. */
export async function listSessions (
  db: Drizzle,
  userId: string,
  state: 'live' | 'over',
  limit: number
): Promise<Session[]> {
  return await db.select(columns).from(sessions)
    .where(and(sessionsOf(userId), state === 'live' ? isLive : sql`not (${isLive})`))
    .orderBy(desc(sessions.createdAt), desc(sessions.id))
    .limit(rowLimit(limit))
}

/** Returns the number of live sessions of a user, and when the newest session that is kept was opened. */
export async function summarizeSessions (
  db: Drizzle,
  userId: string
): Promise<{ live: number, newestAt: Date | undefined }> {
  const [found] = await db.select({
    live: sql<number>`(count(*) filter (where ${isLive}))::int`,
    newestAt: sql<Date | null>`max(${sessions.createdAt})`.mapWith(sessions.createdAt)
  }).from(sessions).where(sessionsOf(userId))
  return { live: found?.live ?? 0, newestAt: found?.newestAt ?? undefined }
}

/** Deletes the IP addresses and the user agents of a user's sessions. */
export async function forgetPlaces (db: Drizzle, userId: string): Promise<void> {
  await db.update(sessions).set({ ip: null, userAgent: null }).where(sessionsOf(userId))
}
