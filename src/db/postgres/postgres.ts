import { sql } from 'drizzle-orm'
import { drizzle } from 'drizzle-orm/node-postgres'
import type { Pool } from 'pg'
import { OutageError, StartupError } from '../../errors.ts'
import { readClockOf, type ClockReading } from '../../clocks/clock-reading.ts'
import { describeUrl } from '../../input/describe-url.ts'
import { readClock } from '../clock.ts'
import { createDatabase, readReadOnly, type Database, type Drizzle, type RunTransaction } from '../database.ts'
import { deepestCause, isOutage } from './outage.ts'
import { applyMigrations, countPendingMigrations } from '../migrator.ts'
import { createPool, deadlineSettings, openPool } from './pool.ts'
import { createPostgresTransaction } from './transaction.ts'

export interface PostgresOptions {
  /** `postgres://` or `postgresql://` */
  url: string
  /** Bounds connecting, a statement, and waiting for a lock, each, in milliseconds. */
  deadlineMs: number
  /** Called when an idle connection is lost. The pool opens another one when it needs it. */
  onConnectionLost?: (error: Error) => void
}

const poolSize = 10
/** The longest time for the migrations, in milliseconds. Replicas that start together migrate one after another. */
const migrationDeadlineMs = 60_000

/**
 * Connects to Postgres and brings its tables up to date. Rejects with an {@link OutageError} when Postgres cannot be
 * reached now, and with a {@link StartupError} when waiting does not help.
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
  await migratePostgres(options)
  const { pool, perTransaction } = await openPool({
    url,
    name: 'signout',
    max: poolSize,
    connectDeadlineMs: deadlineMs,
    answerDeadlineMs: deadlineMs
  }, deadlineSettings(deadlineMs)).catch(cause => { throw cannotConnect(url, cause) })
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
    close: () => pool.end()
  })
}

/** Brings the tables up to date. Returns how many migrations were applied. Rejects as {@link openPostgres} does. */
export async function migratePostgres ({ url, deadlineMs }: PostgresOptions): Promise<number> {
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
  pendingMigrations: number
  /** Every id that its record of revocations has had; empty while there is no record. */
  recordIds: string[]
  clock: ClockReading
  /** True if it refuses writes: it is a standby, or its settings say so. */
  isReadOnly: boolean
}

/** Reads the state of a Postgres, and writes nothing. Rejects as {@link openPostgres} does. */
export async function inspectPostgres ({ url, deadlineMs }: PostgresOptions): Promise<PostgresFindings> {
  return await withConnection({ url, deadlineMs, statementDeadlineMs: deadlineMs }, async transaction => {
    try {
      return await transaction(inspect)
    } catch (cause) {
      throw explain(cause, reason => `DATABASE_URL: ${describeUrl(url)} cannot be read (${reason}).`)
    }
  })
}

async function inspect (db: Drizzle): Promise<PostgresFindings> {
  const pendingMigrations = await countPendingMigrations(db)
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
    await openOne(pool).catch(cause => { throw cannotConnect(url, cause) })
    return await work(createPostgresTransaction(pool, deadlineSettings(statementDeadlineMs)))
  } finally {
    // Not awaited: a stalled server must not delay the start.
    pool.end().catch(() => {})
  }
}

function cannotConnect (url: string, cause: unknown): StartupError {
  return explain(
    cause,
    reason =>
      `DATABASE_URL: cannot connect to ${describeUrl(url)} (${reason}). Start Postgres there, or correct the variable.`
  )
}

function explain (cause: unknown, toMessage: (reason: string) => string): StartupError {
  const deepest = deepestCause(cause)
  const message = toMessage(deepest instanceof Error ? deepest.message : String(deepest))
  return isOutage(cause) ? new OutageError('database', message, { cause }) : new StartupError(message, { cause })
}
