import { and, isNull, sql } from 'drizzle-orm'
import { clockTimestamp } from '../db/clock.ts'
import type { Database } from '../db/database.ts'
import { sessions } from '../db/tables.ts'
import { createPoll } from '../timing/poll.ts'
import type { AccessTokenClaims } from './claims.ts'

/**
 * Notes in Postgres which access tokens were seen, so that a lost answer to a refresh can be told from a theft. A token
 * is noted when it is verified, and not on each use. A lost note only delays the detection of a theft.
 */
export interface FirstUses {
  /** Notes a token, within a second. Returns at once. */
  note (claims: Pick<AccessTokenClaims, 'sid' | 'jti'>): void
  /** Writes what was noted. Never rejects: what could not be written is tried again with the next notes. */
  flush (): Promise<void>
  start (): void
  stop (): void
}

/** Beyond it, notes are dropped. */
const maxWaiting = 10_000
const everyMs = 500

export function createFirstUses (database: Database): FirstUses {
  let waiting = new Map<string, string>()

  async function flush (): Promise<void> {
    if (waiting.size === 0) return
    const noted = waiting
    waiting = new Map()
    const list = (values: Iterable<string>) => `{${[...values].join()}}`
    try {
      await database.run(db => db.update(sessions).set({ usedAt: clockTimestamp }).where(and(
        isNull(sessions.usedAt),
        isNull(sessions.endedAt),
        sql`(${sessions.id}, ${sessions.accessTokenId}) in
          (select * from unnest(${list(noted.values())}::uuid[], ${list(noted.keys())}::uuid[]))`
      )))
    } catch {
      for (const [jti, sid] of noted) if (waiting.size < maxWaiting) waiting.set(jti, sid)
    }
  }

  const poll = createPoll(flush, { everyMs, hastenedMs: 0 })
  return {
    note ({ sid, jti }) { if (waiting.size < maxWaiting) waiting.set(jti, sid) },
    flush,
    start: poll.start,
    stop: poll.stop
  }
}
