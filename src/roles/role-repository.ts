import { asc, eq, sql } from 'drizzle-orm'
import { clockTimestamp } from '../db/clock.ts'
import type { Drizzle } from '../db/database.ts'
import { SignoutError } from '../errors.ts'
import { roles } from './tables.ts'

export type Role = typeof roles.$inferSelect

/** The number of an advisory lock. Any number will do that no other application in the same database uses. */
const lockNumber = 7_366_722

/** The largest number of roles. */
export const maxRoles = 200

/**
 * Locks all roles until the end of the transaction, before any user is locked. A statement after it reads what the last
 * change has committed.
 *
 * - `shared`: to issue tokens with the scopes of a role, or to give a role to a user. Many transactions may hold it.
 * - `exclusive`: to change a role. Waits for all that hold it, and they wait for the change. None of them starves.
 */
export async function lockRoles (db: Drizzle, strength: 'shared' | 'exclusive'): Promise<void> {
  await db.execute(strength === 'shared'
    ? sql`select pg_advisory_xact_lock_shared(${lockNumber}::bigint)`
    : sql`select pg_advisory_xact_lock(${lockNumber}::bigint)`)
}

export async function findRole (db: Drizzle, name: string): Promise<Role | undefined> {
  const [found] = await db.select().from(roles).where(eq(roles.name, name))
  return found
}

/** Requires a role that exists. Locks the roles as `shared`. Throws `invalid_request` for any other text. */
export async function requireRole (db: Drizzle, name: string): Promise<void> {
  await lockRoles(db, 'shared')
  if (await findRole(db, name) !== undefined) return
  throw new SignoutError('invalid_request', { details: [{ path: '/role', message: 'must be a role that exists' }] })
}

/** Returns all roles, in the order of their names. */
export async function listRoles (db: Drizzle): Promise<Role[]> {
  return await db.select().from(roles).orderBy(asc(roles.name)).limit(200)
}

/** Adds a role, or gives one other scopes. Returns when, by Postgres' clock. The roles must be locked. */
export async function saveRole (db: Drizzle, name: string, scope: string): Promise<Date> {
  const set = { scope, changedAt: clockTimestamp }
  const [saved] = await db.insert(roles).values({ name, ...set })
    .onConflictDoUpdate({ target: roles.name, set })
    .returning({ changedAt: roles.changedAt })
  return saved?.changedAt as Date
}

/** Deletes a role. The roles must be locked, and no user may have it. */
export async function deleteRole (db: Drizzle, name: string): Promise<void> {
  await db.delete(roles).where(eq(roles.name, name))
}
