import { sql } from 'drizzle-orm'
import type { Drizzle } from './database.ts'

/**
 * An SQL expression that reads the clock of Postgres, which all replicas share. The time is that at which the statement
 * runs, not that at which its transaction began.
 */
export const clockTimestamp = sql<Date>`clock_timestamp()`

/**
 * Reads the clock of Postgres, in a statement of its own. Call it after the rows are locked: a statement that waits for
 * a lock may return the time at which its wait began.
 */
export async function readClock (db: Drizzle): Promise<Date> {
  const { rows } = (await db.execute(sql`select (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`)) as {
    rows: Array<{ now_ms: number }>
  }
  return new Date(Math.floor(rows[0]?.now_ms ?? NaN))
}
