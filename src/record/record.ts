import { randomUUID } from 'node:crypto'
import { and, asc, desc, eq, gt, lte, sql } from 'drizzle-orm'
import { clockTimestamp, readClock } from '../db/clock.ts'
import type { Database, Drizzle } from '../db/database.ts'
import { rowLimit } from '../db/row-limit.ts'
import { revocationLogs, revocations, revocationTail, type EndReason } from '../db/tables.ts'
import type { RecordPosition } from './marker.ts'
import type { Revocation, RevocationScope } from '../entries/revocation.ts'

/** A revocation as it is recorded: with its reason, and whose it was as far as that is known. */
export interface RecordedRevocation extends Revocation {
  reason: EndReason | 'token_revoked'
}

/** After one position, and up to another. */
export interface PositionRange {
  after: number
  upTo: number
}

/** The end of the record. */
export interface Head extends RecordPosition {
  /** The greatest position that the marker was ever to be moved to, in this record. A marker beyond it is of a past that is lost. */
  marked: number
}

/** A revocation from the record. */
export interface LoggedRevocation extends Revocation {
  position: number
}

/** A revocation that is recorded after a position, and for how long it has been. */
export interface RecentRevocation extends Pick<Revocation, 'scope' | 'id'> {
  /** By Postgres' clock. */
  ageSeconds: number
}

/** The end of the record, and revocations after a position; read in one statement, so that one is true of the other. */
export interface RecordAfter extends Head {
  recent: RecentRevocation[]
}

/** How many positions {@link RevocationRecord.readAfter} goes back at most. */
export const maxPositionsBehind = 5_000

/**
 * Any number will do, as long as no other application in the same database uses it for an advisory lock. Writers share it
 * from before their positions are allocated until they are committed: who has it alone sees no position whose row is missing.
 */
const barrier = 7_366_721

/**
 * Records revocations, in the transaction of what ends. Once it is committed they take effect by themselves, whatever
 * happens to the blocklist.
 */
export async function appendRevocations (db: Drizzle, added: readonly RecordedRevocation[]): Promise<void> {
  if (added.length === 0) return
  await db.execute(sql`select pg_advisory_xact_lock_shared(${barrier}::bigint)`)
  // In one parameter: a statement has 65,535 of them at the most, which an ending of very many sessions would exceed.
  const rows = JSON.stringify(added.map(({ scope, id, subject, expiresAt, reason }) => ({ scope, id, subject, expires_at: expiresAt, reason })))
  await db.execute(sql`insert into ${revocations} (scope, id, subject, reason, expires_at, created_at)
    select scope, id, subject, reason, to_timestamp(expires_at), ${clockTimestamp}
    from json_to_recordset(${rows}::json) as added (scope text, id text, subject uuid, reason text, expires_at float8)`)
}

/** The record, as those read it who keep the blocklist up with it. */
export interface RevocationRecord {
  /** How far positions have been given out. Some of the last may not be committed yet, and none that was answered is beyond. */
  readHead (): Promise<Head>
  /**
   * Returns the end of the record with the revocations after a position that are committed, expired ones included. Goes back
   * {@link maxPositionsBehind} positions from the end at most: further revocations are missing from the result.
   *
   * @param ids only the revocations with one of these ids, compared without hyphens; all when it is left out
   */
  readAfter (position: number, ids?: readonly string[]): Promise<RecordAfter>
  /** The same, once every row up to it is committed, or will never be. */
  settleHead (): Promise<Head>
  /** Records, before it is done, that the marker will be moved there. Answers false when the record has another name by now. */
  willMark (position: RecordPosition): Promise<boolean>
  /**
   * The rows of a range of positions whose tokens could still be accepted somewhere, in their order, out of so many rows.
   * `next` is after which position to go on; undefined when there are no more.
   */
  readLive (range: PositionRange, limit: number): Promise<{ rows: LoggedRevocation[], next: number | undefined }>
  /** How many rows there are, those included that nobody needs any more. */
  countRows (range: PositionRange): Promise<number>
  /** The clock of whoever keeps the record, in milliseconds since the epoch. */
  readClock (): Promise<number>
  /** Every name that the record has had, the present one first. */
  listNames (): Promise<string[]>
  /** Whether one token alone is on record as revoked. */
  hasToken (jti: string): Promise<boolean>
  /**
   * Gives the record another name, unless it has another one than this already, so that no marker that was written for it is
   * believed any more. Answers whether it did.
   */
  rename (from: string): Promise<boolean>
  /** Takes or keeps the lease of the projector. Answers false while somebody else has it. */
  lease (holder: string, seconds: number): Promise<boolean>
  /** Lets another have the lease at once. */
  release (holder: string): Promise<void>
}

/** @param leewaySeconds by how much clocks may differ */
export function createRevocationRecord (database: Database, leewaySeconds: number): RevocationRecord {
  return {
    readHead: () => database.run(readHead),
    readAfter: (position, ids) => database.run(db => readAfter(db, position, ids)),
    settleHead: () => database.transaction(async db => {
      await db.execute(sql`select pg_advisory_xact_lock(${barrier}::bigint)`)
      return await readHead(db)
    }),
    readLive: ({ after, upTo }, limit) => database.run(async db => {
      // Only the order of positions decides what is read: with more to go by, and no statistics yet after many logouts at
      // once, Postgres sorts all rows for each page. One row of JSON for a page is five times as fast as a row for each.
      const scanned = db.select().from(revocations).where(gt(revocations.position, after)).orderBy(asc(revocations.position)).limit(rowLimit(limit))
      const { rows } = await db.execute(sql`select count(*)::int as count, max(position)::float8 as last, coalesce(
        json_agg(json_build_array(position, scope, id, date_part('epoch', expires_at), subject) order by position)
        filter (where position <= ${upTo}::bigint and expires_at + make_interval(secs => ${3 * leewaySeconds}::float8) > statement_timestamp()), '[]') as live
        from (${scanned}) as revocations`) as { rows: Array<{ count: number, last: number, live: Array<[number, RevocationScope, string, number, string | null]> }> }
      const { count, last, live } = rows[0] ?? { count: 0, last: 0, live: [] }
      return {
        rows: live.map(([position, scope, id, expiresAt, subject]) => ({ position, scope, id, expiresAt, ...subject !== null && { subject } })),
        next: count === limit && last < upTo ? last : undefined
      }
    }),
    async countRows ({ after, upTo }) {
      const [row] = await database.run(db => db.select({ count: sql<number>`count(*)::int` }).from(revocations)
        .where(and(gt(revocations.position, after), lte(revocations.position, upTo))))
      return row?.count ?? 0
    },
    readClock: async () => (await database.run(readClock)).getTime(),
    async listNames () {
      const rows = await database.run(db => db.select({ id: revocationLogs.id }).from(revocationLogs).orderBy(desc(revocationLogs.number)))
      return rows.map(({ id }) => id)
    },
    async hasToken (jti) {
      const found = await database.run(db => db.select({ position: revocations.position }).from(revocations)
        .where(and(eq(revocations.id, jti), eq(revocations.scope, 'token'))).limit(1))
      return found.length > 0
    },
    async willMark ({ recordId, position }) {
      // Durable before anything rests on it, which is what a transaction of ours is.
      const marked = await database.transaction(db => db.update(revocationLogs)
        .set({ marked: sql`greatest(${revocationLogs.marked}, ${position}::bigint)` })
        .where(sql`${revocationLogs.id} = ${recordId}::uuid and ${revocationLogs.number} = (select max(number) from ${revocationLogs})`)
        .returning({ id: revocationLogs.id }))
      return marked.length > 0
    },
    rename: from => database.transaction(async db => {
      await db.execute(sql`lock table ${revocationLogs} in exclusive mode`)
      if ((await readHead(db)).recordId !== from) return false
      await db.insert(revocationLogs).values({ id: randomUUID(), createdAt: clockTimestamp })
      return true
    }),
    async lease (holder, seconds) {
      const taken = await database.run(db => db.update(revocationTail)
        .set({ holder, heldUntil: sql`${clockTimestamp} + make_interval(secs => ${seconds}::float8)` })
        .where(sql`${revocationTail.holder} = ${holder}::uuid or ${revocationTail.heldUntil} < ${clockTimestamp}`)
        .returning({ holder: revocationTail.holder }))
      return taken.length > 0
    },
    async release (holder) {
      await database.run(db => db.update(revocationTail).set({ heldUntil: sql`'epoch'` }).where(sql`${revocationTail.holder} = ${holder}::uuid`))
    }
  }
}

async function readHead (db: Drizzle): Promise<Head> {
  const { rows } = await db.execute(sql`select record.id, record.marked::float8,
    (select case when is_called then last_value else 0 end from revocations_position_seq)::float8 as position
    from ${revocationLogs} record order by record.number desc limit 1`) as { rows: Array<{ id: string, marked: number, position: number }> }
  const [head] = rows
  if (head === undefined) throw new Error('The record of revocations has no name.')
  return { recordId: head.id, position: head.position, marked: head.marked }
}

/**
 * The sequence is read in the same statement as the rows, but not from the same snapshot. It may therefore be ahead of them,
 * by revocations that are not committed yet, and never behind.
 */
async function readAfter (db: Drizzle, position: number, ids?: readonly string[]): Promise<RecordAfter> {
  // In one parameter: a statement has 65,535 of them at most.
  const among = ids === undefined ? sql`true` : sql`replace(id, '-', '') in (select replace(name, '-', '') from json_array_elements_text(${JSON.stringify(ids)}::json) as name)`
  const { rows } = await db.execute(sql`with head as materialized (
      select case when is_called then last_value else 0 end as position from revocations_position_seq
    ), record as (select id, marked from ${revocationLogs} order by number desc limit 1)
    select record.id, record.marked::float8, head.position::float8 as position, (
      select coalesce(json_agg(json_build_array(scope, id, extract(epoch from ${clockTimestamp} - created_at))), '[]')
      from (select scope, id, created_at from ${revocations}
        where position > greatest(${position}::bigint, head.position - ${maxPositionsBehind}::bigint) and ${among}) as recent) as recent
    from record, head`) as { rows: Array<{ id: string, marked: number, position: number, recent: Array<[RevocationScope, string, number]> }> }
  const [found] = rows
  if (found === undefined) throw new Error('The record of revocations has no name.')
  const recent = found.recent.map(([scope, id, ageSeconds]) => ({ scope, id, ageSeconds }))
  return { recordId: found.id, position: found.position, marked: found.marked, recent }
}
