import { randomUUID } from 'node:crypto'
import { and, asc, eq, getTableColumns, or, sql } from 'drizzle-orm'
import { foldCase, foldedCase } from '../db/case-folding.ts'
import type { Database, Drizzle } from '../db/database.ts'
import { rowLimit } from '../db/row-limit.ts'
import { users, type Status } from '../db/tables.ts'
import { canonicalId } from '../input/uuid.ts'
import { lockRoles } from '../roles/role-repository.ts'
import { roles } from '../roles/tables.ts'

/** A user, with the hash of the password. */
export type User = typeof users.$inferSelect
export type { Status } from '../db/tables.ts'

/** A user who is locked, and the scopes that the role of the user means now. */
export type UserWithScope = User & { scope: string }

/** The user after whom a page of the list of users begins. */
export type UserCursor = Pick<User, 'createdAt' | 'id'>

/** Selects users. Without a property, any value of it counts. */
export interface UserFilter {
  /** A part of the username. The case of its letters does not matter. */
  search?: string | undefined
  role?: string | undefined
  status?: Status | undefined
}

export interface UserRepository {
  /** Returns the user of that name. The case of its letters does not matter, see `foldCase`. */
  findByUsername (username: string): Promise<User | undefined>
  findById (id: string): Promise<User | undefined>
  /** Returns users in the order of their registration, after one of them. */
  list (page: { after?: UserCursor | undefined, limit: number }, filter?: UserFilter): Promise<User[]>
}

export function createUserRepository (database: Database): UserRepository {
  return {
    async findByUsername (username) {
      const [found] = await database.run(db => db.select().from(users)
        .where(eq(foldedCase(users.username), foldCase(username))))
      return found
    },
    async findById (id) {
      const [found] = await database.run(db => db.select().from(users).where(eq(users.id, canonicalId(id))))
      return found
    },
    async list ({ after, limit }, { search, role, status } = {}) {
      return await database.run(db => db.select().from(users)
        .where(and(
          after &&
              sql`(${users.createdAt}, ${users.id})
                > (${after.createdAt.toISOString()}::timestamptz, ${canonicalId(after.id)}::uuid)`,
          search === undefined ? undefined : sql`strpos(${foldedCase(users.username)}, ${foldCase(search)}) > 0`,
          role === undefined ? undefined : eq(users.role, role),
          status && eq(users.status, status)
        ))
        .orderBy(asc(users.createdAt), asc(users.id))
        .limit(rowLimit(limit)))
    }
  }
}

/** Adds a user and returns it. Returns undefined if the username is taken, in any case of its letters. Atomic. */
export async function insertUser (
  db: Drizzle,
  user: { username: string, passwordHash: string, role: string }
): Promise<User | undefined> {
  const [added] = await db.insert(users).values({ id: randomUUID(), ...user }).onConflictDoNothing().returning()
  return added
}

/**
 * Locks a user until the end of the transaction, and returns the user. The strengths keep the opening and the ending of
 * sessions apart:
 *
 * - `share`: to refresh a session, or to act as an administrator. Many transactions may hold it at the same time.
 * - `no key update`: to open a session. One at a time, because sessions are counted.
 * - `update`: to end other sessions than the own one, and to change the password, the role or the status.
 */
export async function lockUser (
  db: Drizzle,
  id: string,
  strength: 'share' | 'no key update' | 'update'
): Promise<User | undefined> {
  const [found] = await db.select().from(users).where(eq(users.id, canonicalId(id))).for(strength)
  return found
}

/**
 * Locks the roles as `shared`, and a user as {@link lockUser} does, to issue tokens. Returns the user with the scopes
 * of the role: none for a role that does not exist. A change of the role waits until the end of the transaction, and
 * then finds the session.
 */
export async function lockUserToSign (
  db: Drizzle,
  id: string,
  strength: 'share' | 'no key update' | 'update'
): Promise<UserWithScope | undefined> {
  await lockRoles(db, 'shared')
  const scope = sql<string>`coalesce((select ${roles.scope} from ${roles} where ${roles.name} = ${users.role}), '')`
  const [found] = await db.select({ ...getTableColumns(users), scope }).from(users)
    .where(eq(users.id, canonicalId(id)))
    .for(strength, { of: users })
  return found
}

/**
 * Locks a user and all administrators, in the order of their ids. So requests that could remove the last administrator
 * wait for each other. Returns the user, all locked users, and whether there is another administrator who can sign in.
 */
export async function lockUserAndAdmins (
  db: Drizzle,
  id: string
): Promise<{ user: User | undefined, hasOtherAdmin: boolean, locked: User[] }> {
  const locked = await db.select().from(users)
    .where(or(eq(users.role, 'admin'), eq(users.id, canonicalId(id))))
    .orderBy(asc(users.id))
    .for('update')
  return {
    user: locked.find(user => user.id === id),
    hasOtherAdmin: locked.some(user => user.id !== id && isActiveAdmin(user)),
    locked
  }
}

/**
 * Locks the users with a role, in the order of their ids, and returns their ids.
 *
 * @param ids only these; otherwise the first of all
 */
export async function lockUsersWithRole (
  db: Drizzle, role: string, limit: number, ids?: string[]
): Promise<string[]> {
  // Passed as one parameter, because a statement has at most 65,535 of them.
  const given = ids === undefined ? undefined : sql`${users.id} = any(${`{${ids.join()}}`}::uuid[])`
  const found = await db.select({ id: users.id }).from(users)
    .where(and(eq(users.role, role), given))
    .orderBy(asc(users.id))
    .limit(rowLimit(limit))
    .for('update')
  return found.map(({ id }) => id)
}

/** Gives users another role. They must be locked. */
export async function moveUsers (db: Drizzle, ids: string[], role: string): Promise<void> {
  await db.update(users).set({ role }).where(sql`${users.id} = any(${`{${ids.join()}}`}::uuid[])`)
}

/** Returns the number of users of each role that has any. */
export async function countUsersByRole (db: Drizzle): Promise<Map<string, number>> {
  const counted = await db.select({ role: users.role, count: sql<number>`count(*)::int` }).from(users)
    .groupBy(users.role).limit(1000)
  return new Map(counted.map(({ role, count }) => [role, count]))
}

export function isActiveAdmin ({ role, status }: Pick<User, 'role' | 'status'>): boolean {
  return role === 'admin' && status === 'active'
}

/** The user must be locked. */
export async function updateUser (
  db: Drizzle,
  id: string,
  change: Partial<Pick<User, 'passwordHash' | 'role' | 'status'>>
): Promise<void> {
  await db.update(users).set(change).where(eq(users.id, canonicalId(id)))
}

/** The user must be locked. */
export async function deleteUser (db: Drizzle, id: string): Promise<void> {
  await db.delete(users).where(eq(users.id, canonicalId(id)))
}
