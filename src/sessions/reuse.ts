import type { Drizzle } from '../db/database.ts'
import type { Requester } from '../input/requester.ts'
import type { Unit } from '../unit-of-work.ts'
import { hashRefreshToken, type RefreshTokens } from './refresh-tokens.ts'
import type { SessionEnder } from './session-ender.ts'
import { usedBy } from './session-lifetimes.ts'
import { findPredecessor, sessionWithId, type Session } from './session-repository.ts'

/** A refresh token that was sent, and its requester. */
export interface Presented {
  token: string
  hash: Uint8Array
  requester: Requester
  /** Throws if the scope of the next token is not wanted. */
  checkScope?: ((scope: string) => void) | undefined
}

/** The rules by which a spent token is judged. */
export interface SpentTokenRules {
  refreshTokens: RefreshTokens
  /** The number of seconds during which the token that was just spent gets the same successor again. */
  graceSeconds: number
  /** The number of seconds during which it gets another successor, while the first one is unused. */
  repeatMaxSeconds: number
}

/**
 * Judges a spent token of a live session, which must be locked.
 *
 * - `in grace`: it was spent just now, and gets the same pair again. Two tabs may have refreshed at once.
 * - `repeatable`: its successor is unused, so the answer that had it may be lost. It gets another successor.
 * - `stolen`: one of two holders of the token has stolen it.
 *
 * @param now by Postgres' clock
 */
export async function judgeSpent (
  db: Drizzle,
  rules: SpentTokenRules,
  session: Session,
  presented: Presented,
  now: Date
): Promise<'in grace' | 'repeatable' | 'stolen'> {
  if (isInGrace(session, presented, now, rules)) return 'in grace'
  if (session.usedAt !== null) return 'stolen'
  const predecessor = await findPredecessor(db, session, presented.hash)
  if (predecessor === undefined) return 'stolen'
  const ageMs = now.getTime() - predecessor.spentAt.getTime()
  return ageMs < rules.repeatMaxSeconds * 1000 ? 'repeatable' : 'stolen'
}

/** Returns true if the live token is the successor of this one, and this one was spent within the grace. */
function isInGrace (
  session: Session,
  { token }: Presented,
  now: Date,
  { refreshTokens, graceSeconds }: SpentTokenRules
): boolean {
  const { rotationSalt, rotatedAt } = session
  if (rotationSalt === null || rotatedAt === null) return false
  if (now.getTime() >= rotatedAt.getTime() + graceSeconds * 1000) return false
  const successor = hashRefreshToken(refreshTokens.deriveSuccessor(token, session.id, rotationSalt))
  return successor !== undefined && Buffer.compare(successor, session.refreshTokenHash) === 0
}

/**
 * Counts a repeated refresh from another address or user agent than the one before. Its owner may have changed the
 * network, or is a thief.
 */
export function countRepetition (unit: Unit, session: Session, requester: Requester): void {
  const { ip, userAgent } = usedBy(requester)
  if (ip === session.ip && userAgent === session.userAgent) return
  unit.count({ type: 'refresh_repeated', userId: session.userId, sessionId: session.id, requester })
}

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
    requester
  } as const
  if (ended.length > 0) unit.record(event)
  else if (session.endReason !== 'refresh_token_reused' && !couldBeGrace(session, now, graceSeconds)) unit.count(event)
}

function couldBeGrace ({ rotatedAt }: Session, now: Date, graceSeconds: number): boolean {
  return rotatedAt !== null && now.getTime() < rotatedAt.getTime() + graceSeconds * 1000
}
