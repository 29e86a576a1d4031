import { randomUUID } from 'node:crypto'
import { rowLimit } from '../db/row-limit.ts'
import type { Sql, SqlDatabase } from '../db/sql.ts'
import type { EndReason } from '../db/tables.ts'
import { enterBarrier, waitForWriters } from './barrier.ts'
import type { RecordPosition } from './marker.ts'
import { entryMarginSeconds, type Revocation, type RevocationScope } from '../entries/revocation.ts'

/** A revocation with the reason for which it is recorded. */
export interface RecordedRevocation extends Revocation {
  reason: EndReason | 'token_revoked' | 'superseded'
}

/** The positions after one position, up to and including another. */
export interface PositionRange {
  after: number
  upTo: number
}

/** The end of the record. */
export interface Head extends RecordPosition {
  /**
   * The greatest position to which the marker of this record was ever to be moved. A marker beyond it is of a past that
   * Postgres has lost.
   */
  marked: number
}

/** A revocation with its position in the record. */
export interface RecordRow extends Revocation {
  position: number
}

/** A revocation after a position, with its age. */
export interface RecentRevocation extends Pick<Revocation, 'scope' | 'id'> {
  /** By the clock of Postgres. Negative after that clock was set back. */
  ageSeconds: number
}

/** The end of the record, and the committed revocations after a position, read in one statement. */
export interface RecordAfter extends Head {
  recent: RecentRevocation[]
}

/** The largest number of positions that {@link RevocationRecord.readAfter} goes back. */
export const maxPositionsBehind = 5_000

/**
 * Adds revocations to the record, in the transaction of the change that causes them. Once that is committed they take
 * effect automatically, even if the blocklist is down.
 */
export async function appendRevocations (sql: Sql, added: readonly RecordedRevocation[]): Promise<void> {
  if (added.length === 0) return
  await enterBarrier(sql)
  // One parameter for all rows: a statement has at most 65,535 of them.
  const rows = added.map(({ expiresAt, ...row }) => ({ ...row, expires_at: expiresAt }))
  await sql.query(`insert into revocations (scope, id, subject, reason, expires_at, created_at)
    select scope, id, subject, reason, to_timestamp(expires_at), clock_timestamp()
    from json_to_recordset($1::json) as added (scope text, id text, subject uuid, reason text, expires_at float8)`,
  [JSON.stringify(rows)])
}

/** The record, as the projector and the checks of markers use it. */
export interface RevocationRecord {
  /**
   * Returns the end of the record: the last position that was given out. The newest ones may not be committed yet.
   * Every revocation whose request was answered is at or before it.
   */
  readHead (): Promise<Head>
  /**
   * Returns the end of the record, and the committed revocations after a position, expired ones included. Goes back at
   * most {@link maxPositionsBehind} positions from the end: earlier revocations are missing from the result.
   *
   * @param ids only the revocations with one of these ids, compared without hyphens; all when it is left out
   */
  readAfter (position: number, ids?: readonly string[]): Promise<RecordAfter>
  /**
   * Reads the end of the record, waits until every position up to it is committed or rolled back, and returns it. No
   * writer waits for this. Rejects if a writer takes longer than two seconds.
   */
  settleHead (): Promise<Head>
  /**
   * Records in `marked` that the marker will be moved to a position. Call it before the move. Resolves to false, and
   * records nothing, if the record has another id by now, or does not reach that position: Postgres was restored, or
   * failed over.
   */
  willMark (position: RecordPosition): Promise<boolean>
  /**
   * Returns the live rows among the next `limit` rows of a range, in order. A row is live if a replica could still
   * accept its token. `next` is the position after which to go on; undefined if there are no more rows.
   */
  readLive (range: PositionRange, limit: number): Promise<{ rows: RecordRow[], next: number | undefined }>
  /** Counts the rows of a range, expired ones included. */
  countRows (range: PositionRange): Promise<number>
  /** Reads the clock of Postgres, in milliseconds since the epoch. */
  readClock (): Promise<number>
  /** Returns every id that the record has had, the present one first. */
  listNames (): Promise<string[]>
  /** Returns true if the record has a revocation of this token, not of its session. */
  hasToken (jti: string): Promise<boolean>
  /**
   * Gives the record a new id, so that no marker of the old one counts any more. Resolves to false, and does nothing,
   * if its id is not `from`.
   */
  rename (from: string): Promise<boolean>
  /** Takes or renews the lease of the projector. Resolves to false while another replica holds it. */
  lease (holder: string, seconds: number): Promise<boolean>
  /** Releases the lease, if this holder has it. */
  release (holder: string): Promise<void>
}

/**
 * Creates the access to the record, in a database that has its tables.
 *
 * @param leewaySeconds by how many seconds clocks may differ
 */
export function createRevocationRecord (database: SqlDatabase, leewaySeconds: number): RevocationRecord {
  return {
    readHead: () => readHead(database),
    readAfter: (position, ids) => readAfter(database, position, ids),
    // In one transaction, and so on one server. After a failover the answers of two servers would not fit together.
    settleHead: () => database.transaction(async sql => {
      const head = await readHead(sql)
      await waitForWriters(sql)
      return head
    }),
    readLive: (range, limit) => readLive(database, leewaySeconds, range, limit),
    async countRows ({ after, upTo }) {
      const [row] = await database.query<{ count: number }>(
        'select count(*)::int as count from revocations where position > $1::bigint and position <= $2::bigint',
        [after, upTo]
      )
      return row?.count ?? 0
    },
    async readClock () {
      const [row] = await database.query<{ now_ms: number }>(
        'select (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms'
      )
      return Math.floor(row?.now_ms ?? NaN)
    },
    async listNames () {
      const rows = await database.query<{ id: string }>('select id from revocation_logs order by number desc')
      return rows.map(({ id }) => id)
    },
    async hasToken (jti) {
      const found = await database.query("select 1 from revocations where id = $1 and scope = 'token' limit 1", [jti])
      return found.length > 0
    },
    // A transaction of ours is durable once it is committed. The marker may only be moved after that.
    willMark: ({ recordId, position }) => database.transaction(async sql => {
      const marked = await sql.query(`update revocation_logs set marked = greatest(marked, $1::bigint)
        where id = $2::uuid and number = (select max(number) from revocation_logs)
        and $1::bigint <= (select case when is_called then last_value else 0 end from revocations_position_seq)
        returning id`, [position, recordId])
      return marked.length > 0
    }),
    rename: from => database.transaction(async sql => {
      await sql.query('lock table revocation_logs in exclusive mode')
      if ((await readHead(sql)).recordId !== from) return false
      await sql.query('insert into revocation_logs (id, created_at) values ($1::uuid, clock_timestamp())', [
        randomUUID()
      ])
      return true
    }),
    async lease (holder, seconds) {
      const taken = await database.query(`update revocation_tail
        set holder = $1::uuid, held_until = clock_timestamp() + make_interval(secs => $2::float8)
        where holder = $1::uuid or held_until < clock_timestamp() returning holder`, [holder, seconds])
      return taken.length > 0
    },
    async release (holder) {
      await database.query("update revocation_tail set held_until = 'epoch' where holder = $1::uuid", [holder])
    }
  }
}

async function readHead (sql: Sql): Promise<Head> {
  const [head] = await sql.query<{ id: string, marked: number, position: number }>(`select log.id, log.marked::float8,
    (select case when is_called then last_value else 0 end from revocations_position_seq)::float8 as position
    from revocation_logs log order by log.number desc limit 1`)
  if (head === undefined) throw new Error('The record of revocations has no id.')
  return { recordId: head.id, position: head.position, marked: head.marked }
}

/**
 * Reads the sequence in the same statement as the rows, but not from the same snapshot. So the sequence may be ahead of
 * the rows, by revocations that are not committed yet. It is never behind them.
 */
async function readAfter (sql: Sql, position: number, ids?: readonly string[]): Promise<RecordAfter> {
  // One parameter for all ids: a statement has at most 65,535 of them.
  const among =
    ids === undefined
      ? 'true'
      : "replace(id, '-', '') in (select replace(name, '-', '') from json_array_elements_text($3::json) as name)"
  type Found = { id: string, marked: number, position: number, recent: Array<[RevocationScope, string, number]> }
  const [found] = await sql.query<Found>(`with head as materialized (
      select case when is_called then last_value else 0 end as position from revocations_position_seq
    ), log as (select id, marked from revocation_logs order by number desc limit 1)
    select log.id, log.marked::float8, head.position::float8 as position, (
      select coalesce(json_agg(json_build_array(scope, id, extract(epoch from clock_timestamp() - created_at))), '[]')
      from (select scope, id, created_at from revocations
        where position > greatest($1::bigint, head.position - $2::bigint) and ${among}) as recent) as recent
    from log, head`, [position, maxPositionsBehind, ...ids === undefined ? [] : [JSON.stringify(ids)]])
  if (found === undefined) throw new Error('The record of revocations has no id.')
  const recent = found.recent.map(([scope, id, ageSeconds]) => ({ scope, id, ageSeconds }))
  return { recordId: found.id, position: found.position, marked: found.marked, recent }
}

/**
 * The inner query only orders by position. With more conditions, and no statistics yet after many logouts at once,
 * Postgres would sort all rows for each page. One JSON row for a page is five times as fast as a row for each
 * revocation.
 */
async function readLive (
  sql: Sql,
  leewaySeconds: number,
  { after, upTo }: PositionRange,
  limit: number
): ReturnType<RevocationRecord['readLive']> {
  type Live = [position: number, scope: RevocationScope, id: string, expiresAt: number, subject: string | null]
  const rows = await sql.query<{ count: number, last: number, live: Live[] }>(`
    select count(*)::int as count, max(position)::float8 as last, coalesce(
      json_agg(json_build_array(position, scope, id, date_part('epoch', expires_at), subject) order by position)
      filter (where position <= $1::bigint
        and expires_at + make_interval(secs => $2::float8) > statement_timestamp()), '[]') as live
    from (select * from revocations where position > $3::bigint order by position limit $4::int) as revocations`,
  [upTo, entryMarginSeconds(leewaySeconds), after, rowLimit(limit)])
  const { count, last, live } = rows[0] ?? { count: 0, last: 0, live: [] }
  return {
    rows: live.map(([position, scope, id, expiresAt, subject]) => ({
      position,
      scope,
      id,
      expiresAt,
      ...(subject !== null && { subject })
    })),
    next: count === limit && last < upTo ? last : undefined
  }
}
