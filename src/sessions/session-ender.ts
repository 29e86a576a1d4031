import type { Drizzle } from '../db/database.ts'
import type { EndReason } from '../db/tables.ts'
import type { Revocation } from '../revocation/revocation.ts'
import type { Unit } from '../unit-of-work.ts'
import { findEndedWithLiveTokens, findThoseThatCanEnd, markEnded, type EndedSession, type Which } from './session-repository.ts'

/** The one way in which sessions end. */
export interface SessionEnder {
  /**
   * Ends sessions: their refresh tokens with the transaction, and their access tokens as soon as it is committed. Those
   * that had ended already are revoked again, so that an ending which could not be confirmed can be repeated.
   *
   * Answers the ids of those that ended now. Not among them are those that have expired with all their tokens, which are
   * left as they are.
   */
  end (unit: Unit, which: Which, reason: EndReason): Promise<string[]>
  /** Revokes again those that have ended, and ends none. */
  revokeEnded (unit: Unit, which: Which): Promise<void>
  /** The ids of those that `end` would end now. Ends none. */
  preview (db: Drizzle, which: Which): Promise<string[]>
}

/** @param leewaySeconds by how much clocks may differ */
export function createSessionEnder (leewaySeconds: number): SessionEnder {
  async function revokeEnded (unit: Unit, which: Which, justEnded: ReadonlySet<string> = new Set()): Promise<void> {
    const ended = await findEndedWithLiveTokens(unit.db, which, leewaySeconds)
    unit.revokeAgain(ended.filter(({ id }) => !justEnded.has(id)).map(toRevocation))
  }

  return {
    async end (unit, which, reason) {
      const ended = await markEnded(unit.db, which, reason, leewaySeconds)
      unit.revoke(ended.map(session => ({ ...toRevocation(session), reason })))
      const ids = ended.map(({ id }) => id)
      await revokeEnded(unit, which, new Set(ids))
      return ids
    },
    revokeEnded: (unit, which) => revokeEnded(unit, which),
    preview: (db, which) => findThoseThatCanEnd(db, which, leewaySeconds)
  }
}

/** What it takes to end every access token of a session. */
export function toRevocation ({ id, userId, accessExpiresAt }: EndedSession): Revocation {
  return { scope: 'session', id, expiresAt: accessExpiresAt.getTime() / 1000, subject: userId }
}
