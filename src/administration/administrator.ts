import { SignoutError } from '../errors.ts'
import type { Requester } from '../input/requester.ts'
import type { SecurityEvent } from '../security/security-events.ts'
import { refuseEnded } from '../sessions/own-session.ts'
import type { RequireRecent } from '../sessions/recent-authentication.ts'
import { findSession, sessionOf } from '../sessions/session-repository.ts'
import type { Unit } from '../unit-of-work.ts'
import { isActiveAdmin, lockUser, type User } from '../users/user-repository.ts'

/** An administrator who acts over HTTP, in a session. Without an id: an operator on the command line. */
export type Administrator =
  | { id: string, sid: string, requester?: Requester | undefined }
  | { id?: undefined, sid?: undefined, requester?: undefined }

/**
 * Locks the row of the administrator, and of the user whom the act concerns. Returns that user, or undefined without
 * one. Throws as {@link requireRight} does. Rows are locked in the order of their ids, so that no two acts deadlock.
 */
export async function lockForAct (
  unit: Unit,
  requireRecent: RequireRecent,
  by: Administrator,
  userId?: string
): Promise<User | undefined> {
  const ids = [by.id, userId].filter(id => id !== undefined)
  const locked = new Map<string, User | undefined>()
  for (const id of [...new Set(ids)].sort()) {
    locked.set(id, await lockUser(unit.db, id, id === userId ? 'update' : 'share'))
  }
  if (by.id !== undefined) await requireRight(unit, requireRecent, by, locked.get(by.id))
  return userId === undefined ? undefined : locked.get(userId)
}

/**
 * Checks again that an administrator may act, with the row of the administrator locked. The token only says what the
 * user was when it was issued, and the request may have waited since. Does nothing for an operator on the command line.
 * Throws `token_revoked` if the administrator's session has ended, and `forbidden` if the user is not an active
 * administrator. Throws `insufficient_user_authentication` if the administrator's login was too long ago.
 *
 * @param admin the locked row of the administrator, if it exists. The lock makes a concurrent demotion wait.
 */
export async function requireRight (
  unit: Unit,
  requireRecent: RequireRecent,
  by: Administrator,
  admin: User | undefined
): Promise<void> {
  if (by.id === undefined) return
  const own = { userId: by.id, sessionId: by.sid }
  // Not locked: two administrators who end each other's sessions would deadlock.
  const session = refuseEnded(unit, own, await findSession(unit.db, sessionOf(own.userId, own.sessionId)))
  if (admin === undefined || !isActiveAdmin(admin)) throw new SignoutError('forbidden', { requiredScope: 'admin' })
  await requireRecent(unit, session)
}

/** Records what an administrator did. */
export function recordAct (unit: Unit, event: SecurityEvent, by: Administrator): void {
  unit.record({
    ...event,
    actorId: by.id,
    requester: by.requester,
    details: { ...event.details, by: by.id === undefined ? 'operator' : 'admin' }
  })
}
