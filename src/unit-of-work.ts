import type { Database, Drizzle } from './db/database.ts'
import { sqlOf } from './db/statements.ts'
import type { Revocation } from './entries/revocation.ts'
import { appendRevocations, type RecordedRevocation } from './record/record.ts'
import type { Revoker } from './revocation/revoker.ts'
import { countEvent, insertEvents } from './security/event-repository.ts'
import type { AnnounceEvent, SecurityEvent } from './security/security-events.ts'

/** One act of the service on its record: what it changes, what is to be remembered of it, and what it takes back. */
export interface Unit {
  /** The transaction. */
  readonly db: Drizzle
  /** Remembers an event, in the same transaction. */
  record (event: SecurityEvent): void
  /** The same for what anybody can bring about again and again: one row for all of them in a place and a minute. */
  count (event: SecurityEvent): void
  /** Takes tokens or sessions back: on record with the transaction, and refused as soon as it is committed. */
  revoke (revocations: readonly RecordedRevocation[]): void
  /**
   * The same for what the answer claims nothing of: on record with the transaction, and refused as soon as the
   * blocklist has it. That is tried at once, and where it fails, nobody is told: whoever keeps the blocklist up with
   * the record brings it, within seconds of the blocklist being back.
   */
  revokeInTime (revocations: readonly RecordedRevocation[]): void
  /**
   * Writes the blocklist again for what is on record already, since whoever did it may not have been able to. That is
   * done even if the work then throws: a refusal because something has ended says so, and must be true everywhere.
   */
  revokeAgain (revocations: readonly Revocation[]): void
}

/**
 * Performs work as one act, in the only order in which nothing is claimed that is not true (P4): what it changed and
 * the events that it recorded are committed; then the blocklist has what it revoked; then this resolves. Only what is
 * to be revoked in time is not waited for beyond one try.
 *
 * Rejects with what the work throws, and then nothing has happened; with `service_unavailable` when the database does
 * not answer; with `revocation_unavailable` when the blocklist does not, and then the record stands. Work that finds
 * its change made already must revoke again, so that repeating it is what cures that.
 */
export type Perform = <T>(work: (unit: Unit) => Promise<T>) => Promise<T>

export interface PerformOptions {
  database: Database
  revoker: Revoker
  announce: AnnounceEvent
  /** Told of what was revoked, once it is on record. */
  onRevoked?: (revocations: readonly RecordedRevocation[]) => void
}

export function createPerform ({ database, revoker, announce, onRevoked }: PerformOptions): Perform {
  return async work => {
    const events: SecurityEvent[] = []
    const counted: SecurityEvent[] = []
    const claimed: RecordedRevocation[] = []
    const unclaimed: RecordedRevocation[] = []
    const again: Revocation[] = []
    const performed = database.transaction(async db => {
      const result = await work({
        db,
        record: event => { events.push(event) },
        count: event => { counted.push(event) },
        revoke: revocations => { addAll(claimed, revocations) },
        revokeInTime: revocations => { addAll(unclaimed, revocations) },
        revokeAgain: revocations => { addAll(again, revocations) }
      })
      await insertEvents(db, events)
      for (const event of counted) await countEvent(db, event)
      await appendRevocations(sqlOf(db), [...claimed, ...unclaimed])
      return result
    })
    const result = await performed.catch(async error => {
      if (again.length > 0) await revoker.revoke(again)
      throw error
    })
    for (const event of [...events, ...counted]) announce(event)
    const recorded = [...claimed, ...unclaimed]
    if (recorded.length > 0) onRevoked?.(recorded)
    if (claimed.length + again.length > 0) await revoker.revoke([...recorded, ...again])
    // Nothing is answered that would not be true. What is wrong with the blocklist, others find out and tell.
    else if (unclaimed.length > 0) await revoker.revoke(unclaimed).catch(() => {})
    return result
  }
}

/** One by one: a call takes only so many arguments, and an ending may have more sessions. */
function addAll<T> (list: T[], added: readonly T[]): void {
  for (const item of added) list.push(item)
}
