import { sql } from 'drizzle-orm'
import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { SignoutError } from '../errors.ts'
import { toDatabaseError } from './database-errors.ts'

/** Drizzle over Postgres or over PGlite, inside a transaction or outside: one type for all. */
export type Drizzle = PgDatabase<PgQueryResultHKT>

/** Runs work in a transaction of its own: commits when it resolves, rolls back when it rejects. */
export type RunTransaction = <T>(work: (db: Drizzle) => Promise<T>) => Promise<T>

/** The door to the database. */
export interface Database {
  /** What it is, for people; never holds a password. */
  readonly description: string
  /**
   * Runs a query, or several, each within the database's deadline. Behind a pooler they share a transaction, so after a
   * query that failed no other one succeeds.
   *
   * Rejects with `service_unavailable` when the database cannot answer now, and with a {@link DatabaseError} when
   * it refuses the query. Neither holds the query's parameters, as Drizzle's own errors do.
   */
  run<T> (query: (db: Drizzle) => PromiseLike<T>): Promise<T>
  /**
   * Runs work in one transaction: all of it is committed, durably, or none. Every statement, and every lock that it
   * waits for, is bounded by the database's deadline, and so is the time between statements.
   *
   * Rejects as `run` does, or with what the work itself throws, in which case nothing was committed. When a commit was
   * not confirmed it may have happened: that is `service_unavailable` too.
   */
  transaction: RunTransaction
  /**
   * Resolves if rows can be written now, within the database's deadline. Rejects with `service_unavailable` otherwise:
   * after a failover, connections may lead to a standby, which can be read and not written.
   */
  checkWritable (): Promise<void>
  /** Releases the connections, once queries that are under way are finished. May be called again. */
  close (): Promise<void>
}

/** The database can be read and not written. */
export class ReadOnlyError extends Error {
  override readonly name = 'ReadOnlyError'

  constructor () {
    super(
      'The database is read-only: it may be a standby. Name the primary, or turn default_transaction_read_only off.'
    )
  }
}

/** Returns whether Postgres refuses writes: because it is a standby, or because it is set so. */
export async function readReadOnly (db: Drizzle): Promise<boolean> {
  const { rows } = (await db.execute(
    sql`select current_setting('transaction_read_only') <> 'off' as is_read_only`
  )) as unknown as { rows: Array<{ is_read_only: boolean }> }
  return rows[0]?.is_read_only !== false
}

export interface DatabaseParts {
  /** Hands the work what it queries with. It need not be a transaction. */
  run: <T>(work: (db: Drizzle) => PromiseLike<T>) => PromiseLike<T>
  description: string
  transaction: RunTransaction
  close: () => Promise<void>
}

/** Makes the door to what is below it. */
export function createDatabase ({ run, description, transaction, close }: DatabaseParts): Database {
  let closing: Promise<void> | undefined
  return {
    description,
    async run (query) {
      try {
        return await run(query)
      } catch (error) {
        throw toDatabaseError(error)
      }
    },
    async transaction (work) {
      try {
        return await transaction(work)
      } catch (error) {
        throw toDatabaseError(error)
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
