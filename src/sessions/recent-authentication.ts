import { readClock } from '../db/clock.ts'
import { SignoutError } from '../errors.ts'
import type { Unit } from '../unit-of-work.ts'
import type { Session } from './session-repository.ts'

/**
 * Returns when the password of a session was last proved (`auth_time`), by Postgres' clock. A new proof opens a new
 * session, so it is when the session was opened, and it survives refreshes.
 */
export function authenticatedAt ({ createdAt }: Pick<Session, 'createdAt'>): Date {
  return createdAt
}

/**
 * Requires that the password of a session was proved recently, by Postgres' clock. Rejects with
 * `insufficient_user_authentication` (RFC 9470) otherwise. Then the client asks for the password, and calls
 * `POST /reauthenticate`.
 */
export type RequireRecent = (unit: Unit, session: Pick<Session, 'createdAt'>) => Promise<void>

/** @param maxAgeSeconds the longest time since the proof; 0 turns the requirement off */
export function createRequireRecent (maxAgeSeconds: number): RequireRecent {
  return async (unit, session) => {
    if (maxAgeSeconds === 0) return
    const now = await readClock(unit.db)
    if (now.getTime() - authenticatedAt(session).getTime() <= maxAgeSeconds * 1000) return
    throw new SignoutError('insufficient_user_authentication', { maxAgeSeconds })
  }
}
