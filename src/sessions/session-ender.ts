import type { EndReason } from '../db/tables.ts'
import type { Revocation } from '../revocation/revocation.ts'
import type { Unit } from '../unit-of-work.ts'
import { findEndedWithLiveTokens, markEnded, type EndedSession, type Which } from './session-repository.ts'

/** The one way in which sessions end. */
export interface SessionEnder {
  /**
   * Ends sessions: their refresh tokens with the transaction, and their access tokens as soon as it is committed. Those
   * that had ended already are revoked again, so that an ending which could not be confirmed can be repeated.
   *
   * Answers the ids of those that ended now.
   */
  end (unit: Unit, which: Which, reason: EndReason): Promise<string[]>
  /** Revokes again those that have ended, and ends none. */
  revokeEnded (unit: Unit, which: Which): Promise<void>
}

/** @param leewaySeconds by how much clocks may differ */
export function createSessionEnder (leewaySeconds: number): SessionEnder {
  async function revokeEnded (unit: Unit, which: Which, justEnded: ReadonlySet<string> = new Set()): Promise<void> {
    const ended = await findEndedWithLiveTokens(unit.db, which, leewaySeconds)
    unit.revokeAgain(ended.filter(({ id }) => !justEnded.has(id)).map(toRevocation))
  }

  return {
    async end (unit, which, reason) {
      const ended = await markEnded(unit.db, which, reason)
      unit.revoke(ended.map(session => ({ ...toRevocation(session), reason })))
      const ids = ended.map(({ id }) => id)
      await revokeEnded(unit, which, new Set(ids))
      return ids
    },
    revokeEnded: (unit, which) => revokeEnded(unit, which)
  }
}

/** What it takes to end every access token of a session. */
export function toRevocation ({ id, userId, accessExpiresAt }: EndedSession): Revocation {
  return { scope: 'session', id, expiresAt: accessExpiresAt.getTime() / 1000, subject: userId }
}
