import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import type { Sql } from '../../db/sql.ts'
import { entryKey, entryMarginSeconds, type Revocation } from '../../entries/revocation.ts'
import { barrier, writersDeadlineMs } from '../barrier.ts'
import { recordFormat } from '../marker.ts'
import { toHead, type Head, type HeadRow, type RecordRow, type RecordTables } from '../queries.ts'
import { createRecordStatements, type RevocationRecord } from '../record.ts'

/**
 * A record that needs no transaction: each method is one statement, or several that check that one server answered
 * them. So it works through any pool.
 */
export interface PooledRecord extends RevocationRecord {
  /** Adds revocations, durably. Those whose tokens can no longer be accepted are left out. */
  append (revocations: readonly Revocation[]): Promise<void>
  /**
   * Adds the revocation of every token that was issued until now: of a subject, or of everyone. Returns the revocation,
   * with the instant: the clock of Postgres plus the leeway, in the next whole second. Rejects with a TypeError if a
   * subject is not a text of 1 to 255 characters.
   *
   * @param id the subject, or `everyone`
   * @param lifetimeSeconds the longest lifetime of a token
   */
  appendCutOff (scope: 'subject' | 'everyone', id: string, lifetimeSeconds: number): Promise<Revocation>
  /** Deletes rows whose tokens can no longer be accepted, at most 500. Resolves to true if there may be more. */
  prune (): Promise<boolean>
}

/** The pause before the next look at the writers, in milliseconds. */
const lookAgainMs = 20
const pruneBatch = 500

/**
 * Takes the barrier as the first step of a statement that adds rows. Each of them is joined with it, and gets its
 * position after that: the sequence is asked for the rows that the join has returned.
 */
const withBarrier = `with barrier as materialized (select pg_advisory_xact_lock_shared(${barrier}::bigint))`

/** Creates the access to a record through statements alone. */
export function createPooledRecord (sql: Sql, tables: RecordTables, leewaySeconds: number): PooledRecord {
  const statements = createRecordStatements(sql, tables, leewaySeconds)
  const marginSeconds = entryMarginSeconds(leewaySeconds)
  const columns = '(scope, id, subject, issued_before, expires_at, created_at)'
  return {
    ...statements,
    async readAfter (position, ids) {
      const found = await statements.readAfter(position, ids?.map(toText))
      return { ...found, recent: found.recent.map(row => ({ ...row, id: toId(row.id) })) }
    },
    async readLive (range, limit) {
      const page = await statements.readLive(range, limit)
      return { ...page, rows: page.rows.map(decodeRow) }
    },
    settleHead: recordId => settleHead(sql, tables, recordId),
    async rename (from) {
      // Of several at once, one has a successor of `from` committed first.
      const renamed = await sql.query(`insert into ${tables.records} (id, format, successor_of, created_at)
        select $1::uuid, $2::int, $3::uuid, clock_timestamp()
        where $3::uuid = (select id from ${tables.records} order by number desc limit 1)
        on conflict (successor_of) do nothing returning id`, [randomUUID(), recordFormat, from])
      return renamed.length > 0
    },
    async append (revocations) {
      if (revocations.length === 0) return
      await sql.query(`${withBarrier} insert into ${tables.revocations} ${columns}
        select scope, id, subject, to_timestamp(issued_before), coalesce(to_timestamp(expires_at), 'infinity'),
          clock_timestamp()
        from barrier, json_to_recordset($1::json) as added (scope text, id text, subject text, issued_before float8,
          expires_at float8)
        where coalesce(expires_at, 'infinity') + $2::float8 > extract(epoch from clock_timestamp())`,
      [JSON.stringify(revocations.map(toRow)), marginSeconds])
    },
    async appendCutOff (scope, id, lifetimeSeconds) {
      entryKey(scope, id)
      const subject = scope === 'subject' ? id : undefined
      const [row] = await sql.query<{ before: number }>(`${withBarrier},
        instant as materialized (
          select floor(extract(epoch from clock_timestamp()) + $1::float8) + 1 as before from barrier
        )
        insert into ${tables.revocations} ${columns}
        select $2::text, $3::text, $4::text, to_timestamp(before),
          case when $4::text is null then 'infinity' else to_timestamp(before + $5::float8) end, clock_timestamp()
        from instant returning date_part('epoch', issued_before) as before`,
      [leewaySeconds, scope, toText(id), subject === undefined ? null : toText(subject), lifetimeSeconds])
      const issuedBefore = Number(row?.before)
      return {
        scope,
        id,
        expiresAt: subject === undefined ? Infinity : issuedBefore + lifetimeSeconds,
        issuedBefore,
        ...subject !== undefined && { subject }
      }
    },
    async prune () {
      const deleted = await sql.query(`delete from ${tables.revocations} where position in (
        select position from ${tables.revocations}
        where expires_at < statement_timestamp() - make_interval(secs => $1::float8)
        limit ${pruneBatch} for update skip locked
      ) returning position`, [marginSeconds])
      return deleted.length === pruneBatch
    }
  }
}

/** Returns a revocation as the row that is sent to Postgres. */
function toRow ({ scope, id, subject, expiresAt, issuedBefore }: Revocation): object {
  return {
    scope,
    id: toText(id),
    subject: subject === undefined ? undefined : toText(subject),
    // JSON has no Infinity.
    expires_at: Number.isFinite(expiresAt) ? expiresAt : null,
    issued_before: issuedBefore
  }
}

/**
 * Returns an id as a text that Postgres can store: it has no U+0000, and no half of a surrogate pair. Ids may have
 * both, and a token with such an id must be revocable.
 */
function toText (id: string): string {
  return id.replace(/[%\0]|\p{Surrogate}/gu, char => `%${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

function toId (text: string): string {
  return text.replace(/%([0-9a-f]{4})/g, (_, code: string) => String.fromCharCode(parseInt(code, 16)))
}

function decodeRow ({ subject, ...row }: RecordRow): RecordRow {
  return { ...row, id: toId(row.id), ...subject !== undefined && { subject: toId(subject) } }
}

/** The head, and the transactions that held the barrier after it was read. */
interface Settling extends HeadRow {
  writers: string[]
  /** When the server started, which tells two servers apart. */
  server: string
}

const server = 'extract(epoch from pg_postmaster_start_time())::text'

/**
 * Does what `RevocationRecord.settleHead` says. After a failover the answers of two servers would not fit together, so
 * all of them must be of one server: otherwise it resolves to undefined, and the projector starts over.
 */
async function settleHead (sql: Sql, tables: RecordTables, recordId: string): Promise<Head | undefined> {
  const first = await readSettling(sql, tables)
  const head = toHead(first)
  if (first === undefined || head.recordId !== recordId) return undefined
  const giveUpAt = performance.now() + writersDeadlineMs
  let writers = first.writers
  while (writers.length > 0) {
    if (performance.now() > giveUpAt) {
      throw new Error(`A statement has been adding revocations for more than ${writersDeadlineMs / 1000} s.`)
    }
    await setTimeout(lookAgainMs)
    const now = await readSettling(sql, tables)
    if (now?.server !== first.server) return undefined
    writers = writers.filter(writer => now.writers.includes(writer))
  }
  const marked = await sql.query(`update ${tables.records} set marked = greatest(marked, $1::bigint)
    where id = $2::uuid and number = (select max(number) from ${tables.records}) and format = $3::int
      and ${server} = $4::text returning id`, [head.position, recordId, recordFormat, first.server])
  return marked.length > 0 ? head : undefined
}

/**
 * Reads the head, and then the transactions that hold the barrier, in one statement. The list is correlated with the
 * head, so that it is made after the sequence was read. Postgres releases a lock after others can see the commit.
 */
async function readSettling (sql: Sql, tables: RecordTables): Promise<Settling | undefined> {
  const [row] = await sql.query<Settling>(`with head as materialized (
      select case when is_called then last_value else 0 end as position from ${tables.positions}
    )
    select log.id, log.marked::float8, log.format, head.position::float8 as position, ${server} as server, (
      select coalesce(json_agg(virtualtransaction), '[]') from pg_locks
      where locktype = 'advisory' and classid = 0 and objid = $1::oid and objsubid = 1 and granted
        and database = (select oid from pg_database where datname = current_database()) and head.position >= 0
    ) as writers
    from head, (select * from ${tables.records} order by number desc limit 1) as log`, [barrier])
  return row
}
