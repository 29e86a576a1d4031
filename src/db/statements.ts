import { sql } from 'drizzle-orm'
import type { Database, Drizzle } from './database.ts'
import type { Sql, SqlDatabase } from './sql.ts'

/** Returns an {@link Sql} that runs statements through Drizzle, in its transaction if it is in one. */
export function sqlOf (db: Drizzle): Sql {
  return {
    async query<Row extends object> (text: string, values: readonly unknown[] = []) {
      const parts = text.split(/\$(\d+)/)
      const chunks = parts.map((part, index) => index % 2 === 0 ? sql.raw(part) : sql`${values[Number(part) - 1]}`)
      const { rows } = await db.execute(sql.join(chunks)) as unknown as { rows: Row[] }
      return rows
    }
  }
}

/** Returns an {@link SqlDatabase} on the database of the service. It rejects as {@link Database} does. */
export function sqlDatabaseOf (database: Database): SqlDatabase {
  return {
    query: (text, values) => database.run(db => sqlOf(db).query(text, values)),
    transaction: work => database.transaction(db => work(sqlOf(db)))
  }
}
