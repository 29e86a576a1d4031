import { boolean, index, jsonb, pgTable, text, timestamp } from 'drizzle-orm/pg-core'
import type { ClientJwk } from './client-keys.ts'

/** A credential of a client: the SHA-256 of a secret, or public keys. */
export type StoredCredential = { createdAt: string } & ({ secretHash: string } | { keys: ClientJwk[] })

/** The registered clients: services that introspect tokens. */
export const clients = pgTable('clients', {
  /** `client_id`, which the operator chose. */
  id: text('id').primaryKey(),
  /** True if the client may revoke every token. */
  mayRevoke: boolean('may_revoke').notNull(),
  /** Newest first. Two during a rotation. */
  credentials: jsonb('credentials').$type<StoredCredential[]>().notNull(),
  createdAt: timestamp('created_at', { withTimezone: true, precision: 3, mode: 'date' }).notNull()
})

/** The assertions of clients that were used, until they expire, so that none is accepted twice. */
export const clientAssertions = pgTable('client_assertions', {
  /** SHA-256 of the client and the `jti`, in base64url. */
  hash: text('hash').primaryKey(),
  expiresAt: timestamp('expires_at', { withTimezone: true, precision: 3, mode: 'date' }).notNull()
}, table => [
  index('client_assertions_by_end').on(table.expiresAt)
])
