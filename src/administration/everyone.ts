import { and, gt, gte, isNull, lt, not, sql } from 'drizzle-orm'
import { clockTimestamp } from '../db/clock.ts'
import type { Drizzle } from '../db/database.ts'
import { isOut, outBefore } from '../db/out-before.ts'
import { sessions } from '../db/tables.ts'
import { everyoneRevocation } from '../entries/revocation.ts'
import type { RequireRecent } from '../sessions/recent-authentication.ts'
import type { Unit } from '../unit-of-work.ts'
import { lockForAct, recordAct, type Administrator } from './administrator.ts'
import { refuse } from './refusal.ts'

/** The longest reason, in characters. */
const maxReasonLength = 500

/**
 * Returns the reason for which everyone is sent out, without spaces around it. Throws `invalid_request` if there is
 * none.
 */
export function readReason (text: string | undefined): string {
  const reason = text?.trim() ?? ''
  // Postgres cannot store NUL, or half a pair of surrogates. A line break would tear the log of a terminal.
  if (reason === '' || reason.length > maxReasonLength || /\p{Cc}/u.test(reason) || !reason.isWellFormed()) {
    throw refuse(`Send the reason as well: one line of up to ${maxReasonLength} characters.`)
  }
  return reason
}

/**
 * Ends all sessions of all users, that of the administrator included, in one step: one revocation of everyone. Returns
 * the instant before which everyone is out. No session has to be changed, because every read of a session compares it
 * with that instant.
 */
export async function sendEveryoneOut (
  unit: Unit,
  requireRecent: RequireRecent,
  reason: string,
  by: Administrator
): Promise<OutBefore> {
  await lockForAct(unit, requireRecent, by)
  const out = await nextOutBefore(unit.db)
  unit.revoke([{ ...everyoneRevocation(out.before), reason: 'everyone_out' }])
  recordAct(unit, { type: 'everyone_out', details: { reason, out_before: out.before } }, by)
  return out
}

/**
 * Instants in seconds since the epoch. Everyone who proved the password before `before` is out now. It was `since`
 * until now.
 */
export interface OutBefore {
  before: number
  since: number
}

/**
 * Returns a new instant before which everyone is out: Postgres' next whole second. It never moves back. `since` is the
 * instant that was in force until now, or 0.
 */
async function nextOutBefore (db: Drizzle): Promise<OutBefore> {
  const { rows } = (await db.execute(sql`select floor(extract(epoch from clock_timestamp()))::float8 + 1 as next,
    coalesce(extract(epoch from ${outBefore}), 0)::float8 as since`)) as {
    rows: Array<{ next: number, since: number }>
  }
  const { next, since } = rows[0] ?? { next: NaN, since: NaN }
  return { before: Math.max(next, since), since }
}

/** A number of sessions, and of the users whose sessions they are. */
export interface SessionCount {
  sessions: number
  users: number
}

/** Counts the live sessions; or those that were live until everyone was sent out. */
export async function countSessions (db: Drizzle, out?: OutBefore): Promise<SessionCount> {
  const at = (seconds: number) => new Date(seconds * 1000)
  const selected = out === undefined
    ? not(isOut)
    : and(gte(sessions.createdAt, at(out.since)), lt(sessions.createdAt, at(out.before)))
  const [counted] = await db.select({
    sessions: sql<number>`count(*)::int`,
    users: sql<number>`count(distinct ${sessions.userId})::int`
  }).from(sessions).where(and(isNull(sessions.endedAt), gt(sessions.expiresAt, clockTimestamp), selected))
  return counted ?? { sessions: 0, users: 0 }
}
