import { and, desc, eq, lt, sql } from 'drizzle-orm'
import { canonicalIp, placeOf } from '../input/requester.ts'
import { clockTimestamp } from '../db/clock.ts'
import type { Database, Drizzle } from '../db/database.ts'
import { isOut } from '../db/out-before.ts'
import { rowLimit } from '../db/row-limit.ts'
import { securityEvents, sessions } from '../db/tables.ts'
import { readCursor, toPage, type Page, type PageRequest } from '../input/pages.ts'
import { canonicalId } from '../input/uuid.ts'
import type { AnnounceEvent, RecordedEvent, SecurityEvent } from './security-events.ts'

/** Inserts events, in the transaction of the change that they describe. */
export async function insertEvents (db: Drizzle, events: readonly SecurityEvent[]): Promise<void> {
  if (events.length === 0) return
  // In one parameter, regardless of the number of events: the number of parameters in a statement is limited.
  const rows = JSON.stringify(
    events.map(({ type, userId, actorId, sessionId, requester, details }) => ({
      type,
      user_id: userId,
      actor_id: actorId,
      session_id: sessionId,
      ip: canonicalIp(requester?.ip),
      details
    }))
  )
  await db.execute(sql`insert into ${securityEvents} (type, user_id, actor_id, session_id, ip, details, at)
    select type, user_id, actor_id, session_id, ip, details, ${clockTimestamp}
    from json_to_recordset(${rows}::json)
    as added (type text, user_id uuid, actor_id uuid, session_id uuid, ip inet, details jsonb)`)
}

/** Counts an event. All events of one type, account, session and place within a minute share a row. */
export async function countEvent (db: Drizzle, event: SecurityEvent): Promise<void> {
  const { requester, ...withoutRequester } = event
  const place = placeOf(requester?.ip)
  const minute = sql`to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI')`
  await db.insert(securityEvents)
    .values({
      ...withoutRequester,
      ip: place,
      at: clockTimestamp,
      countedAs: sql`concat_ws(' ', ${event.type}::text, ${event.userId ?? 'no user'}::text,
        ${place ?? 'nowhere'}::text, ${minute}, ${event.sessionId ?? null}::text)`
    })
    .onConflictDoUpdate({ target: securityEvents.countedAs, set: { count: sql`${securityEvents.count} + 1` } })
}

/** Returns true if a deletion of this user is recorded. Events are kept for their retention only. */
export async function isDeletionRecorded (db: Drizzle, userId: string): Promise<boolean> {
  const found = await db.select({ position: securityEvents.position }).from(securityEvents)
    .where(and(eq(securityEvents.userId, canonicalId(userId)), eq(securityEvents.type, 'account_deleted')))
    .limit(1)
  return found.length > 0
}

/** Returns the time of the last login of a user that is recorded. Events are kept for their retention only. */
export async function findLastLogin (db: Drizzle, userId: string): Promise<Date | undefined> {
  const [last] = await db.select({ at: securityEvents.at }).from(securityEvents)
    .where(and(eq(securityEvents.userId, canonicalId(userId)), eq(securityEvents.type, 'login')))
    .orderBy(desc(securityEvents.position))
    .limit(1)
  return last?.at
}

/** Security events outside the transactions that record them. */
export interface EventRepository {
  /**
   * Counts a wrong password. All for one account and place within a minute share a row, so an attack does not fill the
   * table or the owner's list.
   */
  countFailure (event: SecurityEvent): Promise<void>
  /**
   * Returns true if the password of this account was proved at the place of this address. The proof is a login or a
   * password change, as far back as events are kept. The login of a live session that was never refreshed also counts.
   * A refresh proves no password: a thief with a stolen token can refresh anywhere.
   */
  hasSignedInFrom (userId: string, ip: string | undefined): Promise<boolean>
  /** Returns a page of a user's events, newest first. */
  list (userId: string, page: PageRequest): Promise<Page<RecordedEvent>>
}

export function createEventRepository (database: Database, announce: AnnounceEvent): EventRepository {
  return {
    async countFailure (event) {
      await database.run(db => countEvent(db, event))
      announce(event)
    },
    async hasSignedInFrom (userId, ip) {
      const place = placeOf(ip)
      if (place === undefined) return false
      // The place of a session that has ended does not count here: it may have been a thief's.
      const { rows } = (await database.run(db =>
        db.execute(sql`select
        exists (select from ${securityEvents} where ${securityEvents.userId} = ${userId}::uuid
          and ${securityEvents.type} in ('login', 'password_changed')
          and ${securityEvents.actorId} is null and ${securityEvents.ip} <<= ${place}::inet)
        or exists (select from ${sessions} where ${sessions.userId} = ${userId}::uuid
          and ${sessions.ip} <<= ${place}::inet
          and ${sessions.rotatedAt} is null and ${sessions.endedAt} is null
          and ${sessions.expiresAt} > ${clockTimestamp} and not ${isOut}) as known`)
      )) as { rows: Array<{ known: boolean }> }
      return rows[0]?.known === true
    },
    async list (userId, { cursor, limit }) {
      const before = readCursor(cursor, /^\d{1,15}$/)
      const found = await database.run(db => db.select().from(securityEvents)
        .where(
          and(
            eq(securityEvents.userId, canonicalId(userId)),
            before === undefined ? undefined : lt(securityEvents.position, Number(before))
          )
        )
        .orderBy(desc(securityEvents.position))
        .limit(rowLimit(limit) + 1))
      return toPage(found, limit, ({ position }) => String(position))
    }
  }
}
