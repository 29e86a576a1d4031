import { randomUUID } from 'node:crypto'
import { eq, sql } from 'drizzle-orm'
import type { Database } from '../db/database.ts'
import { users } from '../db/tables.ts'

/** Someone who can sign in. */
export type User = typeof users.$inferSelect

export interface UserRepository {
  /** Atomic. Answers the new user, or undefined when the username is taken in any case of its letters. */
  add (username: string, passwordHash: string): Promise<User | undefined>
  /** The user of that name, without regard to case. */
  findByUsername (username: string): Promise<User | undefined>
  findById (id: string): Promise<User | undefined>
}

export function createUserRepository (database: Database): UserRepository {
  return {
    async add (username, passwordHash) {
      const [added] = await database.run(db => db.insert(users)
        .values({ id: randomUUID(), username, passwordHash })
        .onConflictDoNothing()
        .returning())
      return added
    },
    async findByUsername (username) {
      const [found] = await database.run(db => db.select().from(users)
        .where(eq(sql`lower(${users.username})`, username.toLowerCase())))
      return found
    },
    async findById (id) {
      const [found] = await database.run(db => db.select().from(users).where(eq(users.id, id)))
      return found
    }
  }
}
