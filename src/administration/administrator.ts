import { SignoutError } from '../errors.ts'
import type { SecurityEvent } from '../security/security-events.ts'
import { refuseEnded } from '../sessions/logout.ts'
import { findSession, sessionOf } from '../sessions/session-repository.ts'
import type { Unit } from '../unit-of-work.ts'
import { isActiveAdmin, lockUser, type User } from '../users/user-repository.ts'

/** Who administers: an administrator over HTTP, in one of their sessions, or whoever has the command line. */
export type Administrator =
  | { id: string, sid: string, ip?: string | undefined }
  | { id?: undefined, sid?: undefined, ip?: undefined }

/**
 * Locks the user whom an act is about, if it is about one, and whoever does it. Answers that user; throws as
 * `requireRight` does. In the order of their ids, as all do who lock several.
 */
export async function lockForAct (unit: Unit, by: Administrator, userId?: string): Promise<User | undefined> {
  const ids = [by.id, userId].filter(id => id !== undefined)
  const locked = new Map<string, User | undefined>()
  for (const id of [...new Set(ids)].sort()) {
    locked.set(id, await lockUser(unit.db, id, id === userId ? 'update' : 'share'))
  }
  if (by.id !== undefined) await requireRight(unit, by, locked.get(by.id))
  return userId === undefined ? undefined : locked.get(userId)
}

/**
 * A token says what its user was when it was issued, and is good until the blocklist knows better; and a request may
 * have waited for others since it was let in. So whoever acts on others is looked at once more, with their row locked:
 * throws `token_revoked` when the session has ended, and `forbidden` for no administrator. Nobody signs in on the
 * command line.
 *
 * @param admin the row of the administrator, if there is one: locked, so that whoever takes the right away waits
 */
export async function requireRight (unit: Unit, by: Administrator, admin: User | undefined): Promise<void> {
  if (by.id === undefined) return
  const own = { userId: by.id, sessionId: by.sid }
  // Not locked: two who end each other's sessions would wait for each other.
  refuseEnded(unit, own, await findSession(unit.db, sessionOf(own.userId, own.sessionId)))
  if (admin === undefined || !isActiveAdmin(admin)) throw new SignoutError('forbidden')
}

/** Records what an administrator did. */
export function recordAct (unit: Unit, event: SecurityEvent, by: Administrator): void {
  unit.record({
    ...event,
    actorId: by.id,
    ip: by.ip,
    details: { ...event.details, by: by.id === undefined ? 'operator' : 'admin' }
  })
}
