import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import pg from 'pg'
import { AwayError, StartupError } from '../errors.ts'
import { readClockOf, type ClockReading } from '../clocks/clock-reading.ts'
import { describeUrl } from '../describe-url.ts'
import { readClock } from './clock.ts'
import { createDatabase, readReadOnly, type Database } from './database.ts'
import { deepestCause, isAway } from './away.ts'
import { migrationsFolder } from './migrations-folder.ts'
import { countPendingMigrations } from './pending-migrations.ts'
import { createPostgresTransaction } from './postgres-transaction.ts'
import { revocationLogs } from './tables.ts'

export interface PostgresOptions {
  /** `postgres://` or `postgresql://` */
  url: string
  /** Bounds connecting, a statement, and waiting for a lock, each, in milliseconds. */
  deadlineMs: number
  /** Called when an idle connection is lost. The pool makes another one when it needs it. */
  onConnectionLost?: (error: Error) => void
}

const poolSize = 10
/** Replicas that start together migrate one after another. */
const migrationDeadlineMs = 60_000
/** Any number will do, as long as no other application in the same database uses it for an advisory lock. */
const migrationLock = 7_366_719

/**
 * Connects to Postgres and brings its tables up to date. Throws an {@link AwayError} when it cannot be reached now, and a
 * {@link StartupError} for what would be the same at any other time.
 *
 * The server enforces the deadline on statements, locks and idle transactions. `query_timeout` enforces it here too,
 * for a server that is stalled or gone; a connection on which that happened is thrown away.
 */
export async function openPostgres (options: PostgresOptions): Promise<Database> {
  const { url, deadlineMs } = options
  await migratePostgres(options)
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'signout',
    max: poolSize,
    keepAlive: true,
    connectionTimeoutMillis: deadlineMs,
    query_timeout: deadlineMs,
    statement_timeout: deadlineMs,
    lock_timeout: deadlineMs,
    idle_in_transaction_session_timeout: deadlineMs
  })
  pool.on('error', error => { options.onConnectionLost?.(error) })
  return createDatabase({
    db: drizzle({ client: pool }),
    description: `Postgres at ${describeUrl(url)}`,
    transaction: createPostgresTransaction(pool),
    close: () => pool.end()
  })
}

/** Brings the tables up to date. Answers how many migrations were applied. */
export async function migratePostgres ({ url, deadlineMs }: PostgresOptions): Promise<number> {
  const client = await connect({ url, deadlineMs }, migrationDeadlineMs)
  try {
    // Drizzle's migrator takes no lock: of ten that start on an empty database, nine would fail.
    await client.query('select pg_advisory_lock($1)', [migrationLock])
    const db = drizzle({ client })
    const pending = await countPendingMigrations(db)
    await migrate(db, { migrationsFolder })
    return pending
  } catch (cause) {
    throw explain(cause, reason => `DATABASE_URL: the tables at ${describeUrl(url)} cannot be brought up to date (${reason}).`)
  } finally {
    // Ending the session releases the lock. A stalled server must not keep the start waiting for its goodbye.
    client.end().catch(() => {})
  }
}

/** What is found in a Postgres before anything is done to it. */
export interface PostgresFindings {
  pendingMigrations: number
  /** Every name that its record of revocations has had; none while there is no such record. */
  revocationLogIds: string[]
  clock: ClockReading
  /** Whether it refuses writes: it is a standby, or set so. */
  isReadOnly: boolean
}

/** Looks at the tables, and with that whether Postgres can be reached. Writes nothing. */
export async function inspectPostgres ({ url, deadlineMs }: PostgresOptions): Promise<PostgresFindings> {
  const client = await connect({ url, deadlineMs }, deadlineMs)
  try {
    const db = drizzle({ client })
    const pendingMigrations = await countPendingMigrations(db)
    const { rows: [record] } = await client.query<{ exists: boolean }>("select to_regclass('revocation_logs') is not null as exists")
    const logs = record?.exists === true ? await db.select({ id: revocationLogs.id }).from(revocationLogs) : []
    const clock = await readClockOf(async () => (await readClock(db)).getTime(), () => performance.now())
    return { pendingMigrations, revocationLogIds: logs.map(({ id }) => id), clock, isReadOnly: await readReadOnly(db) }
  } catch (cause) {
    throw explain(cause, reason => `DATABASE_URL: ${describeUrl(url)} cannot be read (${reason}).`)
  } finally {
    client.end().catch(() => {})
  }
}

async function connect ({ url, deadlineMs }: PostgresOptions, statementDeadlineMs: number): Promise<pg.Client> {
  try {
    const client = new pg.Client({
      connectionString: url,
      application_name: 'signout migration',
      connectionTimeoutMillis: deadlineMs,
      query_timeout: statementDeadlineMs,
      statement_timeout: statementDeadlineMs
    })
    client.on('error', () => { /* The query that is under way rejects with it. */ })
    await client.connect()
    return client
  } catch (cause) {
    throw explain(cause, reason => `DATABASE_URL: cannot connect to ${describeUrl(url)} (${reason}). Start Postgres there, or correct the variable.`)
  }
}

function explain (cause: unknown, toMessage: (reason: string) => string): StartupError {
  const deepest = deepestCause(cause)
  const message = toMessage(deepest instanceof Error ? deepest.message : String(deepest))
  return isAway(cause) ? new AwayError('database', message, { cause }) : new StartupError(message, { cause })
}
