import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { sql } from 'drizzle-orm'
import { readMigrationFiles, type MigrationMeta } from 'drizzle-orm/migrator'
import { StartupError } from '../errors.ts'
import type { Drizzle, RunTransaction } from './database.ts'
import { migrationsFolder } from './migrations-folder.ts'

/** The number of an advisory lock. Any number will do that no other application in the same database uses. */
const migrationLock = 7_366_719
/** The average pause before a replica asks again whether another one has finished the migrations, in milliseconds. */
const retryMs = 100

/**
 * Applies the migrations that are missing, all of them or none, and returns the names of those that were missing.
 *
 * Replicas may call this at the same time: one of them migrates, the others wait. The lock belongs to a transaction. A
 * lock of a session would stay with a connection that a pooler gives to another client. Drizzle's own migrator takes no
 * lock, and would end the transaction that holds one.
 *
 * A replica that waits asks again and again instead of queueing for the lock. A queue of replicas could use up the
 * connections of a pooler that other replicas need.
 *
 * Rejects when another replica holds the lock for longer than the deadline.
 *
 * @param deadlineMs how long to wait for another replica, in milliseconds
 */
export async function applyMigrations (transaction: RunTransaction, deadlineMs: number): Promise<string[]> {
  const giveUpAt = performance.now() + deadlineMs
  for (;;) {
    const applied = await transaction(tryToApply)
    if (applied !== undefined) return applied
    if (performance.now() > giveUpAt) {
      throw new Error(
        `another process has held the advisory lock ${migrationLock}, which is for migrations, for more than ${deadlineMs / 1000} s`
      )
    }
    // Random, so that replicas that were started together do not ask at the same instant again.
    await setTimeout(retryMs * (0.5 + Math.random()))
  }
}

/** Returns the names of the migrations that `applyMigrations` would apply, in their order. Changes nothing. */
export async function listPendingMigrations (db: Drizzle): Promise<string[]> {
  return toNames(await findPending(db))
}

/** Returns the names of all migrations, which an empty database lacks. */
export function listMigrations (): string[] {
  return toNames(readMigrationFiles({ migrationsFolder }))
}

/**
 * Throws a {@link StartupError} if migrations are missing. The tables of a later release are accepted, because one
 * release works with the tables of the next.
 *
 * @param tables the variable that names the database, and its address
 */
export function refuseOlderTables (
  pending: readonly string[], { variable, where }: { variable: string, where: string }
): void {
  if (pending.length === 0) return
  const missing = pending.length === 1 ? '1 migration is missing' : `${pending.length} migrations are missing`
  throw new StartupError(
    `${variable}: the tables at ${where} are older than this version: ${missing}, and MIGRATE_ON_START is no. Run signout migrate first.`
  )
}

/** Applies the missing migrations, and returns their names; undefined while another replica migrates. */
async function tryToApply (db: Drizzle): Promise<string[] | undefined> {
  if ((await findPending(db)).length === 0) return []
  if (!await takeLock(db)) return undefined
  // Asked again: another replica may have finished between the first question and the lock.
  const pending = await findPending(db)
  await db.execute(sql`create schema if not exists drizzle`)
  await db.execute(
    sql`create table if not exists drizzle.__drizzle_migrations
      (id serial primary key, hash text not null, created_at bigint)`
  )
  for (const migration of pending) await apply(db, migration)
  return toNames(pending)
}

/** Returns the names of migrations, by the journal of the folder: `0000_users_and_signing_keys`. */
function toNames (migrations: readonly MigrationMeta[]): string[] {
  const { entries } = JSON.parse(readFileSync(join(migrationsFolder, 'meta', '_journal.json'), 'utf8')) as {
    entries: Array<{ when: number, tag: string }>
  }
  const names = new Map(entries.map(({ when, tag }) => [when, tag]))
  return migrations.map(({ folderMillis }) => names.get(folderMillis) ?? String(folderMillis))
}

async function takeLock (db: Drizzle): Promise<boolean> {
  const { rows } = (await db.execute(sql`select pg_try_advisory_xact_lock(${migrationLock}::bigint) as taken`)) as {
    rows: Array<{ taken: boolean }>
  }
  return rows[0]?.taken === true
}

/** Applies one migration, and notes it in the table of Drizzle's own migrator, which earlier releases used. */
async function apply (db: Drizzle, { sql: statements, hash, folderMillis }: MigrationMeta): Promise<void> {
  for (const statement of statements) await db.execute(sql.raw(statement))
  await db.execute(
    sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${folderMillis}::bigint)`
  )
}

/**
 * Returns the migrations that are later than the last one that was applied, which is the rule of Drizzle's own
 * migrator.
 */
async function findPending (db: Drizzle): Promise<MigrationMeta[]> {
  const appliedUpTo = await findLastApplied(db)
  return readMigrationFiles({ migrationsFolder }).filter(({ folderMillis }) => folderMillis > appliedUpTo)
}

/**
 * Returns the time of the last migration that was applied; -Infinity if there is none. Reads the catalog like any
 * table, because `to_regclass` could miss a table that another transaction has created since this one began.
 */
async function findLastApplied (db: Drizzle): Promise<number> {
  const {
    rows: [table]
  } = (await db.execute(sql`select exists (select from pg_catalog.pg_tables
    where schemaname = 'drizzle' and tablename = '__drizzle_migrations') as known`)) as {
    rows: Array<{ known: boolean }>
  }
  if (table?.known !== true) return -Infinity
  const {
    rows: [last]
  } = (await db.execute(sql`select max(created_at)::float8 as at from drizzle.__drizzle_migrations`)) as {
    rows: Array<{ at: number | null }>
  }
  return last?.at ?? -Infinity
}
