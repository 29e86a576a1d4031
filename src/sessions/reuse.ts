import type { Requester } from '../input/requester.ts'
import type { Unit } from '../unit-of-work.ts'
import type { SessionEnder } from './session-ender.ts'
import { sessionWithId, type Session } from './session-repository.ts'

export interface ReuseOptions {
  ender: SessionEnder
  /** For how long the token that was just spent gets the same successor again. */
  graceSeconds: number
}

/**
 * Ends the session of a refresh token that was spent before, since of two that have it one has stolen it; what had
 * ended already is revoked again. The session must be locked.
 *
 * It is recorded once where it ends the session. Where that was over before, by a logout say, a thief is still worth
 * knowing of, but could fill the record: that is counted, one row for a session, a place and a minute. Not while a
 * grace could last, since the salt that would tell an honest tab from a thief was deleted with the session.
 *
 * @param now by Postgres' clock
 */
export async function endReused (
  unit: Unit,
  { ender, graceSeconds }: ReuseOptions,
  session: Session,
  now: Date,
  requester: Requester
): Promise<void> {
  const ended = await ender.end(unit, sessionWithId(session.id), 'refresh_token_reused')
  const event = {
    type: 'refresh_token_reused',
    userId: session.userId,
    sessionId: session.id,
    ip: requester.ip
  } as const
  if (ended.length > 0) unit.record(event)
  else if (session.endReason !== 'refresh_token_reused' && !couldBeGrace(session, now, graceSeconds)) unit.count(event)
}

function couldBeGrace ({ rotatedAt }: Session, now: Date, graceSeconds: number): boolean {
  return rotatedAt !== null && now.getTime() < rotatedAt.getTime() + graceSeconds * 1000
}
