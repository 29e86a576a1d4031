import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import type { Pool } from 'pg'
import { readClockOf, type ClockReading } from '../../clocks/clock-reading.ts'
import { describeUrl } from '../../input/describe-url.ts'
import { readClock } from '../clock.ts'
import { createDatabase, readReadOnly, type Database, type Drizzle, type RunTransaction } from '../database.ts'
import { explain, explainPostgresError } from './connect-error.ts'
import { applyMigrations, listPendingMigrations, refuseOlderTables } from '../migrator.ts'
import { createPool, deadlineSettings, openPool } from './pool.ts'
import { createPostgresTransaction } from './transaction.ts'

export interface PostgresOptions {
  /** `postgres://` or `postgresql://` */
  url: string
  /** Bounds connecting, a statement, and waiting for a lock, each, in milliseconds. */
  deadlineMs: number
  /** False to refuse tables that are not up to date, instead of migrating them. Defaults to true. */
  migrates?: boolean
  /** Called when an idle connection is lost. The pool opens another one when it needs it. */
  onConnectionLost?: (error: Error) => void
  /** Called with each error that says that Postgres cannot answer now. */
  onUnavailable?: (error: unknown) => void
}

const poolSize = 10
/** The longest time for the migrations, in milliseconds. Replicas that start together migrate one after another. */
const migrationDeadlineMs = 60_000

/**
 * Connects to Postgres and brings its tables up to date. Rejects with an `OutageError` when Postgres cannot be
 * reached now, and with a `StartupError` when waiting does not help, or when it must not migrate older tables.
 *
 * Postgres enforces the deadline on statements, locks and idle transactions. The driver enforces it too, for a server
 * that is stalled or unreachable, and then closes the connection.
 *
 * Nothing here relies on a session of Postgres. Behind a pooler in transaction mode, each transaction may get another
 * session. If the connections do not keep the deadlines, every query gets a transaction that sets them. That costs two
 * more round trips to the pooler.
 */
export async function openPostgres (options: PostgresOptions): Promise<Database> {
  const { url, deadlineMs } = options
  if (options.migrates ?? true) await migratePostgres(options)
  else refuseOlderTables(await findMissing(options), { variable: 'DATABASE_URL', where: describeUrl(url) })
  const { pool, perTransaction } = await openPool({
    url,
    name: 'signout',
    max: poolSize,
    connectDeadlineMs: deadlineMs,
    answerDeadlineMs: deadlineMs
  }, deadlineSettings(deadlineMs)).catch(cause => { throw explainPostgresError(url, cause) })
  pool.on('error', error => { options.onConnectionLost?.(error) })
  const isPooled = Object.keys(perTransaction).length > 0
  const transaction = createPostgresTransaction(pool, perTransaction)
  const db = drizzle({ client: pool })
  return createDatabase({
    run: isPooled ? work => transaction(async db => await work(db)) : work => work(db),
    description: `Postgres at ${describeUrl(url)}${isPooled ? ', through a pooler that does not keep settings' : ''}`,
    readPool: () => ({
      idle: pool.idleCount,
      busy: pool.totalCount - pool.idleCount,
      max: poolSize,
      waiting: pool.waitingCount
    }),
    transaction,
    close: () => pool.end(),
    onUnavailable: options.onUnavailable
  })
}

/** Brings the tables up to date. Returns the names of the migrations. Rejects as {@link openPostgres} does. */
export async function migratePostgres ({ url, deadlineMs }: PostgresOptions): Promise<string[]> {
  return await withConnection({ url, deadlineMs, statementDeadlineMs: migrationDeadlineMs }, async transaction => {
    try {
      return await applyMigrations(transaction, migrationDeadlineMs)
    } catch (cause) {
      throw explain(
        cause,
        reason => `DATABASE_URL: the tables at ${describeUrl(url)} cannot be brought up to date (${reason}).`
      )
    }
  })
}

/** The state of a Postgres. */
export interface PostgresFindings {
  /** The names of the migrations that are missing. */
  pendingMigrations: string[]
  /** Every id that its record of revocations has had; empty while there is no record. */
  recordIds: string[]
  clock: ClockReading
  /** True if it refuses writes: it is a standby, or its settings say so. */
  isReadOnly: boolean
}

/** Reads the state of a Postgres, and writes nothing. Rejects as {@link openPostgres} does. */
export async function inspectPostgres (options: PostgresOptions): Promise<PostgresFindings> {
  return await readFrom(options, inspect)
}

/** Returns the names of the migrations that are missing. Writes nothing. Rejects as {@link openPostgres} does. */
export async function findMissing (options: PostgresOptions): Promise<string[]> {
  return await readFrom(options, listPendingMigrations)
}

async function readFrom<T> ({ url, deadlineMs }: PostgresOptions, read: (db: Drizzle) => Promise<T>): Promise<T> {
  return await withConnection({ url, deadlineMs, statementDeadlineMs: deadlineMs }, async transaction => {
    try {
      return await transaction(read)
    } catch (cause) {
      throw explain(cause, reason => `DATABASE_URL: ${describeUrl(url)} cannot be read (${reason}).`)
    }
  })
}

async function inspect (db: Drizzle): Promise<PostgresFindings> {
  const pendingMigrations = await listPendingMigrations(db)
  // Before the migrations, the table may have the name that it had in the release before.
  const { rows: [record] } = (await db.execute(
    sql`select coalesce(to_regclass('records'), to_regclass('revocation_logs'))::text as name`
  )) as { rows: Array<{ name: string | null }> }
  const table = record?.name ?? undefined
  const ids = table === undefined ? [] : await readIds(db, table)
  const clock = await readClockOf(async () => (await readClock(db)).getTime(), () => performance.now())
  return { pendingMigrations, recordIds: ids, clock, isReadOnly: await readReadOnly(db) }
}

async function readIds (db: Drizzle, table: string): Promise<string[]> {
  const { rows } = (await db.execute(sql`select id from ${sql.identifier(table)}`)) as { rows: Array<{ id: string }> }
  return rows.map(({ id }) => id)
}

/**
 * Opens a connection of the pool. Rejects also where the driver throws, such as for a certificate that cannot be read.
 */
async function openOne (pool: Pool): Promise<void> {
  const client = await pool.connect()
  client.release()
}

/** Opens one connection, which any pooler accepts: each transaction sets the deadlines. Closes it after the work. */
async function withConnection<T> (
  { url, deadlineMs, statementDeadlineMs }: PostgresOptions & { statementDeadlineMs: number },
  work: (transaction: RunTransaction) => Promise<T>
): Promise<T> {
  const pool = createPool({
    url,
    name: 'signout migration',
    max: 1,
    connectDeadlineMs: deadlineMs,
    answerDeadlineMs: statementDeadlineMs
  })
  try {
    await openOne(pool).catch(cause => { throw explainPostgresError(url, cause) })
    return await work(createPostgresTransaction(pool, deadlineSettings(statementDeadlineMs)))
  } finally {
    // Not awaited: a stalled server must not delay the start.
    pool.end().catch(() => {})
  }
}
