import { sql } from 'drizzle-orm'
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { SignoutError } from '../errors.ts'
import { toDatabaseError } from './database-errors.ts'

/** Drizzle over Postgres or over PGlite, inside a transaction or outside: one type for all. */
export type Drizzle = PgDatabase<PgQueryResultHKT>

/** Runs work in a transaction of its own: commits when it resolves, rolls back when it rejects. */
export type RunTransaction = <T>(work: (db: Drizzle) => Promise<T>) => Promise<T>

/** The connections of a pool to Postgres. */
export interface PoolLoad {
  /** Connections that no query uses. */
  idle: number
  /** Connections that are being opened, or are in use. */
  busy: number
  /** The largest number of connections. */
  max: number
  /** The number of queries that wait for a connection. */
  waiting: number
}

/** Access to the database of the service. */
export interface Database {
  /** A description for people. It never holds a password. */
  readonly description: string
  /** The connections at this moment. Undefined for an embedded database. */
  readonly pool: PoolLoad | undefined
  /**
   * Runs a query, or several, each within the deadline of the database. Behind a pooler they share a transaction, so
   * after a query that failed no other one succeeds.
   *
   * Rejects with `service_unavailable` when the database cannot answer now, and with a {@link DatabaseError} when it
   * refuses the query. Unlike the errors of Drizzle, neither of them holds the parameters of the query.
   */
  run<T> (query: (db: Drizzle) => PromiseLike<T>): Promise<T>
  /**
   * Runs work in one transaction: all of it is committed, durably, or nothing. The deadline of the database bounds
   * every statement, every wait for a lock, and the time between statements.
   *
   * Rejects as `run` does, or with what the work itself throws. Nothing was committed then. One exception: when a
   * commit was not confirmed it may have happened, and the error is `service_unavailable`.
   */
  transaction: RunTransaction
  /**
   * Resolves if rows can be written now. Rejects with `service_unavailable` otherwise, within the deadline of the
   * database. After a failover, connections may lead to a standby, which can only be read.
   */
  checkWritable (): Promise<void>
  /** Closes the connections, once queries that are under way are finished. Idempotent. */
  close (): Promise<void>
}

/** The database can be read but not written. */
export class ReadOnlyError extends Error {
  override readonly name = 'ReadOnlyError'

  constructor () {
    super(
      'The database is read-only: it may be a standby. Name the primary, or turn default_transaction_read_only off.'
    )
  }
}

/** Returns true if Postgres refuses writes: it is a standby, or its settings say so. */
export async function readReadOnly (db: Drizzle): Promise<boolean> {
  const { rows } = (await db.execute(
    sql`select current_setting('transaction_read_only') <> 'off' as is_read_only`
  )) as unknown as { rows: Array<{ is_read_only: boolean }> }
  return rows[0]?.is_read_only !== false
}

export interface DatabaseParts {
  /** Calls the work with a Drizzle instance, inside a transaction or not. */
  run: <T>(work: (db: Drizzle) => PromiseLike<T>) => PromiseLike<T>
  description: string
  readPool?: () => PoolLoad
  transaction: RunTransaction
  close: () => Promise<void>
  /** Called with each error that says that the database cannot answer now. */
  onUnavailable?: ((error: unknown) => void) | undefined
}

/** Creates the access to a database from the functions of its driver. */
export function createDatabase (parts: DatabaseParts): Database {
  const { run, description, readPool, transaction, close, onUnavailable } = parts
  let closing: Promise<void> | undefined

  function explain (error: unknown): unknown {
    const explained = toDatabaseError(error)
    if (explained !== error && explained instanceof SignoutError) onUnavailable?.(explained.cause)
    return explained
  }

  return {
    description,
    get pool () { return readPool?.() },
    async run (query) {
      try {
        return await run(query)
      } catch (error) {
        throw explain(error)
      }
    },
    async transaction (work) {
      try {
        return await transaction(work)
      } catch (error) {
        throw explain(error)
      }
    },
    async checkWritable () {
      if (await this.run(readReadOnly)) throw new SignoutError('service_unavailable', { cause: new ReadOnlyError() })
    },
    close () {
      closing ??= close()
      return closing
    }
  }
}
