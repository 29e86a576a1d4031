import { setTimeout } from 'node:timers/promises'
import type { Database, Drizzle } from './db/database.ts'
import { sqlOf } from './db/statements.ts'
import type { Revocation } from './entries/revocation.ts'
import { SignoutError } from './errors.ts'
import { appendRevocations, type RecordedRevocation } from './record/append.ts'
import type { Revoker } from './revocation/revoker.ts'
import { countEvent, insertEvents } from './security/event-repository.ts'
import type { AnnounceEvent, SecurityEvent } from './security/security-events.ts'

/** One unit of work: its changes, its security events and its revocations. */
export interface Unit {
  /** The transaction. */
  readonly db: Drizzle
  /** Records a security event, in the transaction. */
  record (event: SecurityEvent): void
  /** Counts a security event that anyone can cause again and again. All of one place and minute share a row. */
  count (event: SecurityEvent): void
  /** Revokes tokens or sessions: recorded in the transaction, and written to the blocklist after the commit. */
  revoke (revocations: readonly RecordedRevocation[]): void
  /**
   * Revokes sessions of which the answer says nothing: recorded in the transaction, and written to the blocklist after
   * the commit. If only such revocations fail to be written, the unit of work succeeds all the same. The projector
   * writes them within seconds after Redis is back.
   */
  revokeInTime (revocations: readonly RecordedRevocation[]): void
  /**
   * Writes recorded revocations to the blocklist again, because an earlier write may have failed. This is done even if
   * the work then throws. An error that says that a session has ended must be true on every replica.
   */
  revokeAgain (revocations: readonly Revocation[]): void
}

/**
 * Performs one unit of work, in the only order that never claims a false success (P4). First the changes, the events
 * and the revocations are committed. Then the blocklist gets the revocations. Then the promise resolves.
 *
 * Rejects with the error of the work, and then nothing was committed. Rejects with `service_unavailable` when the
 * database does not answer. An unconfirmed commit may then have happened. Rejects with `revocation_unavailable` when
 * the blocklist does not confirm the revocations, and then the commit stands. Work that finds its change made must call
 * `revokeAgain`, so that repeating it is the cure.
 */
export type Perform = <T>(work: (unit: Unit) => Promise<T>) => Promise<T>

export interface PerformOptions {
  database: Database
  revoker: Revoker
  announce: AnnounceEvent
  /** Called with the revocations once they are committed. */
  onRevoked?: (revocations: readonly RecordedRevocation[]) => void
}

/** Thrown by work that can be done in a moment. It is then rolled back, and done again after that. */
export class NotYetError extends Error {
  override readonly name = 'NotYetError'
  readonly waitMs: number
  constructor (waitMs: number) {
    super(`This can be done in ${waitMs} ms.`)
    this.waitMs = waitMs
  }
}

/** The longest wait for work that cannot be done yet, in milliseconds. */
const maxWaitMs = 2_000

/**
 * Performs a unit of work again after the wait that it asks for. No connection is held meanwhile. Rejects with
 * `service_unavailable` if the wait is longer than two seconds, because the clock of Postgres was set back.
 */
function withWaits (perform: Perform): Perform {
  return async work => {
    const giveUpAt = performance.now() + maxWaitMs
    for (;;) {
      try {
        return await perform(work)
      } catch (error) {
        if (!(error instanceof NotYetError)) throw error
        if (performance.now() + error.waitMs > giveUpAt) throw new SignoutError('service_unavailable', { cause: error })
        await setTimeout(error.waitMs)
      }
    }
  }
}

export function createPerform ({ database, revoker, announce, onRevoked }: PerformOptions): Perform {
  return withWaits(async work => {
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
    // The answer claims nothing about these revocations. Failures of the blocklist are reported elsewhere.
    else if (unclaimed.length > 0) await revoker.revoke(unclaimed).catch(() => {})
    return result
  })
}

/** Adds one by one: a call takes a limited number of arguments, and a logout may end more sessions. */
function addAll<T> (list: T[], added: readonly T[]): void {
  for (const item of added) list.push(item)
}
