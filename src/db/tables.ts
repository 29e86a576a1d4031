import { isNull, sql } from 'drizzle-orm'
import { jsonb, pgTable, text, timestamp, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import type { PublicJwk } from '../tokens/public-jwk.ts'

/** Instants are kept in UTC with the millisecond precision that JavaScript has. */
const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' })

export const users = pgTable('users', {
  id: uuid('id').primaryKey(),
  /** As it was typed at registration. */
  username: text('username').notNull(),
  /** Argon2id in PHC string format. */
  passwordHash: text('password_hash').notNull(),
  createdAt: instant('created_at').notNull().defaultNow()
}, table => [
  uniqueIndex('users_username_unique').on(sql`lower(${table.username})`)
])

export const signingKeys = pgTable('signing_keys', {
  kid: text('kid').primaryKey(),
  publicJwk: jsonb('public_jwk').$type<PublicJwk>().notNull(),
  /** A JWE: readable only with KEY_ENCRYPTION_SECRET. */
  encryptedPrivateJwk: text('encrypted_private_jwk').notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
  /** Null while the key signs. */
  retiredAt: instant('retired_at')
}, table => [
  // At most one key signs: of replicas that start at the same instant, the first one's key stays.
  uniqueIndex('signing_keys_one_active').on(sql`(true)`).where(isNull(table.retiredAt))
])
