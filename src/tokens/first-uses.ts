import { sql } from 'drizzle-orm'
import { clockTimestamp } from '../db/clock.ts'
import type { Database } from '../db/database.ts'
import { sessions } from '../db/tables.ts'
import { createPoll } from '../timing/poll.ts'
import type { AccessTokenClaims } from './access-token-claims.ts'

/**
 * Notes in Postgres which access tokens were seen, so that a lost answer to a refresh can be told from a theft. A token
 * is noted when it is verified, and not on each use. A lost note only delays the detection of a theft.
 */
export interface FirstUses {
  /** Notes a token, within a second. Returns at once. */
  note (claims: Pick<AccessTokenClaims, 'sid' | 'jti'>): void
  /**
   * Writes what was noted, and waits for notes that are being written. Never rejects: what could not be written is
   * tried again with the next notes.
   */
  flush (): Promise<void>
  start (): void
  stop (): void
}

/** Beyond it, notes are dropped. */
const maxWaiting = 10_000
const everyMs = 500

export function createFirstUses (database: Database): FirstUses {
  let waiting = new Map<string, string>()

  /** Writes one batch after another: a flush waits for the writes that are under way too. */
  let underWay = Promise.resolve()
  const flush = () => (underWay = underWay.then(flushNow))

  async function flushNow (): Promise<void> {
    if (waiting.size === 0) return
    const noted = waiting
    waiting = new Map()
    const keep = (uses: Iterable<readonly [jti: string, sid: string]>) => {
      for (const [jti, sid] of uses) if (waiting.size < maxWaiting) waiting.set(jti, sid)
    }
    try {
      keep(await write(noted))
    } catch {
      keep(noted)
    }
  }

  /** Marks the sessions. Returns the uses of those that a request holds locked at the moment. */
  async function write (noted: Map<string, string>): Promise<Array<[jti: string, sid: string]>> {
    const list = (values: Iterable<string>) => sql`${`{${[...values].join()}}`}::uuid[]`
    const isUnmarked = sql`used_at is null and ended_at is null and (id, access_token_id) in
      (select * from unnest(${list(noted.values())}, ${list(noted.keys())}))`
    // Waits for no lock: a logout locks sessions too, in another order, which would be a deadlock.
    const { rows } = await database.run(db => db.execute(sql`
      with free as (select id from ${sessions} where ${isUnmarked} for no key update skip locked),
      marked as (update ${sessions} set used_at = ${clockTimestamp} from free where ${sessions.id} = free.id)
      select access_token_id as jti, id as sid from ${sessions}
      where ${isUnmarked} and id not in (select id from free)
    `)) as { rows: Array<{ jti: string, sid: string }> }
    return rows.map(({ jti, sid }) => [jti, sid])
  }

  const poll = createPoll(flush, { everyMs, hastenedMs: 0 })
  return {
    note ({ sid, jti }) { if (waiting.size < maxWaiting) waiting.set(jti, sid) },
    flush,
    start: poll.start,
    stop: poll.stop
  }
}
