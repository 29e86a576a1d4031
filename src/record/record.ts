import { randomUUID } from 'node:crypto'
import type { Sql, SqlDatabase } from '../db/sql.ts'
import { waitForWriters } from './barrier.ts'
import { recordFormat } from './marker.ts'
import {
  readAfter, readHead, readLive, serviceTables, type Head, type LivePage, type PositionRange, type RecordAfter,
  type RecordTables
} from './queries.ts'

export type { Head, LivePage, PositionRange, RecentRevocation, RecordAfter, RecordRow } from './queries.ts'

/**
 * The record, as the projector and the checks of markers use it. The methods that return its end reject with a
 * `RecordFormatError` if a later version has written it in another format.
 */
export interface RevocationRecord {
  /**
   * Returns the end of the record: the last position that was given out. The newest ones may not be committed yet.
   * Every revocation whose request was answered is at or before it.
   */
  readHead (): Promise<Head>
  /**
   * Returns the end of the record, and the committed revocations after a position, expired ones included. Goes back at
   * most `maxPositionsBehind` positions from the end: earlier revocations are missing from the result.
   *
   * @param ids only the revocations with one of these ids, compared without hyphens; all when it is left out
   */
  readAfter (position: number, ids?: readonly string[]): Promise<RecordAfter>
  /**
   * Reads the end of the record, waits until every position up to it is committed or rolled back, and records in
   * `marked` that the marker will be moved there. Returns that end. Call it before the move. No writer waits for this.
   *
   * Resolves to undefined, and records nothing, if the record has another id by now: Postgres was restored. Rejects if
   * a writer takes longer than two seconds.
   */
  settleHead (recordId: string): Promise<Head | undefined>
  /**
   * Returns the live rows among the next `limit` rows of a range, in order. A row is live if a replica could still
   * accept its token. `next` is the position after which to go on; undefined if there are no more rows.
   */
  readLive (range: PositionRange, limit: number): Promise<LivePage>
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
 * Creates the access to the record of the service, in a database that has its tables.
 *
 * @param leewaySeconds by how many seconds clocks may differ
 */
export function createRevocationRecord (database: SqlDatabase, leewaySeconds: number): RevocationRecord {
  return {
    ...createRecordStatements(database, serviceTables, leewaySeconds),
    // In one transaction, and so on one server: after a failover the answers of two servers would not fit together. It
    // is durable once it is committed. The marker may only be moved after that.
    settleHead: recordId => database.transaction(async sql => {
      const head = await readHead(sql, serviceTables)
      await waitForWriters(sql)
      const marked = await sql.query(`update records set marked = greatest(marked, $1::bigint)
        where id = $2::uuid and number = (select max(number) from records) and format = $3::int
        returning id`, [head.position, recordId, recordFormat])
      return head.recordId === recordId && marked.length > 0 ? head : undefined
    }),
    rename: from => database.transaction(async sql => {
      await sql.query('lock table records in exclusive mode')
      if ((await readHead(sql, serviceTables)).recordId !== from) return false
      await sql.query('insert into records (id, format, created_at) values ($1::uuid, $2::int, clock_timestamp())', [
        randomUUID(),
        recordFormat
      ])
      return true
    })
  }
}

/** Creates the methods of a record that are one statement each, and need no transaction. */
export function createRecordStatements (
  database: Sql, tables: RecordTables, leewaySeconds: number
): Omit<RevocationRecord, 'settleHead' | 'rename'> {
  return {
    readHead: () => readHead(database, tables),
    readAfter: (position, ids) => readAfter(database, tables, position, ids),
    readLive: (range, limit) => readLive(database, tables, leewaySeconds, range, limit),
    async countRows ({ after, upTo }) {
      const [row] = await database.query<{ count: number }>(
        `select count(*)::int as count from ${tables.revocations}
          where position > $1::bigint and position <= $2::bigint`,
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
      const rows = await database.query<{ id: string }>(`select id from ${tables.records} order by number desc`)
      return rows.map(({ id }) => id)
    },
    async hasToken (jti) {
      const found = await database.query(
        `select 1 from ${tables.revocations} where id = $1 and scope = 'token' limit 1`, [jti]
      )
      return found.length > 0
    },
    async lease (holder, seconds) {
      const taken = await database.query(`update ${tables.lease}
        set holder = $1::uuid, held_until = clock_timestamp() + make_interval(secs => $2::float8)
        where holder = $1::uuid or held_until < clock_timestamp() returning holder`, [holder, seconds])
      return taken.length > 0
    },
    async release (holder) {
      await database.query(`update ${tables.lease} set held_until = 'epoch' where holder = $1::uuid`, [holder])
    }
  }
}
