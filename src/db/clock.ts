import { sql } from 'drizzle-orm'
import type { Drizzle } from './database.ts'

/**
 * Postgres' clock, the one that all replicas share, read when the statement is executed and not when its transaction
 * began.
 */
export const clockTimestamp = sql<Date>`clock_timestamp()`

/**
 * What Postgres' clock says now. Asked in a statement of its own, after the rows are locked: in the statement that
 * waits for a lock it could say when the wait began.
 */
export async function readClock (db: Drizzle): Promise<Date> {
  const { rows } = (await db.execute(sql`select (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms`)) as {
    rows: Array<{ now_ms: number }>
  }
  return new Date(Math.floor(rows[0]?.now_ms ?? NaN))
}
