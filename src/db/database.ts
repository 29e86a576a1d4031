import type { PgDatabase, PgQueryResultHKT } from 'drizzle-orm/pg-core'
import { toDatabaseError } from './database-errors.ts'
import type * as tables from './tables.ts'

/** Drizzle over Postgres or over PGlite: one type for both. */
export type Drizzle = PgDatabase<PgQueryResultHKT, typeof tables>

/** The door to the database. */
export interface Database {
  /** What it is, for people; never holds a password. */
  readonly description: string
  /**
   * Runs a query, or several, within the database's deadline.
   *
   * Rejects with `service_unavailable` when the database cannot answer now, and with a {@link DatabaseError} when
   * it refuses the query. Neither holds the query's parameters, as Drizzle's own errors do.
   */
  run<T> (query: (db: Drizzle) => PromiseLike<T>): Promise<T>
  /** Releases the connections, once queries that are under way are finished. May be called again. */
  close (): Promise<void>
}

/** Makes the door from a Drizzle instance and the way to close what is below it. */
export function createDatabase (db: Drizzle, description: string, close: () => Promise<void>): Database {
  let closing: Promise<void> | undefined
  return {
    description,
    async run (query) {
      try {
        return await query(db)
      } catch (error) {
        throw toDatabaseError(error)
      }
    },
    close () {
      closing ??= close()
      return closing
    }
  }
}
