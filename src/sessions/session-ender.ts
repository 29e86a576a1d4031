import type { Drizzle } from '../db/database.ts'
import type { EndReason } from '../db/tables.ts'
import type { Revocation } from '../entries/revocation.ts'
import type { Unit } from '../unit-of-work.ts'
import {
  findEndedWithLiveTokens,
  findThoseThatCanEnd,
  markEnded,
  type EndedSession,
  type Which
} from './session-repository.ts'

/** The one way in which sessions end. */
export interface SessionEnder {
  /**
   * Ends sessions: their refresh tokens with the transaction, and their access tokens as soon as it is committed. Those
   * that had ended already are revoked again, so that an ending which could not be confirmed can be repeated.
   *
   * Answers the ids of those that ended now. Not among them are those that have expired with all their tokens, which
   * are left as they are.
   */
  end (unit: Unit, which: Which, reason: EndReason): Promise<string[]>
  /**
   * Ends sessions that nobody asked to end, and of which the answer says nothing: what they lose is on record as by
   * `end`, and the blocklist is not waited for when it fails. Answers the ids of those that ended now.
   */
  endInTime (unit: Unit, which: Which, reason: EndReason): Promise<string[]>
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

/** What it takes to end every access token of a session. */
export function toRevocation ({ id, userId, accessExpiresAt }: EndedSession): Revocation {
  return { scope: 'session', id, expiresAt: accessExpiresAt.getTime() / 1000, subject: userId }
}
