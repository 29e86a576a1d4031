import { rowLimit } from '../db/row-limit.ts'
import type { Sql } from '../db/sql.ts'
import { entryMarginSeconds, type Revocation, type RevocationScope } from '../entries/revocation.ts'
import { recordFormat, type RecordPosition } from './marker.ts'

/** The names of the tables of a record, as they stand in SQL. */
export interface RecordTables {
  /** The rows, in order of position. */
  revocations: string
  /** The sequence that gives out positions. */
  positions: string
  /** The ids that the record has had. */
  records: string
  /** The lease of the projector. */
  lease: string
}

/** The tables of the service. */
export const serviceTables: RecordTables = {
  revocations: 'revocations',
  positions: 'revocations_position_seq',
  records: 'records',
  lease: 'projector_lease'
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

/** A page of live rows, and the position after which to go on; undefined if there are no more rows. */
export interface LivePage {
  rows: RecordRow[]
  next: number | undefined
}

/** A revocation after a position, with its age. */
export interface RecentRevocation extends Pick<Revocation, 'scope' | 'id' | 'issuedBefore'> {
  /** By the clock of Postgres. Negative after that clock was set back. */
  ageSeconds: number
}

/** The end of the record, and the committed revocations after a position, read in one statement. */
export interface RecordAfter extends Head {
  recent: RecentRevocation[]
}

/** Thrown when a later version has written the record in a format that this one does not know. */
export class RecordFormatError extends Error {
  override readonly name = 'RecordFormatError'
  constructor (format: number) {
    super(
      `The record is in format ${format}, and this version of signout knows format ${recordFormat}: start a later version.`
    )
  }
}

/** The largest number of positions that {@link readAfter} goes back. */
export const maxPositionsBehind = 5_000

/** A row of the present record, with the end of the sequence. */
export interface HeadRow {
  id: string
  marked: number
  format: number
  position: number
}

/** Throws unless the record is there, in a format that this version knows. */
export function toHead (row: HeadRow | undefined): Head {
  if (row === undefined) throw new Error('The record of revocations has no id.')
  if (row.format !== recordFormat) throw new RecordFormatError(row.format)
  return { recordId: row.id, position: row.position, marked: row.marked }
}

/** Reads the end of the record. */
export async function readHead (sql: Sql, tables: RecordTables): Promise<Head> {
  const [row] = await sql.query<HeadRow>(`select log.id, log.marked::float8, log.format,
    (select case when is_called then last_value else 0 end from ${tables.positions})::float8 as position
    from ${tables.records} log order by log.number desc limit 1`)
  return toHead(row)
}

/**
 * Reads the sequence in the same statement as the rows, but not from the same snapshot. So the sequence may be ahead of
 * the rows, by revocations that are not committed yet. It is never behind them.
 */
export async function readAfter (
  sql: Sql, tables: RecordTables, position: number, ids?: readonly string[]
): Promise<RecordAfter> {
  // One parameter for all ids: a statement has at most 65,535 of them.
  const among =
    ids === undefined
      ? 'true'
      : "replace(id, '-', '') in (select replace(name, '-', '') from json_array_elements_text($3::json) as name)"
  type Found = HeadRow & { recent: Recent[] }
  type Recent = [scope: RevocationScope, id: string, ageSeconds: number, issuedBefore: number | null]
  const [found] = await sql.query<Found>(`with head as materialized (
      select case when is_called then last_value else 0 end as position from ${tables.positions}
    ), log as (select id, marked, format from ${tables.records} order by number desc limit 1)
    select log.id, log.marked::float8, log.format, head.position::float8 as position, (
      select coalesce(json_agg(json_build_array(scope, id, extract(epoch from clock_timestamp() - created_at),
        date_part('epoch', issued_before))), '[]')
      from (select scope, id, created_at, issued_before from ${tables.revocations}
        where position > greatest($1::bigint, head.position - $2::bigint) and ${among}) as recent) as recent
    from log, head`, [position, maxPositionsBehind, ...ids === undefined ? [] : [JSON.stringify(ids)]])
  const head = toHead(found)
  const recent = (found?.recent ?? []).map(([scope, id, ageSeconds, issuedBefore]) => ({
    scope,
    id,
    ageSeconds,
    ...issuedBefore !== null && { issuedBefore }
  }))
  return { ...head, recent }
}

/**
 * The inner query only orders by position. With more conditions, and no statistics yet after many logouts at once,
 * Postgres would sort all rows for each page. One JSON row for a page is five times as fast as a row for each
 * revocation.
 */
export async function readLive (
  sql: Sql,
  tables: RecordTables,
  leewaySeconds: number,
  { after, upTo }: PositionRange,
  limit: number
): Promise<LivePage> {
  type Live = [
    position: number,
    scope: RevocationScope,
    id: string,
    // `Infinity` comes as a text, because JSON has no such number.
    expiresAt: number | string,
    subject: string | null,
    issuedBefore: number | null
  ]
  const rows = await sql.query<{ count: number, last: number, live: Live[] }>(`
    select count(*)::int as count, max(position)::float8 as last, coalesce(
      json_agg(json_build_array(position, scope, id, date_part('epoch', expires_at), subject,
        date_part('epoch', issued_before)) order by position)
      filter (where position <= $1::bigint
        and expires_at + make_interval(secs => $2::float8) > statement_timestamp()), '[]') as live
    from (
      select * from ${tables.revocations} where position > $3::bigint order by position limit $4::int
    ) as revocations`,
  [upTo, entryMarginSeconds(leewaySeconds), after, rowLimit(limit)])
  const { count, last, live } = rows[0] ?? { count: 0, last: 0, live: [] }
  return {
    rows: live.map(([position, scope, id, expiresAt, subject, issuedBefore]) => ({
      position,
      scope,
      id,
      expiresAt: Number(expiresAt),
      ...(subject !== null && { subject }),
      ...(issuedBefore !== null && { issuedBefore })
    })),
    next: count === limit && last < upTo ? last : undefined
  }
}
