import type { Drizzle } from '../db/database.ts'
import type { EndReason } from '../db/tables.ts'
import { everyoneRevocation, type Revocation } from '../entries/revocation.ts'
import type { Unit } from '../unit-of-work.ts'
import {
  findEndedWithLiveTokens,
  findThoseThatCanEnd,
  markEnded,
  type EndedSession,
  type Which
} from './session-repository.ts'

/** Ends sessions. No other code does. */
export interface SessionEnder {
  /**
   * Ends sessions. Their refresh tokens are refused from the commit on, and their access tokens right after it.
   * Sessions that had ended are revoked again, so that an unconfirmed end can be repeated.
   *
   * Resolves with the ids of the sessions that ended now. Sessions that have expired with all their tokens are left as
   * they are.
   */
  end (unit: Unit, which: Which, reason: EndReason): Promise<string[]>
  /**
   * Ends sessions as a side effect, of which the answer says nothing. Revocations are recorded as by `end`. If the
   * blocklist fails, the unit of work succeeds all the same. Resolves with the ids of the sessions that ended now.
   */
  endInTime (unit: Unit, which: Which, reason: EndReason): Promise<string[]>
  /** Revokes ended sessions again, and ends none. */
  revokeEnded (unit: Unit, which: Which): Promise<void>
  /** Returns the ids of the sessions that `end` would end now, and ends none. */
  preview (db: Drizzle, which: Which): Promise<string[]>
}

/** @param leewaySeconds by how much clocks may differ */
export function createSessionEnder (leewaySeconds: number): SessionEnder {
  async function revokeEnded (unit: Unit, which: Which, justEnded: ReadonlySet<string> = new Set()): Promise<void> {
    const ended = await findEndedWithLiveTokens(unit.db, which, leewaySeconds)
    unit.revokeAgain(ended.filter(({ id }) => !justEnded.has(id)).map(toRevocation))
  }

  async function mark (unit: Unit, which: Which, reason: EndReason, revoke: Unit['revoke']): Promise<string[]> {
    const ended = await markEnded(unit.db, which, reason, leewaySeconds)
    revoke(ended.map(session => ({ ...toRevocation(session), reason })))
    return ended.map(({ id }) => id)
  }

  return {
    async end (unit, which, reason) {
      const ids = await mark(unit, which, reason, unit.revoke)
      await revokeEnded(unit, which, new Set(ids))
      return ids
    },
    endInTime: (unit, which, reason) => mark(unit, which, reason, unit.revokeInTime),
    revokeEnded: (unit, which) => revokeEnded(unit, which),
    preview: (db, which) => findThoseThatCanEnd(db, which, leewaySeconds)
  }
}

/**
 * Returns the revocation of every access token of a session. For a session that is over because everyone is out, it is
 * the one of everyone.
 */
export function toRevocation ({ id, userId, accessExpiresAt, endedAt, endReason }: EndedSession): Revocation {
  if (endReason === 'everyone_out' && endedAt !== null) return everyoneRevocation(endedAt.getTime() / 1000)
  return { scope: 'session', id, expiresAt: accessExpiresAt.getTime() / 1000, subject: userId }
}
