import pg from 'pg'

/** Settings of Postgres by name, with their values: numbers of milliseconds. */
export type ServerSettings = Readonly<Record<string, number>>

/** Returns the settings that make Postgres bound a statement, a wait for a lock, and a pause inside a transaction. */
export function deadlineSettings (deadlineMs: number) {
  return {
    statement_timeout: deadlineMs,
    lock_timeout: deadlineMs,
    idle_in_transaction_session_timeout: deadlineMs
  } satisfies ServerSettings
}

export interface PoolOptions {
  url: string
  /** The name of its connections in `pg_stat_activity`. */
  name: string
  /** The largest number of connections. */
  max: number
  /** Bounds connecting, in milliseconds. */
  connectDeadlineMs: number
  /** Bounds the wait for an answer, also when Postgres is stalled or unreachable, in milliseconds. */
  answerDeadlineMs: number
  /** The settings that a connection asks for when it opens. */
  settings?: ServerSettings
}

/**
 * Returns a URL whose `sslmode` verifies the certificate and the host name, unless it is `disable` or `no-verify`. The
 * driver does so for `prefer`, `require` and `verify-ca` too, and prints a long warning that it may not do so for ever.
 */
function withVerifiedTls (url: string): string {
  if (url.includes('uselibpqcompat=')) return url
  return url.replace(/([?&]sslmode=)(prefer|require|verify-ca)(?=&|$)/, '$1verify-full')
}

/** Creates a pool, which connects when it is first used. */
export function createPool ({
  url,
  name,
  max,
  connectDeadlineMs,
  answerDeadlineMs,
  settings = {}
}: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: withVerifiedTls(url),
    application_name: name,
    max,
    keepAlive: true,
    connectionTimeoutMillis: connectDeadlineMs,
    query_timeout: answerDeadlineMs,
    ...settings
  })
  // Without a listener, an idle connection that breaks would end the process. The next query opens another connection.
  pool.on('error', () => {})
  return pool
}

/** A pool, and the settings that each transaction on it must set, because its connections do not keep them. */
export interface OpenedPool {
  pool: pg.Pool
  perTransaction: ServerSettings
}

/**
 * Opens a pool whose connections have the settings, if possible. Postgres keeps what a connection asks for when it
 * opens. A pooler such as PgBouncer refuses to open the connection, or forgets the settings. `perTransaction` then
 * holds all of them; otherwise it is empty.
 *
 * An operator can have the settings kept behind a pooler too, with `ALTER ROLE … SET`.
 *
 * Rejects with the driver's error when Postgres cannot be reached.
 */
export async function openPool (options: PoolOptions, settings: ServerSettings): Promise<OpenedPool> {
  const pool = createPool({ ...options, settings })
  if (await areKept(pool, settings)) return { pool, perTransaction: {} }
  // Not awaited: a server that stalls now must not delay the start.
  pool.end().catch(() => {})
  return { pool: createPool(options), perTransaction: settings }
}

async function areKept (pool: pg.Pool, settings: ServerSettings): Promise<boolean> {
  try {
    const { rows } = await pool.query<{ name: string, value: number }>(
      'select name, setting::float8 as value from pg_settings where name = any($1)',
      [Object.keys(settings)]
    )
    return rows.length === Object.keys(settings).length && rows.every(({ name, value }) => settings[name] === value)
  } catch (error) {
    if (refusesSettings(error)) return false
    throw error
  }
}

/**
 * Returns true for the error with which PgBouncer, and poolers like it such as the proxy of Neon, refuse settings of a
 * connection.
 */
function refusesSettings (error: unknown): boolean {
  return /unsupported startup parameter/.test((error as Error).message)
}
