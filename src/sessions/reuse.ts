import type { Requester } from '../input/requester.ts'
import type { Unit } from '../unit-of-work.ts'
import type { SessionEnder } from './session-ender.ts'
import { sessionWithId, type Session } from './session-repository.ts'

export interface ReuseOptions {
  ender: SessionEnder
  /** The number of seconds during which the token that was just spent gets the same successor again. */
  graceSeconds: number
}

/**
 * Ends the session of a refresh token that was spent before, because one of two holders of the token has stolen it. If
 * the session has ended, it is revoked again. The session must be locked.
 *
 * The event is recorded once, when it ends the session. After another end, such as a logout, reuse still reveals a
 * thief, who could fill the table of events. So these events are counted: one row for each session, place and minute.
 * While the grace may last, they are not counted. The salt that tells an honest tab from a thief was deleted when the
 * session ended.
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
