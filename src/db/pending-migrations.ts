import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import type { Drizzle } from './database.ts'
import { migrationsFolder } from './migrations-folder.ts'

/** How many migrations Drizzle's migrator would apply, by its own rule: those that are later than the last one applied. */
export async function countPendingMigrations (db: Drizzle): Promise<number> {
  const appliedUpTo = await findLastApplied(db)
  return readMigrationFiles({ migrationsFolder }).filter(({ folderMillis }) => folderMillis > appliedUpTo).length
}

async function findLastApplied (db: Drizzle): Promise<number> {
  const { rows: [table] } = await db.execute(sql`select to_regclass('drizzle.__drizzle_migrations') is not null as known`) as { rows: Array<{ known: boolean }> }
  if (table?.known !== true) return -Infinity
  const { rows: [last] } = await db.execute(sql`select max(created_at)::float8 as at from drizzle.__drizzle_migrations`) as { rows: Array<{ at: number | null }> }
  return last?.at ?? -Infinity
}
