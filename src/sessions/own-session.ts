import { SignoutError } from '../errors.ts'
import type { EndReason } from '../db/tables.ts'
import type { AccessTokenClaims } from '../tokens/access-token-claims.ts'
import type { Unit } from '../unit-of-work.ts'
import { toRevocation } from './session-ender.ts'
import { lockSession, type Session } from './session-repository.ts'

/** A session and its user. */
export interface OwnSession {
  userId: string
  sessionId: string
}

/** Returns the session of a verified access token. */
export function ownSession ({ sub, sid }: Pick<AccessTokenClaims, 'sub' | 'sid'>): OwnSession {
  return { userId: sub, sessionId: sid }
}

/**
 * Locks the session, and returns it. Throws `token_revoked` unless it is live. A token of an ended session is accepted
 * until the blocklist has the revocation. Until then it must not act on other sessions. The caller gets the error once
 * the blocklist has the revocation.
 */
export async function requireLive (unit: Unit, own: OwnSession): Promise<Session> {
  return refuseEnded(unit, own, await lockSession(unit.db, own.sessionId))
}

/** Throws as {@link requireLive} does, for a session that was read already. An ended session is revoked again. */
export function refuseEnded (unit: Unit, { userId }: OwnSession, session: Session | undefined): Session {
  if (session?.userId === userId && session.endedAt === null) return session
  if (session !== undefined && session.endedAt !== null) unit.revokeAgain([toRevocation(session)])
  throw new SignoutError('token_revoked')
}

/**
 * Locks the session of a request that replaces it. Returns true if it is live, and false if an earlier request has
 * replaced it for the same reason. Throws `token_revoked` if it has ended otherwise.
 */
export async function requireReplaceable (unit: Unit, own: OwnSession, reason: EndReason): Promise<boolean> {
  const session = await lockSession(unit.db, own.sessionId)
  if (session?.userId === own.userId && session.endReason === reason) return false
  refuseEnded(unit, own, session)
  return true
}
